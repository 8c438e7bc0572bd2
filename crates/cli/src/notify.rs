//! Tells a supervisor such as systemd that the program is ready (`NOTIFY_SOCKET`).
//!
//! With `MAINPID`, so that a proxy which has taken over is the unit's main process from
//! then on. Without such a supervisor it does nothing.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that this process is ready and the main one.
pub(crate) fn ready() {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let text = format!("READY=1\nMAINPID={}\n", std::process::id());
    if let Err(error) = send(&socket, text.as_bytes()) {
        tracing::warn!(%error, "The supervisor cannot be told that this is ready");
    }
}

fn send(socket: &OsStr, text: &[u8]) -> io::Result<()> {
    // A name that begins with @ is no file.
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_names_are_reached() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = format!("esclusa-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        for (there, called) in [
            (UnixDatagram::bind(&path), path.into_os_string()),
            (UnixDatagram::bind_addr(&address), format!("@{name}").into()),
        ] {
            let there = there.expect("bound");
            send(&called, b"READY=1\n").expect("sent");
            let mut space = [0; 20];
            let n = there.recv(&mut space).expect("received");
            assert_eq!(&space[..n], b"READY=1\n");
        }
    }
}
