//! Starts everything in order: store, proxy, actors, listeners.

use crate::app::App;
use crate::clock;
use crate::dataplane::DataPlane;
use crate::error::ApiError;
use crate::flags::StartVariables;
use crate::links::Front;
use crate::proxy_keeper::{Look, ProxyKeeper};
use crate::service_manager;
use crate::world::Drivers;
use esclusa_drivers::run::RunSettings;
use esclusa_model::Epoch;
use esclusa_shim::ShimCommand;
use esclusa_store::{Store, StoreError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long versions may take to be there again before users are let in without them.
const WAKE_LIMIT: Duration = Duration::from_secs(30);

/// How the control plane is set up.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The data folder.
    pub data: PathBuf,
    /// Where the API and the page answer.
    pub listen: SocketAddr,
    /// Loopback only, nobody has to log in.
    pub dev: bool,
    /// Under which address browsers reach it, such as `https://esclusa.example`.
    pub public_url: Option<String>,
    /// Program and first arguments that start a proxy.
    pub proxy: Vec<String>,
    /// Whether somebody else starts the proxy, such as a unit of its own.
    pub external_proxy: bool,
    /// Program and first arguments that start a shim.
    pub shim: Vec<String>,
    /// The file that says who is told what; else `notify.yaml` in the data folder is read,
    /// where there is one.
    pub notify: Option<PathBuf>,
    /// The file that says which tables follow the flags; else `sinks.yaml` in the data folder
    /// is read, where there is one.
    pub sinks: Option<PathBuf>,
    /// Where the proxy answers flags, if it does.
    pub flags_listen: Option<SocketAddr>,
    /// The environment of flags that the variables speak of; the only one there is without.
    pub flags_environment: Option<String>,
    /// This program's environment variables, of which those that speak of flags are read.
    pub variables: Vec<(String, String)>,
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
    let front = config.public_url.as_deref().map(Front::public).transpose();
    let front = front.map_err(|why| ServeError::Config(format!("--public-url: {why}")))?;
    let shim = service_manager::place(shim_command(&config.shim)?).await;
    let variables = StartVariables::among(config.variables, config.flags_environment);
    let store = Store::open(&data, clock::now()).await?;
    crate::proof::begin(&store).await;
    let keeper = ProxyKeeper::new(&data, config.proxy, shim.clone(), config.external_proxy);
    let mut shutdown = Box::pin(shutdown);
    let begun = tokio::select! {
        begun = begin(keeper, store, data.clone(), shim, variables) => begun?,
        () = &mut shutdown => return Ok(()),
    };
    let notifier = Arc::clone(&begun.notifier);
    tokio::spawn(notifier.run(Arc::clone(&begun), config.notify));
    if let Some(address) = config.flags_listen {
        begun.shared.flags.measure_at(address);
    }
    let flags = Arc::clone(&begun.shared.flags);
    tokio::spawn(crate::flags::run_sinks(flags, data.clone(), config.sinks));
    let listen = crate::listen::ListenConfig {
        data,
        listen: config.listen,
        dev: config.dev,
        front,
        flags: config.flags_listen,
    };
    crate::listen::listen(begun, listen, shutdown).await
}

/// Takes up what is there: the proxy, every service, every release under way.
///
/// Where no proxy serves users yet, as after a reboot, versions come first: users who
/// find nobody at all are told so at once, while those who are let in would be counted as
/// failures of versions that are only just starting.
async fn begin(
    keeper: ProxyKeeper,
    store: Store,
    data: PathBuf,
    shim: ShimCommand,
    variables: StartVariables,
) -> Result<Arc<App>, ServeError> {
    let mut look = keeper.begin().await?;
    let in_force = keeper.in_force().await;
    let flags = keeper.client().flags().await.ok().flatten();
    let flags = flags.map(|document| document.id.epoch);
    let heard = in_force.as_ref().map(|generation| generation.id.epoch);
    if let Some(epoch) = heard.max(flags) {
        outrank(&store, epoch).await?;
    }
    let dataplane = DataPlane::start(keeper.client(), store.clone(), in_force);
    let drivers = Drivers::new(&RunSettings { shim });
    let app = App::start(store, Arc::clone(&dataplane), data, drivers).await?;
    for differs in app.shared.flags.take_variables(&variables).await? {
        tracing::warn!(%differs, "A flag is not what the environment variables say");
    }
    if !matches!(look, Look::Good(..)) && !app.settled(WAKE_LIMIT).await {
        tracing::warn!("Not all versions are there; users are let in without them");
    }
    if matches!(look, Look::Gone(_)) && !keeper.is_external() {
        keeper.start().await.map_err(ServeError::Proxy)?;
        look = keeper.look().await;
    }
    tokio::spawn(keeper.keep(dataplane, look));
    Ok(app)
}

/// Makes sure that the proxy takes this controller for a newer one than `known`, which it
/// heard last. A store from a backup does not know how far the epochs went since.
async fn outrank(store: &Store, known: Epoch) -> Result<(), ServeError> {
    let ours = store.epoch();
    if known < ours {
        return Ok(store.settle_restored(clock::now()).await?);
    }
    let next = Epoch(known.0.saturating_add(1));
    match store.raise_epoch_to(next, clock::now()).await {
        Ok(epoch) => {
            tracing::warn!(
                known = known.0,
                epoch = epoch.0,
                "The state was restored: its epoch is raised above what the proxy heard"
            );
            Ok(())
        }
        Err(error) => Err(ServeError::Content(error.into())),
    }
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
