//! `judge selftest`: a service's own traffic as releases that change nothing, and as
//! releases that do known harm.

use super::source::Source;
use super::{Settings, settings};
use crate::args::{Global, duration};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use clap::Args;
use esclusa_judge::JudgeConfig;
use esclusa_judge::replay::Replay;
use esclusa_judge::selftest::{Ended, Harm, Past, Rate, SplitBy, Trial, run};
use esclusa_model::{BasisPoints, Fraction, Millis};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// A name, and what is planted.
type Planted = (&'static str, fn() -> Harm);
const HARMS: [Planted; 6] = [
    ("errors +0.5 pp", || {
        Harm::Errors(Fraction::from_per_100k(500))
    }),
    ("errors +1 pp", || {
        Harm::Errors(Fraction::from_per_100k(1_000))
    }),
    ("errors +5 pp", || {
        Harm::Errors(Fraction::from_per_100k(5_000))
    }),
    ("latency +25 %", || Harm::Slower(1.25)),
    ("latency +50 %", || Harm::Slower(1.5)),
    ("an outage", || Harm::Outage),
];
/// One harmful release for so many healthy ones, and at least so many.
const HARMFUL_PART: u64 = 5;
const HARMFUL_LEAST: u64 = 10;
/// With so many trials a bound of one allows a single return.
const TRIALS_FOR_BOUND: f64 = 4.75;
const EVERY: u64 = 25;

/// What to try, and how often.
#[derive(Debug, Args)]
pub(crate) struct SelfTest {
    /// A recording (esclusa-judge/1); `-` reads standard input
    #[arg(required_unless_present_any = ["release", "service"])]
    file: Option<PathBuf>,
    /// The traffic that a server stored of this release, in place of a file
    #[arg(long, value_name = "ID", conflicts_with_all = ["file", "service"])]
    release: Option<String>,
    /// The last hours of this service's stable version, in place of a file
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    service: Option<String>,
    /// How many hours of the service
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=168))]
    hours: u16,
    /// Settings under the key `judge:`; without it those that the recording holds, as a
    /// release's does, else the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many identical releases of each kind [default: 200, more for a small bound]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    releases: Option<u64>,
    /// The canary's share in them
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = share)]
    share: BasisPoints,
    /// How long their stage lasts, at most; shorter where the traffic is
    #[arg(long = "for", value_name = "D", default_value = "15m", value_parser = duration)]
    for_: Millis,
    /// Exit with 1 unless at most so many identical releases are returned, with 95 % confidence
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_false: Option<BasisPoints>,
    /// What chance follows from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

fn share(text: &str) -> Result<BasisPoints, String> {
    let number = text.trim().trim_end_matches('%').trim();
    let percent: f64 = number
        .parse()
        .map_err(|_| "a share such as 1% or 0.5%".to_owned())?;
    let points = (percent * 100.0).round();
    if !(1.0..=9_999.0).contains(&points) {
        return Err("a share between 0.01% and 99.99%".to_owned());
    }
    // In range by the line above.
    BasisPoints::new(points as u16).map_err(|error| error.to_string())
}

/// What is told at the end.
#[derive(Debug, Serialize)]
struct Told {
    source: String,
    seconds: usize,
    requests_per_s: f64,
    share: BasisPoints,
    for_s: usize,
    identical: Vec<Identical>,
    harmful: Vec<Harmful>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Identical {
    by: SplitBy,
    returned: Rate,
    held: Rate,
    promoted: Rate,
}

#[derive(Debug, Serialize)]
struct Harmful {
    harm: &'static str,
    found: Rate,
    /// Half of those that were found were found within this.
    median_s: Option<i64>,
}

impl SelfTest {
    fn source(&self) -> Source {
        if let Some(service) = &self.service {
            return Source::Service(service.clone(), self.hours);
        }
        if let Some(release) = &self.release {
            return Source::Release(release.clone());
        }
        Source::File(self.file.clone().unwrap_or_else(|| "-".into()))
    }

    fn releases(&self) -> u64 {
        let for_bound = self
            .max_false
            .map_or(0.0, |bound| TRIALS_FOR_BOUND / bound.fraction());
        self.releases
            .unwrap_or_else(|| 200.max(for_bound.ceil() as u64))
    }

