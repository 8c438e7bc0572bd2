//! Making flags what a file says.

use super::args::Apply;
use super::{change_lines, guard_warnings, say_arrived, set_file};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Form, Output};
use esclusa_server::body::{AppliedView, ApplyFlags};
use std::io::{BufRead as _, IsTerminal as _};

/// Most lines of a difference; nobody reads a thousand tenants.
const MAX_LINES: usize = 50;

const HELP: &str = "name a set of flags in JSON or YAML, such as `esclusa flag export` prints";

pub(super) async fn apply(
    client: &Client,
    asked: &Apply,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut body = ApplyFlags {
        set: set_file::read(&asked.file, "ESC-0747", HELP)?,
        replace: asked.replace,
        revision: None,
        dry_run: true,
        reason: asked.reason.clone(),
    };
    let would: AppliedView = client.put("/api/v1/flag-set", &body).await?;
    if would.changes.is_empty() || asked.dry_run {
        if !output.json(&would) {
            show(&would, output);
            guard_warnings(&would.guards, &[], output);
        }
        return Ok(Exit::Done);
    }
    if output.form == Form::People {
        show(&would, output);
        guard_warnings(&would.guards, &[], output);
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
        guard_warnings(&done.guards, &would.guards, output);
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
