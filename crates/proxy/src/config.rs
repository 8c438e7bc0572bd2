//! What a proxy is started with. Everything that can change later is in the generation.

use esclusa_model::ProxyId;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

/// Long enough for most downloads and for clients to come back to an idle connection.
const HAND_OVER_DRAIN: Duration = Duration::from_secs(600);

/// How a proxy process is set up.
#[derive(Debug)]
pub struct ProxyConfig {
    /// Its lasting name, sent with every slice.
    pub id: ProxyId,
    /// Folder for the state file and the slices that nobody has acknowledged.
    pub data_dir: PathBuf,
    /// Unix socket of the control interface.
    pub admin_socket: PathBuf,
    /// Threads that carry requests, each with its own runtime; 0 for one per core.
    pub workers: usize,
    /// TCP address that serves `/metrics` alone, besides the control socket.
    pub metrics_listen: Option<SocketAddr>,
    /// Sockets that already listen, handed over by whoever started the process. One is
    /// used instead of a new socket when a generation names its address.
    pub inherited: Vec<TcpListener>,
    /// The same from a supervisor that keeps its own copy open, as systemd does. They are
    /// kept for later generations too.
    pub activated: Vec<TcpListener>,
    /// Listening socket for `/metrics`, likewise; wins over `metrics_listen`.
    pub activated_metrics: Option<TcpListener>,
    /// TCP address that answers flags (OFREP), event streams and other web servers' guards.
    pub flags_listen: Option<SocketAddr>,
    /// Listening socket for flags, likewise; wins over `flags_listen`.
    pub activated_flags: Option<TcpListener>,
    /// Folder of the process that keeps the listening sockets open whatever happens to
    /// this one (`esclusa shim hold`), if there is to be one.
    pub holder: Option<PathBuf>,
    /// Take over from the proxy that runs on the folder, if one does.
    pub take_over: bool,
    /// How long connections may live on here after another process has taken over.
    pub hand_over_drain: Duration,
    /// Bounds on time and memory.
    pub limits: Limits,
}

impl ProxyConfig {
    /// A proxy with default limits that keeps its files in `data_dir`.
    #[must_use]
    pub fn new(id: ProxyId, data_dir: PathBuf) -> Self {
        Self {
            id,
            admin_socket: data_dir.join("proxy.sock"),
            data_dir,
            workers: 0,
            metrics_listen: None,
            inherited: Vec::new(),
            activated: Vec::new(),
            activated_metrics: None,
            flags_listen: None,
            activated_flags: None,
            holder: None,
            take_over: false,
            hand_over_drain: HAND_OVER_DRAIN,
            limits: Limits::default(),
        }
    }
}

/// Bounds on time and memory, the same for all services.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest request head in bytes, at least 8,192; 431 above.
    pub max_head_bytes: usize,
    /// Most header lines of a request; 431 above.
    pub max_headers: usize,
    /// Longest time from a head's first byte to its last.
    pub head_timeout: Duration,
    /// Longest wait for the next request on a kept-open connection.
    pub idle_timeout: Duration,
    /// Longest wait for the next bytes of a request's body; 408 after.
    pub body_timeout: Duration,
    /// Longest time that a client may leave a response unread.
    pub write_timeout: Duration,
    /// Longest wait for a connection to an instance, TLS included.
    pub connect_timeout: Duration,
    /// How long an unused connection to an instance is kept. Shorter than what common
    /// servers allow (Node closes after 5 s), so that they rarely close first.
    pub pool_idle: Duration,
    /// Unused connections kept per instance and worker.
    pub pool_max_idle: usize,
    /// Requests at once on one HTTP/2 connection.
    pub h2_max_streams: u32,
    /// Seconds of slices kept for a control plane that does not fetch them.
    pub slice_seconds: usize,
    /// How long whoever changes something is kept to tell it whether the disk has that, which
    /// is in force by then.
    pub disk_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 64 * 1024,
            max_headers: 100,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(3),
            pool_idle: Duration::from_secs(4),
            pool_max_idle: 256,
            h2_max_streams: 256,
            slice_seconds: 2 * 3_600,
            disk_patience: Duration::from_millis(50),
        }
    }
}
