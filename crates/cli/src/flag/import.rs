//! Flags from environment variables.

use super::agree::show;
use super::args::ImportFrom;
use super::{env_file, say_arrived};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::place;
use esclusa_flags::says_nothing;
use esclusa_server::body::{ImportEnv, ImportedView};
use std::path::Path;

pub(super) async fn import(
    client: &Client,
    asked: &ImportFrom,
    output: &Output,
) -> Result<Exit, Failure> {
    let variables = match &asked.file {
        Some(file) => {
            let help = "name a file with lines such as FEATURE_JOB_QUEUE=true";
            env_file::read(&place::one_file(file, help)?).map_err(|wrong| {
                let message = format!("{}: {}", file.display(), wrong.join("; "));
                let help = "nothing was changed; write each line as FEATURE_JOB_QUEUE=true, and \
                            each name once";
                Failure::input("ESC-0749", message, help)
            })?
        }
        None => std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| env_file::is_ours(name))
            .collect(),
    };
    if variables
        .iter()
        .all(|(name, value)| says_nothing(name, value))
    {
        return Err(nothing(asked.file.as_deref()));
    }
    let body = ImportEnv {
        environment: asked.at.environment.clone(),
        variables,
        create: asked.create,
        dry_run: asked.dry_run,
        reason: asked.reason.clone(),
    };
    let found: ImportedView = client.post("/api/v1/flag-set/import-env", &body).await?;
    let drift = asked.dry_run && !found.applied.changes.is_empty();
    if !output.json(&found) {
        show(&found.applied.changes, output);
        if !found.created.is_empty() {
            output.say(&format!("new flags: {}", found.created.join(", ")));
        }
        if found.applied.applied {
            output.say(&format!("revision {}", found.applied.revision));
            say_arrived(
                found.applied.in_force,
                found.applied.note.as_deref(),
                output,
            );
        }
    }
    Ok(if drift { Exit::Fault } else { Exit::Done })
}

fn nothing(file: Option<&Path>) -> Failure {
    let what = "no variable FEATURE_* or ESCLUSA_FLAGS that says anything";
    match file {
        Some(file) => Failure::input(
            "ESC-0748",
            format!("{} has {what}", file.display()),
            "write lines such as FEATURE_JOB_QUEUE=true into it",
        ),
        None => Failure::input(
            "ESC-0748",
            format!("there is {what}"),
            "set them for this command, or name a file with --file",
        ),
    }
}
