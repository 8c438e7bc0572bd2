//! `judge replay | explain | power`: recorded traffic, judged again, and what a plan will
//! be able to see. Needs no server, but for what one has stored.
//!
//! Exit codes of `replay` are those of its last line: 0 PROCEED, 10 HOLD, 20 ROLLBACK,
//! and 2 for input that cannot be read.

mod selftest;
mod source;

use crate::args::{Global, duration};
use crate::exit::{Exit, Failure};
use crate::findings;
use crate::output::{Output, Tone};
use crate::place::read_plan;
use crate::plan::accepted;
use clap::{Args, Subcommand};
use esclusa_judge::JudgeConfig;
use esclusa_judge::replay::{Replay, TimelineLine};
use esclusa_judge::{Decision, Verdict};
use esclusa_model::Millis;
use esclusa_plan::{SourceFile, parse_judge, stage_power};
use serde_json::json;
use source::Source;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Largest settings file that is read.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
const HOLD: u8 = 10;
const ROLLBACK: u8 = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum JudgeVerb {
    /// Judge recorded traffic and print what the judge would have said, as JSON Lines
    ///
    /// One line whenever the verdict, its reason or its first cause changes, and a last one.
    /// Exits 0 when the last verdict is PROCEED, 10 at HOLD, 20 at ROLLBACK, 2 when the
    /// recording cannot be read. Lines of kind `m` are judged by the `series` of the same
    /// name in --config. Would another setting have caught it:
    /// `esclusa judge replay --release 0198 --config stricter.yaml`
    Replay(Recording),
    /// The same in words: what was seen, what was decided, and why
    Explain(Recording),
    /// What each stage of a plan can see at this traffic, and how long a proof takes
    Power(Power),
    /// Try a service's own traffic as releases that change nothing, and as harmful ones
    ///
    /// Says how many of so many identical releases these settings would have returned, held
    /// and promoted, and which harms they find how soon. Example:
    /// `esclusa judge selftest --service shop --hours 24 --max-false 1%`
    Selftest(selftest::SelfTest),
    /// Print the JSON Schema of a line that `replay` writes
    ///
    /// Example: `esclusa judge schema > timeline.schema.json`
    Schema,
}

/// Recorded traffic and the settings that it is judged with.
#[derive(Debug, Args)]
pub(crate) struct Recording {
    /// The recording (esclusa-judge/1, JSON Lines; `.gz` too); `-` reads standard input
    #[arg(required_unless_present = "release")]
    pub file: Option<PathBuf>,
    /// What the server stored of this release, in place of a file
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    pub release: Option<String>,
    /// Settings under the key `judge:`; without it those that the recording holds, as a
    /// release's does, else the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A line at least this often, whether something changed or not
    #[arg(long, value_name = "D", value_parser = duration)]
    pub every: Option<Millis>,
}

impl Recording {
    fn source(&self) -> Source {
        match (&self.release, &self.file) {
            (Some(release), _) => Source::Release(release.clone()),
            (None, Some(file)) => Source::File(file.clone()),
            // Refused before: one of the two is required.
            (None, None) => Source::File("-".into()),
        }
    }
}

pub(crate) fn run(verb: JudgeVerb, global: &Global, output: &Output) -> Result<Exit, Failure> {
    match verb {
        JudgeVerb::Replay(asked) => replay(&asked, global, output),
        JudgeVerb::Explain(asked) => explain(&asked, global, output),
        JudgeVerb::Power(asked) => power(&asked, output),
        JudgeVerb::Selftest(asked) => selftest::selftest(&asked, global, output),
        JudgeVerb::Schema => {
            let schema = esclusa_judge::timeline_schema();
            output.line(&serde_json::to_string_pretty(&schema).unwrap_or_default());
            Ok(Exit::Done)
        }
    }
}

fn replay(asked: &Recording, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let config = match settings(asked.config.as_deref(), output)? {
        Settings::OfRecording => None,
        Settings::Given(config) => Some(*config),
        Settings::Refused => return Ok(Exit::BadInput),
    };
    let last = judged(asked, global, config, |line| {
        // A timeline is JSON for programs and people alike.
        output.line(&serde_json::to_string(line).unwrap_or_default());
    })?;
    Ok(exit_of(last.decision))
}

fn explain(asked: &Recording, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let config = match settings(asked.config.as_deref(), output)? {
        Settings::OfRecording => None,
        Settings::Given(config) => Some(*config),
        Settings::Refused => return Ok(Exit::BadInput),
    };
    let mut lines = Vec::new();
    let last = judged(asked, global, config, |line| lines.push(line.clone()))?;
    let exit = exit_of(last.decision);
    if output.json(&last) {
        return Ok(exit);
    }
    for line in &lines {
        output.line(&in_words(line));
    }
    let tone = match last.decision {
        Decision::Proceed => Tone::Good,
        Decision::Hold => Tone::Warn,
        Decision::Rollback => Tone::Bad,
    };
    output.line("");
    output.line(&output.colour.paint(tone, &last.summary));
    for cause in &last.causes {
        output.line(&format!("  cause: {}", cause.in_words()));
    }
    output.line(&format!("  {}", last.proved()));
    if let Some(seconds) = last.eta_s {
        output.line(&format!(
            "  a proof is expected in {seconds} s at this traffic"
        ));
    }
    Ok(exit)
}

