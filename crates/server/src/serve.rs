//! Starts everything in order: store, proxy, actors, listeners.

use crate::app::App;
use crate::clock;
use crate::dataplane::DataPlane;
use crate::error::ApiError;
use crate::world::Drivers;
use esclusa_drivers::run::RunSettings;
use esclusa_model::Millis;
use esclusa_proxy::client::ControlClient;
use esclusa_shim::{LogLimits, ShimClient, ShimCommand, Spec};
use esclusa_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for the proxy's first answer.
const PROXY_LIMIT: Duration = Duration::from_secs(15);
/// How long requests in flight have when a proxy is told to end.
const PROXY_GRACE: Millis = Millis(30_000);
const SIGTERM: i32 = 15;
/// How often it is asked meanwhile.
const PROXY_POLL: Duration = Duration::from_millis(25);

/// How the control plane is set up.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The data folder.
    pub data: PathBuf,
    /// Where the API and the page answer.
    pub listen: SocketAddr,
    /// Loopback only, nobody has to log in.
    pub dev: bool,
    /// Program and first arguments that start a proxy.
    pub proxy: Vec<String>,
    /// Program and first arguments that start a shim.
    pub shim: Vec<String>,
}

/// Why the control plane cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its content cannot be read.
    #[error(transparent)]
    Content(#[from] ApiError),
    /// The proxy does not come up.
    #[error("the proxy does not come up: {0}")]
    Proxy(String),
    /// An address cannot be listened on.
    #[error("cannot listen: {0}")]
    Listen(String),
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
}

/// Runs until `shutdown` ends. Versions and the proxy run on after it.
///
/// # Errors
/// [`ServeError`] when something that is needed cannot be had.
pub async fn serve(
    config: ServeConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    // One TLS provider for the process; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let data = std::path::absolute(&config.data)
        .map_err(|error| ServeError::Config(format!("{}: {error}", config.data.display())))?;
    let shim = shim_command(&config.shim)?;
    let store = Store::open(&data, clock::now()).await?;
    let client = adopt_or_start_proxy(&data, &config.proxy, &shim).await?;
    let dataplane = DataPlane::start(client, store.clone());
    let drivers = Drivers::new(&RunSettings { shim });
    let app = App::start(store, dataplane, data.clone(), drivers).await?;
    let listen = crate::listen::ListenConfig {
        data,
        listen: config.listen,
        dev: config.dev,
    };
    crate::listen::listen(app, listen, shutdown).await
}

fn shim_command(words: &[String]) -> Result<ShimCommand, ServeError> {
    let (program, args) = words
        .split_first()
        .ok_or_else(|| ServeError::Config("no program is named that runs as the shim".into()))?;
    Ok(ShimCommand {
        program: PathBuf::from(program),
        args: args.iter().map(Into::into).collect(),
    })
}

/// The proxy outlives us: one that answers is ours already.
async fn adopt_or_start_proxy(
    data: &Path,
    proxy: &[String],
    shim: &ShimCommand,
) -> Result<ControlClient, ServeError> {
    let dir = data.join("proxy");
    crate::holder::ensure(data, shim).await;
    let client = ControlClient::new(dir.join("proxy.sock"));
    if client.hello().await.is_ok() {
        return Ok(client);
    }
    let mut words: Vec<String> = proxy.to_vec();
    words.extend(["--data".into(), dir.display().to_string()]);
    let holder = crate::holder::folder(data);
    words.extend(["--holder".into(), holder.display().to_string()]);
    let supervised = data.join("instances").join("proxy");
    let spec = Spec {
        identity: "proxy".into(),
        words,
        env: BTreeMap::new(),
        cwd: data.to_path_buf(),
        log: LogLimits::default(),
        stop_signal: SIGTERM,
        stop_grace: PROXY_GRACE,
    };
    let shim = shim.clone();
    let started = tokio::task::spawn_blocking(move || {
        // What an earlier one left behind must be gone before its address is used again.
        ShimClient::new(&supervised)
            .stop(SIGTERM, PROXY_GRACE)
            .map_err(|e| e.to_string())?;
        esclusa_shim::spawn(&shim, &supervised, &spec, Millis(10_000)).map_err(|e| e.to_string())
    })
    .await;
    match started {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(ServeError::Proxy(error)),
        Err(error) => return Err(ServeError::Proxy(error.to_string())),
    }
    let deadline = tokio::time::Instant::now() + PROXY_LIMIT;
    loop {
        match client.hello().await {
            Ok(_) => return Ok(client),
            Err(error) if tokio::time::Instant::now() > deadline => {
                let log = data.join("instances/proxy/output.log");
                let message = format!("{error}; its output is in {}", log.display());
                return Err(ServeError::Proxy(message));
            }
            Err(_) => tokio::time::sleep(PROXY_POLL).await,
        }
    }
}
