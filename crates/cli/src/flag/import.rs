//! Flags from environment variables.

use super::agree::show;
use super::args::ImportFrom;
use super::say_arrived;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::place;
use esclusa_flags::{FLAG_VARIABLE, LIST_VARIABLE};
use esclusa_server::body::{ImportEnv, ImportedView};
use std::collections::BTreeMap;

pub(super) async fn import(
    client: &Client,
    asked: &ImportFrom,
    output: &Output,
) -> Result<Exit, Failure> {
    let all: Vec<(String, String)> = match &asked.file {
        Some(file) => {
            let help = "name a file with lines such as FEATURE_JOB_QUEUE=true";
            lines(&place::one_file(file, help)?)
        }
        None => std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    };
    let ours = |name: &str| name == LIST_VARIABLE || name.starts_with(FLAG_VARIABLE);
    let variables: BTreeMap<String, String> =
        all.into_iter().filter(|(name, _)| ours(name)).collect();
    if variables.is_empty() {
        return Err(Failure::input(
            "ESC-0748",
            "no variable FEATURE_* or ESCLUSA_FLAGS is there",
            "set them for this command, or name a file with --file",
        ));
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

/// The assignments of a .env file.
fn lines(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim);
    let lines = lines.map(|line| line.strip_prefix("export ").unwrap_or(line));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(name, _)| !name.starts_with('#'));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()).to_owned()))
        .collect()
}

/// A value without its quotes, or without the comment behind it.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some((inner, _)) = rest.split_once(quote)
        {
            return inner;
        }
    }
    value
        .split_once(" #")
        .map_or(value, |(value, _)| value)
        .trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    // FLAG-10
    #[test]
    fn an_env_file_is_read_as_shells_read_it() {
        let text = "# FEATURE_OLD=true\n\nFEATURE_A=true # on\nexport FEATURE_B='false'\n\
                    ESCLUSA_FLAGS=\"a=true,b=false\"\nFEATURE_C = true\n";
        let found: Vec<String> = lines(text)
            .into_iter()
            .map(|(n, v)| format!("{n}:{v}"))
            .collect();
        assert_eq!(
            found,
            [
                "FEATURE_A:true",
                "FEATURE_B:false",
                "ESCLUSA_FLAGS:a=true,b=false",
                "FEATURE_C:true"
            ]
        );
    }
}
