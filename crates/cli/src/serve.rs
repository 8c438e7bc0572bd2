//! `serve` and `proxy`: the long-running programs.

use crate::args::{Global, Log, LogForm, Proxy, Serve};
use crate::exit::{Exit, Failure};
use crate::init;
use crate::logfile::{Limits, LogFile};
use crate::place;
use esclusa_model::ProxyId;
use esclusa_proxy::ProxyConfig;
use esclusa_server::{ApiError, ErrorKind, ServeConfig, ServeError};
use std::sync::Mutex;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How long a proxy that ends lets requests finish; less than its supervisor waits.
const DRAIN: Duration = Duration::from_secs(25);

/// Runs the control plane until it is told to end.
pub(crate) fn serve(global: &Global, asked: &Serve) -> Result<Exit, Failure> {
    start_log(&asked.log)?;
    if init::is_first() {
        return init::run(&place::data(global)?);
    }
    init::hear_signals();
    let exe = std::env::current_exe()
        .map_err(|error| Failure::internal(format!("this program has no path: {error}")))?
        .into_os_string()
        .into_string()
        .map_err(|_| Failure::internal("this program's path is not UTF-8"))?;
    let workers = asked.proxy_workers.to_string();
    let words = |words: &[&str]| -> Vec<String> {
        std::iter::once(exe.as_str())
            .chain(words.iter().copied())
            .map(Into::into)
            .collect()
    };
    let config = ServeConfig {
        data: place::data(global)?,
        listen: asked.listen,
        dev: asked.dev,
        proxy: words(&["proxy", "--id", "local", "--workers", &workers]),
        external_proxy: asked.external_proxy,
        shim: words(&["shim"]),
    };
    runtime()?.block_on(async {
        let told = told_to_end()?;
        esclusa_server::serve(config, told)
            .await
            .map_err(|error| not_running(&error))?;
        Ok(Exit::Done)
    })
}

/// Runs a data plane until it is told to end.
pub(crate) fn proxy(global: &Global, asked: Proxy) -> Result<Exit, Failure> {
    start_log(&asked.log)?;
    let id = ProxyId::new(asked.id).map_err(|error| {
        Failure::input(
            "ESC-0507",
            error.to_string(),
            "give the proxy a name such as edge-1",
        )
    })?;
    let data = global.data.clone().ok_or_else(|| {
        Failure::input(
            "ESC-0507",
            "a proxy needs a folder of its own",
            "name it with --data",
        )
    })?;
    let mut config = ProxyConfig::new(id, data);
    config.workers = asked.workers;
    config.metrics_listen = asked.metrics_listen;
    runtime()?.block_on(async {
        let told = told_to_end()?;
        let drained = esclusa_proxy::run(config, told, DRAIN)
            .await
            .map_err(|error| {
                ApiError::new(
                    ErrorKind::Unavailable,
                    "ESC-0508",
                    format!("the proxy cannot run: {error}"),
                    "look at the folder and address that the message names",
                )
            })?;
        if drained.cut_off > 0 {
            tracing::warn!(
                connections = drained.cut_off,
                "The end cut off open connections"
            );
        }
        Ok(Exit::Done)
    })
}

fn not_running(error: &ServeError) -> Failure {
    let (kind, code, help) = match error {
        ServeError::Content(error) => return error.clone().into(),
        ServeError::Store(error) => (ErrorKind::Unavailable, "ESC-0902", error.next_step()),
        ServeError::Proxy(_) => (
            ErrorKind::Unavailable,
            "ESC-0508",
            "read the proxy's log that the message names".into(),
        ),
        ServeError::Listen(_) => (
            ErrorKind::Unavailable,
            "ESC-0509",
            "free the address, or choose one with --listen".into(),
        ),
        ServeError::Config(_) => (
            ErrorKind::BadInput,
            "ESC-0507",
            "see `esclusa serve --help`".into(),
        ),
    };
    ApiError::new(kind, code, error.to_string(), help).into()
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("no runtime: {error}")))
}

/// Ends when a signal asks the program to.
fn told_to_end() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let fail = |error: std::io::Error| Failure::internal(format!("no signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn start_log(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_env("ESCLUSA_LOG").or_else(|error| {
        if std::env::var_os("ESCLUSA_LOG").is_some() {
            return Err(Failure::input(
                "ESC-0507",
                format!("ESCLUSA_LOG is not understood: {error}"),
                "write it like info or info,esclusa_server=debug",
            ));
        }
        Ok(EnvFilter::new("info"))
    })?;
    let writer = match &log.log_file {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(path) => {
            let file = LogFile::open(path, limits(log)).map_err(|error| {
                Failure::input(
                    "ESC-0507",
                    format!("the log file {} cannot be written: {error}", path.display()),
                    "choose another one with --log-file, or mend its folder",
                )
            })?;
            BoxMakeWriter::new(Mutex::new(file))
        }
    };
    let log_to = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let started = match log.log {
        LogForm::Text => log_to.with_ansi(false).try_init(),
        LogForm::Json => log_to.json().try_init(),
    };
    started.map_err(|error| Failure::internal(format!("no log: {error}")))
}

fn limits(log: &Log) -> Limits {
    const DAY: u64 = 86_400;
    Limits {
        size: u64::from(log.log_mib.max(1)) * 1024 * 1024,
        turn: Duration::from_secs(7 * DAY),
        files: log.log_files,
        age: Duration::from_secs(u64::from(log.log_days) * DAY),
    }
}
