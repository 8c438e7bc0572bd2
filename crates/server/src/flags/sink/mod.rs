//! Tables of applications that follow the flags, for those that read them with plain SQL.
//!
//! Each table has a task of its own, which compares what the evaluator answers with what the
//! table holds, whenever anything about flags changes and every so often besides. Nobody
//! waits for it: a kill is in force before, and at most names the tables that do not have it.
//! What rows have to be stands in [`wanted`], which is pure; how they are written, in the
//! drivers.

mod board;
mod by_hand;
mod keep;
#[cfg(test)]
mod tests;
mod wanted;

pub use board::SinkView;
pub(super) use board::{Board, Mark};
pub use by_hand::{NoSql, SqlByHand, sink_by_hand};

use super::Flags;
use esclusa_drivers::sink::{SinksConfig, parse};
use esclusa_plan::{Diagnostic, SourceFile, render_places};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// The file in the data folder that is read where no other is named.
const FILE: &str = "sinks.yaml";
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Keeps tables at what flags are until the program ends. `file` is named by the caller; else
/// the one in the data folder is read, where there is one.
pub(crate) async fn run(flags: Arc<Flags>, data: PathBuf, file: Option<PathBuf>) {
    let place = file.clone().unwrap_or_else(|| data.join(FILE));
    let must_exist = file.is_some();
    let mut hang_up = signal(SignalKind::hangup())
        .inspect_err(|error| tracing::error!(%error, "SIGHUP is not heard"))
        .ok();
    let mut tasks = JoinSet::new();
    loop {
        match read(&place, must_exist).await {
            Ok(config) => {
                let sinks = config.sinks.len();
                tracing::info!(sinks, file = %place.display(), "Tables that follow the flags");
                // What one was about to write is not written.
                tasks.shutdown().await;
                flags.sinks.begin(&config);
                for sink in config.sinks {
                    tasks.spawn(keep::keep(Arc::clone(&flags), sink));
                }
            }
            Err(why) => {
                tracing::error!(
                    file = %place.display(),
                    "Tables do not follow the flags as the file says (ESC-0720):\n{why}"
                );
                flags.sinks.in_trouble(why);
            }
        }
        let heard = match &mut hang_up {
            Some(hang_up) => hang_up.recv().await,
            None => None,
        };
        if heard.is_none() {
            return std::future::pending().await;
        }
    }
}

async fn read(place: &Path, must_exist: bool) -> Result<SinksConfig, String> {
    match tokio::fs::metadata(place).await {
        Ok(found) if found.len() > MAX_FILE_BYTES => {
            return Err(format!("the file is larger than {MAX_FILE_BYTES} bytes"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok(SinksConfig::default());
        }
        Err(error) => return Err(error.to_string()),
    }
    let text = tokio::fs::read_to_string(place).await;
    let text = text.map_err(|error| error.to_string())?;
    let source = SourceFile::new(place.display().to_string(), text);
    check(&source).map_err(|found| render_places(&source, &found))
}

/// Reads a file that says which tables follow the flags.
///
/// # Errors
/// Everything that is wrong with it, in its order.
pub fn check(source: &SourceFile) -> Result<SinksConfig, Vec<Diagnostic>> {
    parse(source)
}
