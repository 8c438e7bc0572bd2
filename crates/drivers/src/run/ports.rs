//! Free local ports, one an instance, kept in its folder.
//!
//! They lie below the range that the system takes for outgoing connections, so that
//! none is taken between the choice and the process's own listening.

use esclusa_shim::write_atomic;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const RANGE: Range<u16> = 20_000..32_000;

/// Choosing and recording must not interleave with another choice.
static CHOICE: Mutex<()> = Mutex::new(());

/// The port recorded in `file`, `None` when there is none.
pub(super) fn read(file: &Path) -> io::Result<Option<u16>> {
    match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The port recorded in `file` if nobody listens on it, else another that is recorded
/// in no instance's folder below `root`.
pub(super) fn claim(root: &Path, file: &Path) -> io::Result<u16> {
    let _choice = CHOICE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(Some(port)) = read(file)
        && is_free(port)
    {
        return Ok(port);
    }
    let mut taken = BTreeSet::new();
    recorded(root, 3, &mut taken)?;
    let port = from_somewhere(file)
        .filter(|port| !taken.contains(port))
        .find(|port| is_free(*port))
        .ok_or_else(|| io::Error::other("no local port from 20000 to 31999 is free"))?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    write_atomic(file, format!("{port}\n").as_bytes())?;
    Ok(port)
}

/// All ports of the range, from a place that depends on `file`: controllers of other
/// data folders then seldom try the same port at the same time.
fn from_somewhere(file: &Path) -> impl Iterator<Item = u16> {
    let hash = Sha256::digest(file.as_os_str().as_bytes());
    let (high, low) = (hash.first().copied(), hash.last().copied());
    let seed = u16::from_be_bytes([high.unwrap_or(0), low.unwrap_or(0)]);
    let start = RANGE.start + seed % (RANGE.end - RANGE.start);
    (start..RANGE.end).chain(RANGE.start..start)
}

/// Nobody listens on it, on any address.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

fn recorded(folder: &Path, depth: u32, taken: &mut BTreeSet<u16>) -> io::Result<()> {
    if depth == 0 {
        // An unreadable record claims nothing; its instance will choose again.
        taken.extend(read(&folder.join("port")).ok().flatten());
        return Ok(());
    }
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            recorded(&entry.path(), depth - 1, taken)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_kept_and_never_shared() {
        let root = tempfile::tempdir().expect("folder");
        let file = |name: &str| root.path().join("shop/web").join(name).join("port");
        let one = claim(root.path(), &file("one")).expect("free");
        let two = claim(root.path(), &file("two")).expect("free");
        assert_ne!(one, two);
        assert_eq!(claim(root.path(), &file("one")).expect("kept"), one);
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, one)).expect("was free");
        let other = claim(root.path(), &file("one")).expect("another");
        assert!(other != one && other != two);
        assert_eq!(read(&file("one")).expect("readable"), Some(other));
    }
}
