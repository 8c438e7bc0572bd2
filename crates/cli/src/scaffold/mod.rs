//! `init`: looks at a folder and writes a first plan for what is in it.
//!
//! Only files are read; nothing is started and nothing asked. What was found and what was
//! guessed is said apart, in the plan and to whoever called.

mod compose;
mod detect;
mod pm2;
mod procfile;
mod systemd;
mod write;

use crate::exit::{Exit, Failure};
use crate::findings;
use crate::layout::replace;
use crate::output::Output;
use esclusa_plan::{SourceFile, format, json_schema, parse};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The plan's usual name.
const PLAN: &str = "esclusa.yaml";
/// The schema that the plan's first line names, for editors.
const SCHEMA: &str = "esclusa.schema.json";

/// Write a first plan.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The folder to look at, in which the plan is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Overwrite a plan that is there
    #[arg(long)]
    pub force: bool,
    /// Write nothing, print the plan
    #[arg(long)]
    pub print: bool,
}

/// How a component is exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Web,
    Worker,
    Singleton,
}

/// One part of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: String,
    kind: Kind,
    run: Run,
    /// A path that tells whether it is well.
    health: Option<String>,
}

/// How a part is run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Run {
    /// A line for the shell, in the folder of the artifact.
    Process {
        line: String,
        env: Vec<(String, String)>,
    },
    /// Lines that start, stop and ask.
    Scripts {
        start: String,
        stop: String,
        status: String,
    },
}

/// What is in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Found {
    /// Files and what they say, in words.
    found: Vec<String>,
    /// What nobody said and the plan has all the same.
    guessed: Vec<String>,
    parts: Vec<Part>,
    /// Commands that run once before a version starts.
    before: Vec<String>,
    /// The port that users come to today.
    port: Option<u16>,
}

pub(crate) fn run(asked: &Init, output: &Output) -> Result<Exit, Failure> {
    let folder = asked.dir.canonicalize().map_err(|error| {
        Failure::input(
            "ESC-0532",
            format!("{} cannot be looked at: {error}", asked.dir.display()),
            "name a folder that exists with --dir",
        )
    })?;
    let file = asked.dir.join(PLAN);
    if file.symlink_metadata().is_ok() && !asked.force && !asked.print {
        return Err(Failure::input(
            "ESC-0531",
            format!("{} is there already", file.display()),
            "look at a new one with --print, or overwrite it with --force",
        ));
    }
    let found = detect::look(&folder);
    let text = plan_of(&folder, &found)?;
    let source = SourceFile::new(PLAN, &text);
    let warnings = match parse(&source, &esclusa_drivers::catalog()) {
        Ok(parsed) => parsed.warnings,
        Err(wrong) => {
            findings::print(&wrong, &source, output);
            return Err(Failure::internal("the first plan is not accepted"));
        }
    };
    if !asked.print {
        put(&file, &text)?;
        let schema = json_schema(&esclusa_drivers::catalog());
        let schema = serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n";
        put_schema(&asked.dir.join(SCHEMA), &schema)?;
    }
    let data = json!({
        "file": file.display().to_string(),
        "written": !asked.print,
        "found": found.found,
        "guessed": found.guessed,
        "warnings": warnings,
        "text": text,
    });
    if output.json(&data) {
        return Ok(Exit::Done);
    }
    for line in &found.found {
        output.say(&format!("found: {line}"));
    }
    for line in &found.guessed {
        output.say(&format!("guessed: {line}"));
    }
    if asked.print {
        output.line(text.trim_end());
    } else {
        output.say(&format!(
            "{} is written; `esclusa plan check {0}` and `esclusa plan show {0}` come next",
            file.display()
        ));
    }
    Ok(Exit::Done)
}

fn plan_of(folder: &Path, found: &Found) -> Result<String, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let text = write::plan(&name, found);
    format(&SourceFile::new(PLAN, text), &esclusa_drivers::catalog())
        .map_err(|_| Failure::internal("the first plan cannot be laid out"))
}

fn unwritten(file: &Path, error: &std::io::Error) -> Failure {
    Failure::input(
        "ESC-0530",
        format!("{} cannot be written: {error}", file.display()),
        "look at the rights of the folder and at the room on the disk",
    )
}

/// Writes a new file, or replaces one.
fn put(file: &Path, text: &str) -> Result<(), Failure> {
    let written = if file.exists() {
        replace(file, text)
    } else {
        std::fs::write(file, text)
    };
    written.map_err(|error| unwritten(file, &error))
}

/// The schema is made anew by every version of this program; another file under its name
/// is left alone.
fn put_schema(file: &Path, text: &str) -> Result<(), Failure> {
    let before = std::fs::read_to_string(file).ok();
    let ours = before.is_none_or(|before| before.contains("\"title\": \"esclusa plan\""));
    if ours { put(file, text) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
