//! `sim run | fuzz`: releases in a simulated world. Needs no server and changes nothing.

use crate::args::duration;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::place::read_plan;
use crate::plan::accepted;
use clap::{Args, Subcommand};
use esclusa_model::{Millis, VersionName};
use esclusa_plan::Plan;
use esclusa_sim::{Fuzzed, Played, Rehearsal, fuzz, play, rehearse};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Largest script that is read.
const MAX_SCRIPT_BYTES: u64 = 1 << 20;
/// How often a long run says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(3);

#[derive(Debug, Subcommand)]
pub(crate) enum SimVerb {
    /// Play a script, or rehearse a plan with a controller that dies at every boundary
    Run(Run),
    /// Try worlds drawn from seeds; exits 0 only if every rule held
    Fuzz(Fuzz),
}

/// Play a script, or rehearse a plan.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The script; docs/sim.md says what it may contain
    #[arg(value_name = "SCRIPT", required_unless_present = "plan")]
    pub script: Option<PathBuf>,
    /// The plan that is played, in place of one that the script names
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Name of the version, for a rehearsal without a script
    #[arg(long, value_name = "V", default_value = "next", value_parser = version)]
    pub version: VersionName,
    /// Nothing serves yet, for a rehearsal without a script
    #[arg(long)]
    pub first: bool,
    /// How long a controller that died is away, for a rehearsal without a script
    #[arg(long, value_name = "D", default_value = "5s", value_parser = duration)]
    pub downtime: Millis,
}

fn version(text: &str) -> Result<VersionName, String> {
    VersionName::new(text).map_err(|error| error.to_string())
}

/// Try many seeds.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// How many seeds, each one more than the one before
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub runs: u64,
}

pub(crate) fn run(verb: SimVerb, output: &Output) -> Result<Exit, Failure> {
    match verb {
        SimVerb::Fuzz(asked) => Ok(many(&asked, output)),
        SimVerb::Run(asked) => {
            let plan = match &asked.plan {
                None => None,
                Some(file) => match accepted(&read_plan(file)?, output) {
                    Some(parsed) => Some(parsed.plan),
                    None => return Ok(Exit::BadInput),
                },
            };
            match (&asked.script, plan) {
                (Some(script), plan) => one(script, plan.as_ref(), output),
                (None, Some(plan)) => Ok(crashes(&asked, &plan, output)),
                // The arguments ask for one of the two.
                (None, None) => Ok(Exit::BadInput),
            }
        }
    }
}

fn many(asked: &Fuzz, output: &Output) -> Exit {
    let began = Instant::now();
    let mut told = began;
    let all = fuzz(asked.seed, asked.runs, |all| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            output.say(&format!(
                "{} of {} seeds, {} broke a rule",
                all.runs, asked.runs, all.broken
            ));
        }
        true
    });
    let exit = if all.broken == 0 {
        Exit::Done
    } else {
        Exit::Fault
    };
    let replay: Vec<String> = all.failures.iter().map(|f| replay_of(f.seed)).collect();
    if output.json(&json!({ "first_seed": asked.seed, "result": all, "replay": replay })) {
        return exit;
    }
    for failure in &all.failures {
        output.line(failure.transcript.trim_end());
        output.line(&format!(
            "seed {} breaks {}: {}",
            failure.seed, failure.rule, failure.what
        ));
        output.line(&format!("replay: {}\n", replay_of(failure.seed)));
    }
    output.line(&summary(&all));
    output.say(&if all.broken == 0 {
        output.talk_colour.paint(Tone::Good, "every rule held")
    } else {
        let words = format!("{} seeds broke a rule", all.broken);
        output.talk_colour.paint(Tone::Bad, &words)
    });
    exit
}

/// The command that tells one seed's story again.
fn replay_of(seed: u64) -> String {
    format!("esclusa sim fuzz --seed {seed} --runs 1")
}

fn summary(all: &Fuzzed) -> String {
    let outcomes: Vec<String> = all
        .outcomes
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    format!(
        "{} seeds: {} releases ended ({}), {} events, {} of {} boundaries a death",
        all.runs,
        all.outcomes.values().sum::<u64>(),
        outcomes.join(", "),
        all.events,
        all.deaths,
        all.boundaries
    )
}

fn one(script: &Path, plan: Option<&Plan>, output: &Output) -> Result<Exit, Failure> {
    let text = read_script(script)?;
    let played = play(&text, plan).map_err(|error| {
        let message = format!("{}: {error}", script.display());
        Failure::input("ESC-0601", message, error.help)
    })?;
    let good = played.broken.is_none() && played.unmet.is_none();
    let exit = if good { Exit::Done } else { Exit::Fault };
    if output.json(&played) {
        return Ok(exit);
    }
    output.line(played.transcript.trim_end());
    output.say(&verdict(&played));
    Ok(exit)
}

fn verdict(played: &Played) -> String {
    if let Some(broken) = &played.broken {
        return format!("a rule was broken: {broken}");
    }
    if let Some(unmet) = &played.unmet {
        return unmet.clone();
    }
    match (&played.outcome, &played.held) {
        (Some(outcome), _) => format!("ended {outcome}"),
        (None, Some(held)) => format!("held: {held}"),
        (None, None) => "no end".into(),
    }
}

fn crashes(asked: &Run, plan: &Plan, output: &Output) -> Exit {
    let all = rehearse(plan, &asked.version, asked.first, asked.downtime);
    let different: usize = all.iter().map(|r| r.crashes.different().count()).sum();
    let exit = if different == 0 {
        Exit::Done
    } else {
        Exit::Fault
    };
    if output.json(&all) {
        return exit;
    }
    for rehearsal in &all {
        print(rehearsal, output);
    }
    output.say(&if different == 0 {
        "wherever the controller dies, it ends the same".to_owned()
    } else {
        format!("{different} deaths change how it ends")
    });
    exit
}

fn print(rehearsal: &Rehearsal, output: &Output) {
    output.line(&format!("{}:", rehearsal.title));
    output.line(rehearsal.transcript.trim_end());
    output.line(&format!(
        "\n{}, with a controller that dies at each of {} boundaries:",
        rehearsal.title,
        rehearsal.crashes.deaths.len()
    ));
    for death in &rehearsal.crashes.deaths {
        output.line(&death.to_string());
    }
    output.line("");
}

fn read_script(file: &Path) -> Result<String, Failure> {
    let fail = |why: String| {
        Failure::input(
            "ESC-0502",
            format!("{} cannot be read: {why}", file.display()),
            "name a script; docs/sim.md says what it may contain",
        )
    };
    let size = std::fs::metadata(file)
        .map_err(|error| fail(error.to_string()))?
        .len();
    if size > MAX_SCRIPT_BYTES {
        return Err(fail(format!(
            "it has {size} bytes, over the limit of {MAX_SCRIPT_BYTES}"
        )));
    }
    std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))
}
