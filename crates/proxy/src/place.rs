//! What a proxy needs to be one: the folder's lock, its sockets and its state. A proxy
//! that takes over has them from the one before, any other makes its own.

use crate::config::ProxyConfig;
use crate::control::holder;
use crate::control::listeners::Inherited;
use crate::control::persist;
use crate::error::ProxyError;
use crate::hand_over::newcomer::{self, Taken};
use crate::hand_over::{FdStream, SOCKET};
use crate::lock;
use esclusa_model::BootId;
use esclusa_wire::{FlagsFile, StateFile};
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a socket may still answer whose owner is no longer in charge.
const LET_GO_TIME: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// A place at which exactly one proxy is in charge.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) lock: File,
    pub(crate) control: UnixListener,
    pub(crate) hand_over: UnixListener,
    pub(crate) metrics: Option<TcpListener>,
    /// Where flags are answered.
    pub(crate) flags_socket: Option<TcpListener>,
    pub(crate) inherited: Inherited,
    /// What to serve, best first, with where it is from.
    pub(crate) states: Vec<(PathBuf, StateFile)>,
    /// The same of flags.
    pub(crate) flags: Vec<(PathBuf, FlagsFile)>,
    /// Slices that the one before had lost.
    pub(crate) lost: u64,
    /// The one before, which stands still until it is told that we accept.
    pub(crate) predecessor: Option<FdStream>,
}

impl Place {
    /// Takes over when the configuration says so and there is somebody; else begins.
    pub(crate) async fn have(config: &mut ProxyConfig, boot: &BootId) -> Result<Self, ProxyError> {
        let mut in_charge = ProxyError::AlreadyRunning {
            path: config.admin_socket.clone(),
        };
        if config.take_over {
            match newcomer::ask(&config.data_dir, &config.id, boot).await {
                Ok(Some(taken)) => return Self::taken(config, taken),
                Ok(None) => {}
                // One that has just handed over may still answer where its successor died:
                // only the lock says whether anybody is in charge.
                Err(error) => in_charge = error,
            }
        }
        let lock = lock::acquire(&config.data_dir)?.ok_or(in_charge)?;
        Self::begin(config, lock).await
    }

    fn taken(config: &mut ProxyConfig, taken: Taken) -> Result<Self, ProxyError> {
        let metrics = metrics(config, taken.metrics)?;
        let flags_socket = flags(config, taken.flags_socket)?;
        let mut activated = std::mem::take(&mut config.activated);
        let known = |list: &[TcpListener], socket: &TcpListener| {
            let address = |s: &TcpListener| s.local_addr().ok();
            list.iter().any(|s| address(s) == address(socket))
        };
        for socket in taken.activated {
            if !known(&activated, &socket) {
                activated.push(socket);
            }
        }
        let name = config.data_dir.join(SOCKET);
        Ok(Self {
            lock: taken.lock,
            control: taken.control,
            hand_over: taken.hand_over,
            metrics,
            flags_socket,
            inherited: Inherited {
                given: std::mem::take(&mut config.inherited),
                held: taken.clients,
                activated,
            },
            states: taken
                .state
                .into_iter()
                .map(|state| (name.clone(), state))
                .collect(),
            flags: taken
                .flags
                .into_iter()
                .map(|flags| (name.clone(), flags))
                .collect(),
            lost: taken.lost,
            predecessor: Some(taken.stream),
        })
    }

    async fn begin(config: &mut ProxyConfig, lock: File) -> Result<Self, ProxyError> {
        let control = listen_when_free(&config.admin_socket).await?;
        let hand_over = listen_when_free(&config.data_dir.join(SOCKET)).await?;
        let metrics = metrics(config, None)?;
        let flags_socket = flags(config, None)?;
        let held = config.holder.as_deref().map(holder::take);
        Ok(Self {
            lock,
            control,
            hand_over,
            metrics,
            flags_socket,
            inherited: Inherited {
                given: std::mem::take(&mut config.inherited),
                held: held.unwrap_or_default(),
                activated: std::mem::take(&mut config.activated),
            },
            states: persist::load(&config.data_dir),
            flags: persist::load(&config.data_dir),
            lost: 0,
            predecessor: None,
        })
    }
}

/// A socket besides the clients': the one that was given, the predecessor's if it is the
/// one that is wanted, or a new one.
fn extra(
    given: Option<TcpListener>,
    wanted: Option<SocketAddr>,
    taken: Option<TcpListener>,
    what: &'static str,
) -> Result<Option<TcpListener>, ProxyError> {
    if let Some(given) = given {
        return unblock(given).map(Some).map_err(ProxyError::Worker);
    }
    let Some(address) = wanted else {
        return Ok(None);
    };
    let fail = |source| ProxyError::Listen {
        address,
        what,
        source,
    };
    let is_it = |s: &TcpListener| s.local_addr().is_ok_and(|a: SocketAddr| a == address);
    let socket = match taken.filter(is_it) {
        Some(socket) => socket,
        None => TcpListener::bind(address).map_err(fail)?,
    };
    unblock(socket).map(Some).map_err(fail)
}

fn metrics(
    config: &mut ProxyConfig,
    taken: Option<TcpListener>,
) -> Result<Option<TcpListener>, ProxyError> {
    let given = config.activated_metrics.take();
    extra(given, config.metrics_listen, taken, "metrics")
}

fn flags(
    config: &mut ProxyConfig,
    taken: Option<TcpListener>,
) -> Result<Option<TcpListener>, ProxyError> {
    let given = config.activated_flags.take();
    extra(given, config.flags_listen, taken, "flags")
}

fn unblock(socket: TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// As [`listen`]; gives one who has just let go of the lock time to let go of the rest.
async fn listen_when_free(path: &Path) -> Result<UnixListener, ProxyError> {
    let until = tokio::time::Instant::now() + LET_GO_TIME;
    loop {
        match listen(path) {
            Err(ProxyError::AlreadyRunning { .. }) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(LOOK).await;
            }
            settled => return settled,
        }
    }
}

/// Opens a Unix socket; one that nobody answers on is left over from a crash.
fn listen(path: &Path) -> Result<UnixListener, ProxyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let fail = |source| ProxyError::Path {
        path: path.to_owned(),
        source,
    };
    if path.exists() {
        if UnixStream::connect(path).is_ok() {
            return Err(ProxyError::AlreadyRunning {
                path: path.to_owned(),
            });
        }
        std::fs::remove_file(path).map_err(fail)?;
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    Ok(listener)
}