fn in_words(line: &TimelineLine) -> String {
    let causes: Vec<String> = line
        .causes
        .iter()
        .map(|cause| {
            let name = serde_json::to_value(cause.label).ok();
            let name = name.as_ref().and_then(|v| v.as_str()).unwrap_or_default();
            if cause.routes.is_empty() {
                name.to_owned()
            } else {
                format!("{name} on {}", cause.routes.join(", "))
            }
        })
        .collect();
    let verdict = match line.verdict {
        Decision::Proceed => "PROCEED",
        Decision::Hold => "HOLD",
        Decision::Rollback => "ROLLBACK",
    };
    format!(
        "{:>6} s  {verdict:<8}  {:<22} {:>8} canary requests  {}",
        line.t,
        line.reason,
        line.canary_requests,
        causes.join("; ")
    )
    .trim_end()
    .to_owned()
}

/// What the stages of a plan can see.
#[derive(Debug, Args)]
pub(crate) struct Power {
    /// The plan
    #[arg(value_name = "FILE", default_value = "esclusa.yaml")]
    pub file: PathBuf,
    /// Requests a second of the service
    #[arg(long, value_name = "N", value_parser = positive)]
    pub rps: f64,
    /// Its error rate in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.1)]
    pub error_rate: f64,
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() && n > 0.0 => Ok(n),
        _ => Err("a number above 0".into()),
    }
}

fn power(asked: &Power, output: &Output) -> Result<Exit, Failure> {
    let Some(parsed) = accepted(&read_plan(&asked.file)?, output) else {
        return Ok(Exit::BadInput);
    };
    let traffic = crate::plan::traffic(asked.rps, Some(asked.error_rate))?;
    let stages = stage_power(&parsed.plan, &traffic);
    if output.json(&stages) {
        return Ok(Exit::Done);
    }
    crate::plan::print_power(&stages, output);
    Ok(Exit::Done)
}

/// Runs a recording through the judge; gives its last verdict.
fn judged(
    asked: &Recording,
    global: &Global,
    config: Option<JudgeConfig>,
    mut tell: impl FnMut(&TimelineLine),
) -> Result<Verdict, Failure> {
    let source = asked.source();
    let every = asked.every.map(|every| (every.0 / 1_000).max(1));
    let replay = match config {
        Some(config) => Replay::new(config, every),
        None => Replay::with_its_settings(every),
    };
    let mut replay = replay.map_err(|error| source.bad(error))?;
    source.each_line(global, |line| {
        let said = replay.read(line).map_err(|error| error.to_string())?;
        said.iter().for_each(&mut tell);
        Ok(())
    })?;
    let (last, said) = replay.finish().map_err(|error| source.bad(error))?;
    said.iter().for_each(&mut tell);
    Ok(last)
}

/// Settings that were asked for.
enum Settings {
    /// None: whatever the recording holds.
    OfRecording,
    Given(Box<JudgeConfig>),
    /// Their findings were printed.
    Refused,
}

fn settings(file: Option<&Path>, output: &Output) -> Result<Settings, Failure> {
    let Some(file) = file else {
        return Ok(Settings::OfRecording);
    };
    let fail = |why: String| {
        Failure::input(
            "ESC-0502",
            format!("{} cannot be read: {why}", file.display()),
            "name a file with settings under the key `judge:`",
        )
    };
    let size = std::fs::metadata(file)
        .map_err(|error| fail(error.to_string()))?
        .len();
    if size > MAX_CONFIG_BYTES {
        return Err(fail(format!(
            "it has {size} bytes, over the limit of {MAX_CONFIG_BYTES}"
        )));
    }
    let text = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
    let source = SourceFile::new(file.display().to_string(), text);
    match parse_judge(&source, &esclusa_drivers::catalog()) {
        Ok(config) => Ok(Settings::Given(Box::new(config))),
        Err(found) => {
            if !output.json(&json!({ "accepted": false, "diagnostics": found })) {
                findings::print(&found, &source, output);
            }
            Ok(Settings::Refused)
        }
    }
}

fn exit_of(decision: Decision) -> Exit {
    match decision {
        Decision::Proceed => Exit::Done,
        Decision::Hold => Exit::Child(ExitCode::from(HOLD)),
        Decision::Rollback => Exit::Child(ExitCode::from(ROLLBACK)),
    }
}
