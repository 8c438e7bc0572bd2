//! `backup-state` and `restore-state`: the data folder's state in one file, and back.
//!
//! Both work on the folder itself and ask no server: a backup is read beside one, and a
//! restore is for a folder that none runs on.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::{Form, Output, Tone};
use crate::place;
use clap::Args;
use esclusa_model::Timestamp;
use esclusa_server::{ApiError, ErrorKind};
use esclusa_store::backup::{
    BackupError, Content, Doing, Existing, Manifest, Progress, Tell, Wanted, make, restore as put,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How often a long run says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(3);
const MIB: u64 = 1 << 20;

/// Copy the state into one file.
#[derive(Debug, Args)]
pub(crate) struct BackUp {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
    /// Leave out the counts of traffic; reports of earlier releases then tell of none
    #[arg(long)]
    pub without_slices: bool,
    /// Put in the versions that the data folder keeps by digest
    #[arg(long)]
    pub with_artifacts: bool,
}

/// Put a backup back.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

pub(crate) async fn back_up(
    asked: BackUp,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let wanted = |with: bool| {
        if with { Wanted::With } else { Wanted::Without }
    };
    let content = Content {
        slices: wanted(!asked.without_slices),
        artifacts: wanted(asked.with_artifacts),
    };
    let existing = if asked.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let data = place::data(global)?;
    let made = make(&data, &asked.file, content, existing, now(), tell(output)).await;
    let made = made.map_err(|error| failure(&error))?;
    let exit = warn(&made.manifest, output);
    if output.json(&made) {
        return Ok(exit);
    }
    let word = output.colour.paint(Tone::Good, "backed up");
    output.line(&format!(
        "{word} into {}: {}, {}",
        made.file.display(),
        content_of(&made.manifest),
        size(made.size)
    ));
    if made.manifest.artifacts.is_none() {
        output.say("versions are not in it; --with-artifacts puts them in");
    }
    Ok(exit)
}

pub(crate) async fn restore(
    asked: Restore,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let data = place::data(global)?;
    let done = put(&asked.file, &data, now(), tell(output)).await;
    let done = done.map_err(|error| failure(&error))?;
    warn(&done.manifest, output);
    if output.json(&done) {
        return Ok(Exit::Done);
    }
    let word = output.colour.paint(Tone::Good, "restored");
    output.line(&format!(
        "{word} into {}: {}",
        done.dir.display(),
        content_of(&done.manifest)
    ));
    output.say(
        "start `esclusa serve` on it and look at `esclusa release history`: releases go on from \
         where they were when the backup was made",
    );
    Ok(Exit::Done)
}

/// Says what is wrong with the record in a backup.
fn warn(manifest: &Manifest, output: &Output) -> Exit {
    if manifest.left_out > 0 {
        output.say(&format!(
            "{} sockets, pipes or devices among the versions' files are not in it",
            manifest.left_out
        ));
    }
    for broken in &manifest.broken {
        let word = output.talk_colour.paint(Tone::Bad, "damaged");
        output.say(&format!("{word} when the backup was made: {broken}"));
    }
    if manifest.broken.is_empty() {
        Exit::Done
    } else {
        Exit::Fault
    }
}

fn content_of(manifest: &Manifest) -> String {
    let mut parts = vec![format!(
        "{} events in {} streams",
        manifest.events, manifest.streams
    )];
    if manifest.slices {
        parts.push("counts of traffic".into());
    }
    if let Some(versions) = manifest.artifacts {
        parts.push(format!("{versions} versions"));
    }
    parts.join(", ")
}

fn size(bytes: u64) -> String {
    if bytes < MIB {
        format!("{} KiB", bytes.div_ceil(1 << 10))
    } else {
        format!("{} MiB", bytes / MIB)
    }
}

/// Talks while it takes long.
fn tell(output: &Output) -> Tell {
    let output = *output;
    let said = Mutex::new(Instant::now());
    Arc::new(move |progress: Progress| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if output.form == Form::Json || said.elapsed() < TELL_EVERY {
            return;
        }
        *said = Instant::now();
        let doing = match progress.doing {
            Doing::Copying => "copying databases",
            Doing::Checking => "checking the record",
            Doing::Packing => "writing the backup",
            Doing::Comparing => "comparing the backup with its digest",
            Doing::Unpacking => "unpacking",
        };
        output.say(&match progress.bytes {
            0 => format!("{doing} ..."),
            bytes => format!("{doing}: {} ...", size(bytes)),
        });
    })
}

fn failure(error: &BackupError) -> Failure {
    let kind = if error.is_bad_input() {
        ErrorKind::BadInput
    } else {
        ErrorKind::Unavailable
    };
    let mut message = error.to_string();
    if let BackupError::File { source, .. } = error {
        message = format!("{message}: {source}");
    }
    ApiError::new(kind, error.code(), message, error.next_step()).into()
}

/// The wall clock in microseconds.
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
