//! `backup-state` and `restore-state`: the data folder's state in one file, and back.
//!
//! A server that runs on the folder writes its backup itself, because its files are its
//! own; without one the folder is read. A restore is for a folder that none runs on.

use crate::args::Global;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Form, Output, Tone};
use crate::place;
use clap::Args;
use esclusa_model::Timestamp;
use esclusa_server::ApiError;
use esclusa_server::body::{BackUpState, BackedUp};
use esclusa_store::backup::{
    BackupError, Content, Doing, Existing, Made, Manifest, Progress, Tell, Wanted, make,
    restore as put,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How often a long run says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(3);
/// Longest wait for a server that writes a backup.
const LONGEST: Duration = Duration::from_secs(6 * 3_600);
/// The code of a server that nobody could reach.
const NO_SERVER: &str = "ESC-0501";
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
    let made = match ask_server(&asked, global, output).await? {
        Some(made) => made,
        None => make_here(&asked, global, output).await?,
    };
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
    let done = done.map_err(failure)?;
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

/// A running server alone reads its own files; nothing where none runs.
async fn ask_server(
    asked: &BackUp,
    global: &Global,
    output: &Output,
) -> Result<Option<Made>, Failure> {
    let here = Global {
        server: None,
        ..global.clone()
    };
    let file = std::path::absolute(&asked.file)
        .map_err(|error| Failure::internal(format!("{}: {error}", asked.file.display())))?;
    let wanted = BackUpState {
        file: file.display().to_string(),
        force: asked.force,
        without_slices: asked.without_slices,
        with_artifacts: asked.with_artifacts,
    };
    let client = Client::new(&here)?;
    let answer = client.post_within::<_, BackedUp>("/api/v1/state/backup", &wanted, LONGEST);
    let mut answer = std::pin::pin!(answer);
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            () = tokio::time::sleep(TELL_EVERY) => {
                if output.form != Form::Json {
                    output.say("the server writes the backup ...");
                }
            }
        }
    };
    match answer {
        Ok(made) => Ok(Some(Made {
            file: made.file.into(),
            size: made.size,
            manifest: made.manifest,
        })),
        Err(failure) if failure.error.code == NO_SERVER => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn make_here(asked: &BackUp, global: &Global, output: &Output) -> Result<Made, Failure> {
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
    made.map_err(failure)
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

fn failure(error: BackupError) -> Failure {
    ApiError::from(error).into()
}

/// The wall clock in microseconds.
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
