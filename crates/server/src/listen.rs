//! Opens the doors: the Unix socket for the owner, a TCP address for everybody else.

use crate::api::{ApiState, Door, router};
use crate::app::App;
use crate::links::Front;
use crate::serve::ServeError;
use esclusa_proxy::client::ControlClient;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest wait for open answers when the program ends.
const GRACE: Duration = Duration::from_secs(5);

/// Where the control plane answers.
#[derive(Debug, Clone)]
pub(crate) struct ListenConfig {
    /// The data folder, where the Unix socket stands.
    pub data: PathBuf,
    /// The TCP address.
    pub listen: SocketAddr,
    /// Loopback only, nobody has to log in.
    pub dev: bool,
    /// Where browsers reach it, where that was said.
    pub front: Option<Front>,
    /// Where the proxy answers flags, if it does.
    pub flags: Option<SocketAddr>,
}

/// The Unix socket of a data folder.
#[must_use]
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("esclusa.sock")
}

/// Answers until `shutdown` ends, and a few seconds more for answers under way.
///
/// # Errors
/// When an address cannot be had, or a server without login would be reachable from
/// other machines.
pub(crate) async fn listen(
    app: Arc<App>,
    config: ListenConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let loopback = config.listen.ip().is_loopback();
    if config.dev && !loopback {
        return Err(ServeError::Config(format!(
            "--dev asks nobody to log in, so it does not listen on {}: use a loopback address",
            config.listen
        )));
    }
    let tcp = TcpListener::bind(config.listen)
        .await
        .map_err(|error| ServeError::Listen(format!("{}: {error}", config.listen)))?;
    let address = tcp
        .local_addr()
        .map_err(|error| ServeError::Listen(error.to_string()))?;
    let front = config.front.clone();
    let front = front.unwrap_or_else(|| Front::listening(address));
    app.shared.links.stand_behind(front);
    let socket = socket_path(&config.data);
    let unix = bind_private(&socket)?;

    let (end, ending) = watch::channel(false);
    let door = if config.dev {
        Door::Dev {
            port: address.port(),
        }
    } else {
        Door::Token
    };
    let proxy = ControlClient::new(config.data.join("proxy").join("proxy.sock"));
    let state = ApiState::new(app, door, proxy, ending.clone());
    greet(&state, &config, address, &socket).await?;

    let mut servers = JoinSet::new();
    let local = router(state.behind(Door::Local));
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let stop = |mut ending: watch::Receiver<bool>| async move {
        // An error means that the program is ending.
        let _ = ending.wait_for(|ending| *ending).await;
    };
    let (stop_tcp, stop_unix) = (stop(ending.clone()), stop(ending));
    servers.spawn(async move {
        axum::serve(tcp, service)
            .with_graceful_shutdown(stop_tcp)
            .await
    });
    servers.spawn(async move {
        axum::serve(unix, local)
            .with_graceful_shutdown(stop_unix)
            .await
    });

    shutdown.await;
    crate::service_manager::notify("STOPPING=1");
    end.send_replace(true);
    let all = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("Answers under way were cut off at the end");
    }
    remove(&socket)
}

/// Opens a socket that nobody but the owner can use. A socket that is there is left
/// over: the data folder is ours, or we would not have come this far. It gets its mode in a
/// folder of its own before it stands where it is looked for, so that there is no moment
/// in which others could open it, whatever the umask.
fn bind_private(path: &Path) -> Result<UnixListener, ServeError> {
    remove(path)?;
    let fail = |error: std::io::Error| ServeError::Listen(format!("{}: {error}", path.display()));
    // A socket's path has a hundred bytes: no longer than the one it gets.
    let folder = path.with_file_name(".door");
    let bound = folder.join("sock");
    remove(&bound)?;
    let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
    if let Err(error) = made
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(fail(error));
    }
    let listener = UnixListener::bind(&bound).map_err(fail)?;
    std::fs::set_permissions(&bound, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
    std::fs::rename(&bound, path).map_err(fail)?;
    // An empty folder that stays hurts nobody.
    let _ = std::fs::remove_dir(&folder);
    Ok(listener)
}

fn remove(path: &Path) -> Result<(), ServeError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(ServeError::Listen(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Says where the server answers, and shows the first token of a new data folder.
async fn greet(
    state: &ApiState,
    config: &ListenConfig,
    address: SocketAddr,
    socket: &Path,
) -> Result<(), ServeError> {
    if !config.dev {
        if let Some(token) = state.auth.first().await? {
            println!("admin token, shown this once: {}", token.reveal());
        }
        if !address.ip().is_loopback() {
            eprintln!(
                "warning: {address} is reachable from other machines and speaks plain HTTP; put \
                 a proxy with TLS in front of it"
            );
        }
    }
    if let Some(flags) = config.flags {
        println!("flags http://{flags}");
    }
    println!("ready http://{address} unix:{}", socket.display());
    crate::service_manager::notify("READY=1");
    Ok(())
}
