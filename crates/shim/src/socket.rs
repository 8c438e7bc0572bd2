//! Unix sockets in folders of any depth.
//!
//! A socket's path must fit into 107 bytes. Longer ones are reached through the
//! folder's own descriptor, `/proc/self/fd/N/name`.

use crate::files::SOCKET;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Longest path of a socket in bytes, its closing zero not counted.
pub(crate) const MAX_PATH: usize = 107;

/// Connects to the control socket in `dir`.
pub(crate) fn connect(dir: &Path) -> io::Result<UnixStream> {
    connect_to(dir, SOCKET)
}

/// Connects to the socket of that name in `dir`.
pub(crate) fn connect_to(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let path = dir.join(name);
    if path.as_os_str().as_bytes().len() <= MAX_PATH {
        return UnixStream::connect(path);
    }
    let folder = File::open(dir)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}