    fn trial(&self, number: u64, by: SplitBy, harm: Option<Harm>) -> Trial {
        Trial {
            seed: self.seed.wrapping_mul(1_000_003).wrapping_add(number),
            share: self.share,
            next_share: BasisPoints::FULL,
            for_s: usize::try_from(self.for_.0 / 1_000).unwrap_or(usize::MAX),
            by,
            harm,
        }
    }
}

pub(super) fn selftest(
    asked: &SelfTest,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let given = match settings(asked.config.as_deref(), output)? {
        Settings::OfRecording => None,
        Settings::Given(config) => Some(*config),
        Settings::Refused => return Ok(Exit::BadInput),
    };
    let source = asked.source();
    let (past, own) = read(&source, global)?;
    let config = given.or(own).unwrap_or_default();
    let mut told = Told {
        source: source.name(),
        seconds: past.seconds(),
        requests_per_s: past.requests_per_s(),
        share: asked.share,
        for_s: past.stage_s(asked.trial(0, SplitBy::Unit, None).for_s),
        identical: Vec::new(),
        harmful: Vec::new(),
        accepted: None,
    };
    let releases = asked.releases();
    for by in past.splits() {
        told.identical
            .push(identical(asked, &config, &past, by, releases, output));
    }
    for (name, harm) in HARMS {
        let n = (releases / HARMFUL_PART).max(HARMFUL_LEAST);
        told.harmful
            .push(harmful(asked, &config, &past, (name, harm()), n, output));
    }
    let worst = told
        .identical
        .iter()
        // Versions are never compared over time: what that says is no fault of the settings.
        .filter(|one| one.by != SplitBy::Time)
        .map(|one| one.returned.at_most)
        .fold(0.0, f64::max);
    told.accepted = asked.max_false.map(|bound| worst <= bound.fraction());
    if !output.json(&told) {
        in_words(&told, asked.max_false, output);
    }
    Ok(match told.accepted {
        Some(false) => Exit::Child(ExitCode::from(1)),
        Some(true) | None => Exit::Done,
    })
}

/// The traffic, and the settings that it holds.
fn read(source: &Source, global: &Global) -> Result<(Past, Option<JudgeConfig>), Failure> {
    let mut reader = Replay::keeping().map_err(|error| source.bad(error))?;
    source.each_line(global, |line| {
        reader
            .read(line)
            .map(drop)
            .map_err(|error| error.to_string())
    })?;
    let own = reader.own_settings().cloned();
    let traffic = reader.into_traffic().map_err(|error| source.bad(error))?;
    let past = Past::of(&traffic).map_err(|error| {
        Failure::input(
            "ESC-0603",
            format!("{}: {error}", source.name()),
            "record more of the service's traffic, or name more hours",
        )
    })?;
    Ok((past, own))
}

fn identical(
    asked: &SelfTest,
    config: &JudgeConfig,
    past: &Past,
    by: SplitBy,
    n: u64,
    output: &Output,
) -> Identical {
    let (mut returned, mut held, mut promoted) = (0, 0, 0);
    for number in 0..n {
        match run(config, past, &asked.trial(number, by, None)) {
            Ended::Returned { .. } => returned += 1,
            Ended::Held => held += 1,
            Ended::Promoted => promoted += 1,
        }
        progress(
            &format!("identical, {}", words_of(by)),
            number + 1,
            n,
            output,
        );
    }
    Identical {
        by,
        returned: Rate::of(returned, n),
        held: Rate::of(held, n),
        promoted: Rate::of(promoted, n),
    }
}

fn harmful(
    asked: &SelfTest,
    config: &JudgeConfig,
    past: &Past,
    (name, harm): (&'static str, Harm),
    n: u64,
    output: &Output,
) -> Harmful {
    let mut times = Vec::new();
    for number in 0..n {
        let trial = asked.trial(number, SplitBy::Unit, Some(harm));
        if let Ended::Returned { after_s, .. } = run(config, past, &trial) {
            times.push(after_s);
        }
        progress(name, number + 1, n, output);
    }
    times.sort_unstable();
    Harmful {
        harm: name,
        found: Rate::of(times.len() as u64, n),
        median_s: times.get(times.len() / 2).copied(),
    }
}

fn progress(what: &str, done: u64, all: u64, output: &Output) {
    if done.is_multiple_of(EVERY) || done == all {
        output.say(&format!("{what}: {done} of {all}"));
    }
}

const fn words_of(by: SplitBy) -> &'static str {
    match by {
        SplitBy::Unit => "split by unit",
        SplitBy::Host => "split by instance",
        SplitBy::Time => "against another time",
    }
}

fn percent(rate: f64) -> String {
    format!("{:.1} %", rate * 100.0)
}

fn in_words(told: &Told, bound: Option<BasisPoints>, output: &Output) {
    output.line(&format!(
        "{}: {} s, {:.1} requests/s; releases to {} for {} s",
        told.source, told.seconds, told.requests_per_s, told.share, told.for_s
    ));
    output.line("");
    output.line("Identical versions");
    for one in &told.identical {
        output.line(&format!(
            "  {:<21} returned {} of {} (at most {}), held {}, promoted {}",
            words_of(one.by),
            one.returned.n,
            one.returned.of,
            percent(one.returned.at_most),
            one.held.n,
            one.promoted.n
        ));
    }
    output.line("");
    output.line("Versions that do harm");
    for one in &told.harmful {
        let median = one.median_s.map_or_else(String::new, |median| {
            format!(", half of them within {median} s")
        });
        output.line(&format!(
            "  {:<21} found {} of {}{median}",
            one.harm, one.found.n, one.found.of
        ));
    }
    if let (Some(accepted), Some(bound)) = (told.accepted, bound) {
        output.line("");
        let (tone, words) = if accepted {
            (
                Tone::Good,
                format!("accepted: identical releases come back in less than {bound}"),
            )
        } else {
            (
                Tone::Bad,
                format!(
                    "refused: it is not shown that identical releases come back in less than {bound}"
                ),
            )
        };
        output.line(&output.colour.paint(tone, &words));
    }
}
