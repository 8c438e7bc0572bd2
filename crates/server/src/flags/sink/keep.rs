//! One table's task.

use super::super::Flags;
use super::board::Mark;
use super::wanted::{Desired, desired};
use crate::backoff::Backoff;
use esclusa_drivers::sink::{Known, Mirrored, SinkConfig};
use esclusa_flags::FlagSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked whether anything about flags has changed.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait for a proxy, which may know of kills that the record does not have.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a look at the table was about.
pub(super) struct Looked {
    pub mark: Mark,
    pub rows: usize,
    pub unknown: Vec<String>,
    pub notes: Vec<String>,
    pub mirrored: Result<Mirrored, String>,
}

/// Keeps one table at what flags are, until it is ended.
pub(super) async fn keep(flags: Arc<Flags>, config: SinkConfig) {
    let begun = Instant::now();
    while !flags.is_settled() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
    }
    let mut known = Known::default();
    let mut backoff = Backoff::default();
    loop {
        let looked = look(&flags, &config, &known).await;
        let mark = looked.mark;
        let pause = match &looked.mirrored {
            Ok(mirrored) => {
                known = mirrored.known.clone();
                backoff = Backoff::default();
                config.every.as_std()
            }
            // A database that is back is met no later than it would be looked at anyway.
            Err(_) => backoff
                .pause_after(Duration::ZERO)
                .clamp(LOOK, config.every.as_std()),
        };
        flags.sinks.looked(&config.name, looked);
        let until = Instant::now() + pause;
        // A change is tried at once, also where earlier ones failed.
        while Instant::now() < until && flags.mark() == mark {
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn look(flags: &Flags, config: &SinkConfig, known: &Known) -> Looked {
    // What changes from here on is another look's.
    let mark = flags.mark();
    flags.sinks.begins(&config.name, mark);
    let Desired {
        wanted,
        unknown,
        notes,
    } = match ask(flags, config) {
        Ok(desired) => desired,
        Err(why) => {
            return Looked {
                mark,
                rows: 0,
                unknown: Vec::new(),
                notes: Vec::new(),
                mirrored: Err(why),
            };
        }
    };
    let limit = config.timeouts.whole();
    let mirrored = config.sink.mirror(&wanted, known);
    let mirrored = match tokio::time::timeout(limit.as_std(), mirrored).await {
        Ok(mirrored) => mirrored.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "the database has not ended its answer within {limit}"
        )),
    };
    Looked {
        mark,
        rows: wanted.rows.len(),
        unknown,
        notes,
        mirrored,
    }
}

/// What the table has to hold.
fn ask(flags: &Flags, config: &SinkConfig) -> Result<Desired, String> {
    let set = flags.set().map_err(|error| error.to_string())?;
    let environment = environment(config, &set)?;
    let snapshot = flags.snapshot(&set, environment);
    let snapshot = snapshot.map_err(|error| error.to_string())?;
    Ok(desired(config, &set, &snapshot))
}

/// The environment that is meant.
pub(super) fn environment<'a>(config: &'a SinkConfig, set: &'a FlagSet) -> Result<&'a str, String> {
    match (&config.environment, set.environments.len()) {
        (Some(name), _) if set.environments.contains(name) => Ok(name),
        (Some(name), _) => Err(format!("there is no environment {name:?} of flags yet")),
        (None, 0) => Ok(""),
        (None, 1) => Ok(set.environments.first().map_or("", String::as_str)),
        (None, _) => Err("there are several environments of flags: name one in the file".into()),
    }
}
