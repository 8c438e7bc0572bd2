//! Why a proxy cannot start or run.

use std::io;
use std::path::PathBuf;

/// Why a proxy did not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// A file or folder of the proxy cannot be used.
    #[error("cannot use {path}: {source}")]
    Path {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another proxy answers on the control socket.
    #[error("another proxy runs on {path}: stop it, or give this one its own data folder")]
    AlreadyRunning {
        /// The control socket.
        path: PathBuf,
    },
    /// The address for metrics, or for flags, cannot be opened.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// What for.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The proxy in charge did not hand over, and goes on.
    #[error("the proxy that runs did not hand over: {0}")]
    NotHandedOver(String),
    /// A thread or runtime cannot be made.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
    /// A limit in the configuration makes no sense.
    #[error("limit {name} is {value}, it must be at least {least}")]
    Limit {
        /// The limit's name.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The smallest value that works.
        least: usize,
    },
}
