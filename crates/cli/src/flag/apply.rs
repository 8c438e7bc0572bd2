//! Making flags what a file says.

use super::args::Apply;
use super::{change_lines, say_arrived};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Form, Output};
use crate::place;
use esclusa_server::body::{AppliedView, ApplyFlags};
use serde_json::Value;
use std::io::{BufRead as _, IsTerminal as _};

/// Most lines of a difference; nobody reads a thousand tenants.
const MAX_LINES: usize = 50;

pub(super) async fn apply(
    client: &Client,
    asked: &Apply,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut body = ApplyFlags {
        set: read(asked)?,
        replace: asked.replace,
        revision: None,
        dry_run: true,
        reason: asked.reason.clone(),
    };
    let would: AppliedView = client.put("/api/v1/flag-set", &body).await?;
    if would.changes.is_empty() || asked.dry_run {
        if !output.json(&would) {
            show(&would, output);
        }
        return Ok(Exit::Done);
    }
    if output.form == Form::People {
        show(&would, output);
        if !asked.yes && !agreed(output) {
            output.say("nothing was changed");
            return Ok(Exit::BadInput);
        }
    }
    // Exactly what was shown: somebody else's change in between is a conflict.
    body.revision = Some(would.revision);
    body.dry_run = false;
    let done: AppliedView = client.put("/api/v1/flag-set", &body).await?;
    if !output.json(&done) {
        output.say(&format!("revision {}", done.revision));
        say_arrived(done.in_force, done.note.as_deref(), output);
    }
    Ok(Exit::Done)
}

pub(super) fn show(view: &AppliedView, output: &Output) {
    let changes = view.changes.iter();
    let lines: Vec<String> = changes
        .flat_map(|change| change_lines(change, output))
        .collect();
    for line in lines.iter().take(MAX_LINES) {
        output.line(line);
    }
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        output.say(&format!("and {more} more: `--dry-run --json` shows all"));
    }
    if view.changes.is_empty() {
        output.say("nothing is different from what is stored");
    }
}

/// Asks a person; a program has said what it wants by calling this.
fn agreed(output: &Output) -> bool {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return true;
    }
    output.say("make these changes? [y/N]");
    let mut answer = String::new();
    // Who closes the terminal has not agreed.
    let read = input.lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn read(asked: &Apply) -> Result<Value, Failure> {
    let help = "name a set of flags in JSON or YAML, such as `esclusa flag export` prints";
    let text = place::one_file(&asked.file, help)?;
    parse(&text).map_err(|error| {
        let message = format!("{} is neither JSON nor YAML: {error}", asked.file.display());
        Failure::input("ESC-0747", message, help)
    })
}

/// A variant `on` is a name, not the word that older YAML has for true.
fn parse(text: &str) -> Result<Value, serde_saphyr::Error> {
    // What is no JSON may be YAML, whose words are the better ones then.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_json::from_str(text).or_else(|_| serde_saphyr::from_str_with_options(text, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_on_and_off_are_names_in_yaml_too() {
        let read = parse("flags: { a: { type: boolean, default: on, browsers: true } }");
        let flag = &read.expect("YAML")["flags"]["a"];
        assert_eq!(
            (&flag["default"], &flag["browsers"]),
            (&"on".into(), &true.into())
        );
    }
}
