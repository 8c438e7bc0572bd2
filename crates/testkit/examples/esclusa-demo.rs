//! Shows a release from beginning to end: real processes, real traffic, nothing staged
//! but the faults.
//!
//! Without arguments: a good version to 100 %, then one that breaks and comes back by
//! itself. `--scenario` and `--runs` repeat single cases and print what was measured;
//! the exit code is 1 when any of them did not end as it must.

#![expect(
    clippy::expect_used,
    reason = "a demonstration that cannot go on says so and ends"
)]

use clap::Parser;
use esclusa_testkit::load::{Load, LoadConfig, LoadReport};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::{ports, process};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Longest time for one release to end.
const RELEASE_LIMIT: Duration = Duration::from_secs(600);
/// When a version breaks, counted from the moment the 25 % stage is confirmed.
const BREAKS_AFTER: Duration = Duration::from_secs(5);
const STABLE: &str = "1.0.0";
const CANARY: &str = "2.0.0";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// Nothing is wrong with it.
    Good,
    /// From 25 % on it fails 60 of 100 requests.
    #[value(name = "failing-60")]
    Failing60,
    /// From 25 % on it fails 30 of 100 requests.
    #[value(name = "failing-30")]
    Failing30,
    /// Every answer takes twice as long.
    Slow,
    /// Its first answers take four times as long, then it is as fast as the other.
    ColdStart,
}

/// A good version to 100 %, a bad one back by itself.
#[derive(Debug, Parser)]
#[command(name = "esclusa-demo")]
struct Args {
    /// What to show; a good version and one that fails 60 % unless given.
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
    /// How often to show each.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// Requests per second of real users.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Only the measured table.
    #[arg(long)]
    quiet: bool,
}

impl Scenario {
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Failing60 => "failing-60",
            Self::Failing30 => "failing-30",
            Self::Slow => "slow",
            Self::ColdStart => "cold-start",
        }
    }

    /// How the demo app is told to behave.
    const fn behaviour(self) -> &'static str {
        match self {
            Self::Good => "--behaviour good",
            Self::Failing60 => "--behaviour failing --fail-rate 0.6 --fail-after-file ./break",
            Self::Failing30 => "--behaviour failing --fail-rate 0.3 --fail-after-file ./break",
            Self::Slow => "--behaviour slow --slow-factor 2",
            Self::ColdStart => "--behaviour cold-start",
        }
    }

    const fn must_end(self) -> &'static str {
        match self {
            Self::Good | Self::ColdStart => "promoted",
            Self::Failing60 | Self::Failing30 | Self::Slow => "rolled_back",
        }
    }

    const fn breaks(self) -> bool {
        matches!(self, Self::Failing60 | Self::Failing30)
    }

    /// Most seconds of canary traffic after the first failure, most failed user requests.
    const fn bounds(self) -> (f64, u64) {
        match self {
            Self::Failing60 => (8.0, 150),
            Self::Failing30 => (12.0, 120),
            Self::Good | Self::Slow | Self::ColdStart => (0.0, 0),
        }
    }
}

/// What one run showed.
struct Shown {
    scenario: Scenario,
    outcome: String,
    reason: String,
    report: LoadReport,
    took: Duration,
}

impl Shown {
    /// From the canary's first failure to its last answer, in seconds.
    fn last_canary_after_s(&self) -> Option<f64> {
        let canary = self.report.by_version.get(CANARY)?;
        let first = canary.first_failure_ms?;
        Some((canary.last_ms - first) as f64 / 1_000.0)
    }

    /// Failures that no version answers for: the change itself made them.
    fn failed_by_change(&self) -> u64 {
        let answered: u64 = self
            .report
            .by_version
            .values()
            .map(|version| version.failed)
            .sum();
        self.report.failed - answered
            + self
                .report
                .by_version
                .get("")
                .map_or(0, |unnamed| unnamed.failed)
    }

