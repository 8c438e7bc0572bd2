//! Ports that nobody else takes between asking and binding.
//!
//! "Bind to 0, read the number, close" races with every outgoing connection of the
//! machine. These ports lie below the range the kernel hands out, and a lock file per
//! port keeps parallel test processes apart until this process ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

/// Below the usual start of the kernel's own range, 32768, and below those that control planes
/// give to the instances they start, 20000 to 31999: another test's instance takes none of these.
const PORTS: Range<u16> = 11_000..20_000;

/// The locks of this process; never given back, so that no port is given twice.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port on 127.0.0.1 that is free and stays this process's own to give away.
///
/// # Errors
/// When the lock folder cannot be used or every port is taken.
pub fn free_port() -> io::Result<u16> {
    let folder = std::env::temp_dir().join("esclusa-ports");
    std::fs::create_dir_all(&folder)?;
    let mut taken = TAKEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let count = usize::from(PORTS.end - PORTS.start);
    // Processes begin at different places, so that they seldom meet.
    let start = std::process::id() as usize * 97 + taken.len();
    for port in PORTS.cycle_from(start % count) {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(port.to_string()))?;
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            taken.push(lock);
            return Ok(port);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "every test port is taken",
    ))
}

trait CycleFrom {
    fn cycle_from(&self, offset: usize) -> impl Iterator<Item = u16>;
}

impl CycleFrom for Range<u16> {
    /// Each number once, beginning `offset` after the start.
    fn cycle_from(&self, offset: usize) -> impl Iterator<Item = u16> {
        self.clone().skip(offset).chain(self.clone().take(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ports_are_different_and_can_be_bound() {
        let ports: BTreeSet<u16> = (0..20).map(|_| free_port().expect("a port")).collect();
        assert_eq!(ports.len(), 20);
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("free");
        }
    }

    #[test]
    fn every_port_is_tried_once() {
        let all: Vec<u16> = (10..15).cycle_from(3).collect();
        assert_eq!(all, [13, 14, 10, 11, 12]);
    }
}
