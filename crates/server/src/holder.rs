//! The process that keeps the proxy's listening sockets open whatever happens to it.

use esclusa_model::Millis;
use esclusa_shim::hold::HoldClient;
use esclusa_shim::{LogLimits, Observed, ShimClient, ShimCommand, ShimError, Spec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SIGTERM: i32 = 15;
/// It has nothing to finish.
const GRACE: Millis = Millis(2_000);
/// Longest wait for its first answer.
const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// Where the holder answers, in a data folder.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join("proxy").join("held")
}

/// Sees to it that a holder runs for the proxy of a data folder. One that answers is left
/// alone: it may be all that keeps clients from being refused. Without one the proxy
/// works, and only its crash would refuse connections, so a failure is only logged.
pub(crate) async fn ensure(data: &Path, shim: &ShimCommand) {
    let (data, shim) = (data.to_owned(), shim.clone());
    let folder = folder(&data);
    let started = tokio::task::spawn_blocking(move || start_unless_answered(&data, &shim)).await;
    match started {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return tracing::error!(%error, "The proxy's sockets are not held"),
        Err(error) => return tracing::error!(%error, "The proxy's sockets are not held"),
    }
    let until = tokio::time::Instant::now() + LIMIT;
    while !answers(&folder) {
        if tokio::time::Instant::now() > until {
            return tracing::error!("The proxy's sockets are not held: their holder is silent");
        }
        tokio::time::sleep(POLL).await;
    }
}

fn answers(folder: &Path) -> bool {
    HoldClient::connect(folder)
        .and_then(|mut holder| holder.list())
        .is_ok()
}

fn start_unless_answered(data: &Path, shim: &ShimCommand) -> Result<(), ShimError> {
    let folder = folder(data);
    if answers(&folder) {
        return Ok(());
    }
    let supervised = data.join("instances").join("holder");
    let client = ShimClient::new(&supervised);
    if !matches!(client.observe(), Observed::Absent | Observed::Ended(_)) {
        client.stop(SIGTERM, GRACE)?;
    }
    let words = std::iter::once(shim.program.display().to_string())
        .chain(shim.args.iter().map(|a| a.to_string_lossy().into_owned()))
        .chain(["hold".to_owned(), folder.display().to_string()])
        .collect();
    let spec = Spec {
        identity: "holder".into(),
        words,
        env: BTreeMap::new(),
        cwd: PathBuf::from("/"),
        log: LogLimits::default(),
        stop_signal: SIGTERM,
        stop_grace: GRACE,
    };
    esclusa_shim::spawn(shim, &supervised, &spec, Millis(10_000)).map(|_| ())
}