    fn is_right(&self) -> bool {
        let (seconds, failed) = self.scenario.bounds();
        self.outcome == self.scenario.must_end()
            && self.failed_by_change() == 0
            && self.report.failed <= failed
            && self
                .last_canary_after_s()
                .is_none_or(|after| after <= seconds)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let scenarios = if args.scenario.is_empty() {
        vec![Scenario::Good, Scenario::Failing60]
    } else {
        args.scenario.clone()
    };
    let mut all = Vec::new();
    for scenario in scenarios {
        for run in 1..=args.runs {
            if !args.quiet {
                println!("\n== {} (run {run} of {})", scenario.name(), args.runs);
            }
            let shown = show(scenario, &args).await;
            println!("{}", line(&shown));
            all.push(shown);
        }
    }
    summary(&all);
    if all.iter().all(Shown::is_right) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn show(scenario: Scenario, args: &Args) -> Shown {
    let esclusa = process::built_binary("esclusa").expect("esclusa is built");
    let app = process::built_binary("esclusa-demo-app").expect("the demo app is built");
    let plane = ControlPlane::start(&esclusa);
    let port = ports::free_port().expect("a free port");
    let plan = plan(port);
    if !args.quiet {
        println!("page and API: {}\nplan:\n{}", plane.url(), indented(&plan));
    }
    version(&plane.work(), STABLE, &app, Scenario::Good.behaviour());
    version(&plane.work(), CANARY, &app, scenario.behaviour());
    let first = plane.release(&plan, STABLE).await;
    watch(&plane, &first, Scenario::Good, args.quiet).await;
    let target: SocketAddr = ([127, 0, 0, 1], port).into();
    let load = Load::start(LoadConfig {
        rate: args.rate,
        ..LoadConfig::on(target)
    })
    .expect("the load starts");
    let began = std::time::Instant::now();
    let release = plane.release(&plan, CANARY).await;
    let ended = watch(&plane, &release, scenario, args.quiet).await;
    let took = began.elapsed();
    let report = load.stop().await;
    if !args.quiet {
        println!("{report}");
    }
    let text = |key: &str| ended[key].as_str().unwrap_or_default().to_owned();
    Shown {
        scenario,
        outcome: text("outcome"),
        reason: text("reason"),
        report,
        took,
    }
}

/// Prints what changes until the release ends; breaks the version when it is time.
async fn watch(plane: &ControlPlane, release: &str, scenario: Scenario, quiet: bool) -> Value {
    let began = std::time::Instant::now();
    let mut printed = String::new();
    let mut at_25 = None;
    let mut broken = false;
    loop {
        let view = plane.show(release).await;
        let line = format!(
            "{} at {}{}",
            view["phase"].as_str().unwrap_or("?"),
            view["share"].as_str().unwrap_or("?"),
            view["hold"]
                .as_str()
                .map_or(String::new(), |hold| format!(", waits: {hold}")),
        );
        let seconds = began.elapsed().as_secs_f64();
        // A hold's numbers move every second; only its words are news.
        let (place, hold) = line.split_once(',').unwrap_or((&line, ""));
        let hold: String = hold.chars().filter(|c| !c.is_ascii_digit()).collect();
        let news = format!("{place},{hold}");
        if !quiet && news != printed {
            println!("{seconds:7.1} s  {line}");
            printed = news;
        }
        if view["outcome"].is_string() {
            if !quiet {
                println!("{seconds:7.1} s  {}: {}", view["outcome"], view["reason"]);
            }
            return view;
        }
        if view["share"] == "25%" && view["share_confirmed"] == true {
            at_25.get_or_insert_with(std::time::Instant::now);
        }
        let due = at_25.is_some_and(|since| since.elapsed() >= BREAKS_AFTER);
        if scenario.breaks() && due && !broken {
            std::fs::write(plane.work().join("break"), "").expect("the switch is written");
            broken = true;
            if !quiet {
                println!("{seconds:7.1} s  the new version begins to fail");
            }
        }
        assert!(
            began.elapsed() < RELEASE_LIMIT,
            "no end after {RELEASE_LIMIT:?}: {view:#}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Only the lengths of the stages differ from what a plan has by default.
fn plan(port: u16) -> String {
    format!(
        r#"esclusa: 1
service: shop
route: {{ listen: "127.0.0.1:{port}" }}
components:
  web:
    artifact: "./dist/${{version}}"
    process:
      command: ["${{dir}}/start", "${{port}}"]
      ready: {{ http: /health, within: 30s }}
stages:
  - {{ to: 5%, for: 35s }}
  - {{ to: 25%, for: 20s }}
  - {{ to: 50%, for: 15s }}
  - {{ to: 100%, watch: 10s }}
"#
    )
}

/// An artifact: a script that starts the demo app with a behaviour.
fn version(work: &Path, name: &str, app: &Path, behaviour: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = work.join("dist").join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the version");
    let behaviour = behaviour.replace("./break", &work.join("break").display().to_string());
    let script = format!(
        "#!/bin/sh\nexec {} --port \"$1\" --version-name {name} {behaviour}\n",
        app.display()
    );
    let path = folder.join("start");
    std::fs::write(&path, script).expect("the version's script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn line(shown: &Shown) -> String {
    let after = shown
        .last_canary_after_s()
        .map_or("-".into(), |s| format!("{s:.2} s"));
    let (bound_s, bound_failed) = shown.scenario.bounds();
    format!(
        "{} {:<10} {:<12} in {:5.1} s; users: {} sent, {} failed (at most {bound_failed}), \
         failed by change: {}; last canary answer after its first failure: {after} \
         (at most {bound_s} s); {}",
        if shown.is_right() { "ok   " } else { "WRONG" },
        shown.scenario.name(),
        shown.outcome,
        shown.took.as_secs_f64(),
        shown.report.sent,
        shown.report.failed,
        shown.failed_by_change(),
        shown.reason,
    )
}

fn summary(all: &[Shown]) {
    let right = all.iter().filter(|shown| shown.is_right()).count();
    println!("\n{right} of {} ended as they must", all.len());
    for scenario in [Scenario::Failing60, Scenario::Failing30] {
        let of: Vec<&Shown> = all
            .iter()
            .filter(|shown| shown.scenario == scenario)
            .collect();
        let worst_s = of
            .iter()
            .filter_map(|s| s.last_canary_after_s())
            .fold(0.0, f64::max);
        let worst_failed = of
            .iter()
            .map(|shown| shown.report.failed)
            .max()
            .unwrap_or(0);
        if !of.is_empty() {
            println!(
                "{}: at worst {worst_s:.2} s of canary traffic after its first failure, \
                 {worst_failed} failed user requests",
                scenario.name()
            );
        }
    }
}
