//! `serve`: the control plane, and what all long-running programs share.

use crate::args::{Cli, FlagsListen, Global, Log, LogForm, Serve};
use crate::exit::{Exit, Failure};
use crate::init;
use crate::logfile::{Limits, LogFile};
use crate::logthread::Behind;
use crate::place;
use clap::CommandFactory as _;
use esclusa_server::{ApiError, ErrorKind, ServeConfig, ServeError};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Where flags are answered in development, as others have it too.
const DEV_FLAGS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8016));

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
    let flags_listen = flags_listen(asked);
    let listen = flags_listen.map(|address| address.to_string());
    let mut proxy = vec!["proxy", "--id", "local", "--workers", &workers];
    if let Some(address) = &listen {
        proxy.extend(["--flags-listen", address]);
    }
    let config = ServeConfig {
        data: place::data(global)?,
        listen: asked.listen,
        dev: asked.dev,
        public_url: asked.public_url.clone(),
        proxy: words(&proxy),
        flags_listen,
        flags_environment: asked.flags_environment.clone(),
        variables: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        external_proxy: asked.external_proxy,
        shim: words(&["shim"]),
        notify: asked.notify.clone(),
        sinks: asked.sinks.clone(),
    };
    runtime()?.block_on(async {
        let told = told_to_end()?;
        esclusa_server::serve(config, told)
            .await
            .map_err(|error| not_running(&error))?;
        Ok(Exit::Done)
    })
}

/// Where the proxy is to answer flags. A program whose proxy does not answer them has no
/// place for that.
fn flags_listen(asked: &Serve) -> Option<SocketAddr> {
    let proxy_can = Cli::command()
        .find_subcommand("proxy")
        .is_some_and(|proxy| {
            let mut words = proxy.get_arguments();
            words.any(|word| word.get_long() == Some("flags-listen"))
        });
    match asked.flags_listen {
        Some(FlagsListen::At(address)) => Some(address),
        Some(FlagsListen::Off) => None,
        None => (asked.dev && proxy_can).then_some(DEV_FLAGS),
    }
}

fn not_running(error: &ServeError) -> Failure {
    let (kind, code, help) = match error {
        ServeError::Content(error) => return error.clone().into(),
        ServeError::Store(error) => (ErrorKind::Unavailable, error.code(), error.next_step()),
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

/// A runtime for a program that serves.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("no runtime: {error}")))
}

/// Ends when a signal asks the program to.
pub(crate) fn told_to_end() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
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

/// Begins to log.
pub(crate) fn start_log(log: &Log) -> Result<(), Failure> {
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
        None => Behind::start(Box::new(std::io::stderr())),
        Some(path) => {
            let file = LogFile::open(path, limits(log)).map_err(|error| {
                Failure::input(
                    "ESC-0507",
                    format!("the log file {} cannot be written: {error}", path.display()),
                    "choose another one with --log-file, or mend its folder",
                )
            })?;
            Behind::start(Box::new(file))
        }
    };
    let writer = writer.map_err(|error| Failure::internal(format!("no log: {error}")))?;
    let log_to = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Its complaint about a full disk would go to the same disk, and panic there.
        .log_internal_errors(false)
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
