//! `proxy`: a data plane of its own, alone or after another.

use crate::args::{Global, Proxy};
use crate::exit::{Exit, Failure};
use crate::notify;
use crate::serve::{runtime, start_log, told_to_end};
use esclusa_model::ProxyId;
use esclusa_proxy::{ProxyConfig, ProxyError, ProxyHandle};
use esclusa_server::{ApiError, ErrorKind};
use listenfd::ListenFd;
use std::time::Duration;

/// The name of the socket for `/metrics` among those of socket activation.
const METRICS: &str = "metrics";
/// The name of the one that answers flags.
const FLAGS: &str = "flags";
/// How often a hand-over that was called off is tried again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Runs a data plane until it is told to end, or until another has taken over.
pub(crate) fn run(global: &Global, asked: &Proxy) -> Result<Exit, Failure> {
    start_log(&asked.log)?;
    let mut sockets = Activated::from_environment()?;
    runtime()?.block_on(async {
        let told = told_to_end()?;
        let mut proxy = start(global, asked, &mut sockets).await?;
        notify::ready();
        tokio::select! {
            () = told => {}
            () = proxy.gone() => {}
        }
        let drained = proxy.drain(asked.drain.as_std()).await;
        if drained.cut_off > 0 {
            tracing::warn!(
                connections = drained.cut_off,
                "The end cut off open connections"
            );
        }
        Ok(Exit::Done)
    })
}

async fn start(
    global: &Global,
    asked: &Proxy,
    sockets: &mut Activated,
) -> Result<ProxyHandle, Failure> {
    let mut tries = 0;
    loop {
        let config = config(global, asked, sockets)?;
        match esclusa_proxy::Proxy::start(config) {
            Ok(proxy) => return Ok(proxy),
            Err(ProxyError::NotHandedOver(why)) if tries < TRIES => {
                tracing::warn!(why, "The hand-over was called off; trying again");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(not_running(&error)),
        }
    }
}

fn not_running(error: &ProxyError) -> Failure {
    let (code, help) = match error {
        ProxyError::NotHandedOver(_) => (
            "ESC-0520",
            "the proxy that runs goes on; look at its log, then try again",
        ),
        _ => (
            "ESC-0508",
            "look at the folder and address that the message names",
        ),
    };
    let text = format!("the proxy cannot run: {error}");
    ApiError::new(ErrorKind::Unavailable, code, text, help).into()
}

fn config(global: &Global, asked: &Proxy, sockets: &Activated) -> Result<ProxyConfig, Failure> {
    let id = ProxyId::new(asked.id.clone()).map_err(|error| {
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
    config.flags_listen = asked.flags_listen;
    config.take_over = asked.take_over;
    config.holder = asked.holder.clone();
    config.hand_over_drain = asked.hand_over_drain.as_std();
    let copy = |socket: &std::net::TcpListener| {
        socket.try_clone().map_err(|error| {
            Failure::internal(format!(
                "a socket of the supervisor cannot be used: {error}"
            ))
        })
    };
    config.activated = sockets.clients.iter().map(copy).collect::<Result<_, _>>()?;
    config.activated_metrics = sockets.metrics.as_ref().map(copy).transpose()?;
    config.activated_flags = sockets.flags.as_ref().map(copy).transpose()?;
    Ok(config)
}

/// Listening sockets of a supervisor such as systemd (`LISTEN_FDS`).
struct Activated {
    clients: Vec<std::net::TcpListener>,
    metrics: Option<std::net::TcpListener>,
    flags: Option<std::net::TcpListener>,
}

impl Activated {
    fn from_environment() -> Result<Self, Failure> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut given = ListenFd::from_env();
        let mut all = Self {
            clients: Vec::new(),
            metrics: None,
            flags: None,
        };
        for at in 0..given.len() {
            let name = names.get(at).copied().unwrap_or_default();
            let socket = given.take_tcp_listener(at).map_err(|error| {
                Failure::input(
                    "ESC-0507",
                    format!("socket {at} ({name:?}) of the supervisor cannot be used: {error}"),
                    "hand over listening TCP sockets only (ListenStream= with an address and port)",
                )
            })?;
            match socket {
                Some(socket) if name == METRICS => all.metrics = Some(socket),
                Some(socket) if name == FLAGS => all.flags = Some(socket),
                Some(socket) => all.clients.push(socket),
                None => {}
            }
        }
        Ok(all)
    }
}
