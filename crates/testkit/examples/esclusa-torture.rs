//! Tortures releases: real processes under real load, while the control plane, the
//! proxy, shims and versions are killed, halted and started again.
//!
//! By default many releases of several services in a storm; with `--kill-serve` one
//! release after the other, each with one `kill -9` of the control plane. Exit code 1
//! when anything did not end as it must; the folder to look into is then named.

use clap::{Parser, ValueEnum};
use esclusa_testkit::process;
use esclusa_testkit::torture::{
    Harms, Killed, Pace, Plan, ProxyHarm, Ran, Session, Verdict, run_kills, torture,
};
use serde_json::{Value, json};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The goal for the time from the control plane's death to its next answer.
const RECOVERY_GOAL_MS: u64 = 1_000;

/// The hardest that may be done to the proxy in a storm.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Hardest {
    /// It is halted for less than a second.
    Halt,
    /// It is killed too.
    Kill,
    /// It is also asked to end.
    Restart,
}

/// Releases that must end right whatever is killed.
#[derive(Debug, Parser)]
#[command(name = "esclusa-torture")]
struct Args {
    /// Kill the control plane once in each release, and do nothing else.
    #[arg(long)]
    kill_serve: bool,
    /// Releases with --kill-serve.
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// Releases in a storm.
    #[arg(long, default_value_t = 200)]
    releases: u64,
    /// Services that are released at the same time in a storm.
    #[arg(long, default_value_t = 4)]
    services: u64,
    /// Requests a second, over all services.
    #[arg(long, default_value_t = 600.0)]
    rate: f64,
    /// Least watch of each stage, seconds.
    #[arg(long, default_value_t = 4.0)]
    stage: f64,
    /// The hardest that may be done to the proxy in a storm.
    #[arg(long, value_enum, default_value_t = Hardest::Restart)]
    proxy: Hardest,
    /// What everything left to chance depends on; drawn from the clock unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the report goes, as JSON.
    #[arg(long, default_value = "target/torture/report.json")]
    report: PathBuf,
    /// Print the report instead of progress.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn pace(&self) -> Pace {
        let services = if self.kill_serve { 1 } else { self.services };
        Pace {
            rate: self.rate / services as f64,
            users: 5_000,
            stages: vec![100, 500, 2_500, 5_000, 10_000],
            watch: Duration::from_secs_f64(self.stage),
            deadline: Duration::from_secs(180),
        }
    }

    /// The command that does the same once more, as far as chance goes.
    fn again(&self, seed: u64) -> String {
        let what = if self.kill_serve {
            format!("--kill-serve --runs {}", self.runs)
        } else {
            let proxy = self.proxy.to_possible_value();
            let proxy = proxy.as_ref().map_or("restart", |value| value.get_name());
            let (releases, services) = (self.releases, self.services);
            format!("--releases {releases} --services {services} --proxy {proxy}")
        };
        format!(
            "cargo xtask torture {what} --rate {} --stage {} --seed {seed}",
            self.rate, self.stage
        )
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("esclusa-torture: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let seed = args
        .seed
        .unwrap_or_else(|| esclusa_testkit::torture::now_us().unsigned_abs() % 1_000_000);
    let esclusa = process::built_binary("esclusa")?;
    if !args.json {
        println!("the same once more: {}", args.again(seed));
    }
    let began = Instant::now();
    let (report, verdict, wrong) = if args.kill_serve {
        kills(args, &esclusa, seed).await?
    } else {
        storm(args, &esclusa, seed).await?
    };
    let ok = verdict.trouble.is_empty() && wrong == 0;
    let report = json!({
        "ok": ok,
        "again": args.again(seed),
        "seed": seed,
        "took_s": began.elapsed().as_secs_f64(),
        "trouble": verdict.trouble,
        "kept": verdict.kept,
        "summary": report["summary"],
        "releases": report["releases"],
        "blows": report["blows"],
    });
    write(&args.report, &report)?;
    if args.json {
        println!("{report:#}");
    } else {
        conclude(args, &report, &verdict, wrong);
    }
    Ok(ok)
}

fn write(path: &Path, report: &Value) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, format!("{report:#}\n"))
}

fn conclude(args: &Args, report: &Value, verdict: &Verdict, wrong: usize) {
    println!("\n{:#}", report["summary"]);
    for trouble in &verdict.trouble {
        println!("TROUBLE {trouble}");
    }
    println!(
        "{} in {:.0} s; report: {}",
        match (wrong, verdict.trouble.is_empty()) {
            (0, true) => "all ended as they must".to_owned(),
            (n, _) => format!("{n} releases did not end as they must"),
        },
        report["took_s"].as_f64().unwrap_or_default(),
        args.report.display()
    );
    if let Some(kept) = &verdict.kept {
        println!("data, work and log are kept in {}", kept.display());
        println!(
            "the same once more: {}",
            report["again"].as_str().unwrap_or_default()
        );
    }
}

type Outcome = (Value, Verdict, usize);

async fn kills(args: &Args, esclusa: &Path, seed: u64) -> Result<Outcome, Box<dyn Error>> {
    let quiet = args.json;
    let (all, verdict) = run_kills(esclusa, args.pace(), seed, args.runs, |killed| {
        if !quiet {
            println!("{}", kill_line(killed));
        }
    })
    .await?;
    let wrong = all.iter().filter(|k| !k.ran.wrong.is_empty()).count();
    let mut answers: Vec<u64> = all.iter().map(|k| k.recovery.answer_ms).collect();
    answers.sort_unstable();
    let heartbeats = all.iter().filter_map(|k| k.recovery.heartbeat_ms);
    let slow = answers.iter().filter(|ms| **ms >= RECOVERY_GOAL_MS).count();
    let ran: Vec<&Ran> = all.iter().map(|killed| &killed.ran).collect();
    let summary = json!({
        "runs": all.len(),
        "wrong": wrong,
        "requests": sum(&ran, |r| r.seen.sent),
        "failed": sum(&ran, |r| r.seen.failed()),
        "unexplained": unexplained(&ran),
        "recovery_ms": {
            "median": answers.get(answers.len() / 2),
            "worst": answers.last(),
            "heartbeat_worst": heartbeats.max(),
            "goal": RECOVERY_GOAL_MS,
            "over_goal": slow,
        },
        "read_backs": all.iter().map(|k| k.ran.read_backs.0).sum::<usize>(),
        "read_backs_seen": all.iter().map(|k| k.ran.read_backs.1).sum::<usize>(),
    });
    let report = json!({ "summary": summary, "releases": all, "blows": [] });
    Ok((report, verdict, wrong))
}

fn kill_line(killed: &Killed) -> String {
    let ran = &killed.ran;
    format!(
        "{} {:>3} killed at {:4.1} s in {:<14} back in {:>4} ms, heartbeat in {:>4} ms; {} in \
         {:4.1} s; {} requests, {} failed; read-backs {}, seen {}{}",
        mark(ran),
        ran.number,
        killed.at_ms as f64 / 1_000.0,
        killed.phase,
        killed.recovery.answer_ms,
        killed
            .recovery
            .heartbeat_ms
            .map_or("?".to_owned(), |ms| ms.to_string()),
        ran.outcome,
        ran.took_ms as f64 / 1_000.0,
        ran.seen.sent,
        ran.seen.failed(),
        ran.read_backs.0,
        ran.read_backs.1,
        complaints(ran),
    )
}

async fn storm(args: &Args, esclusa: &Path, seed: u64) -> Result<Outcome, Box<dyn Error>> {
    let plan = Plan {
        seed,
        releases: args.releases,
        services: args.services,
        pace: args.pace(),
        harms: Harms::All,
        proxy: match args.proxy {
            Hardest::Halt => ProxyHarm::Halt,
            Hardest::Kill => ProxyHarm::Kill,
            Hardest::Restart => ProxyHarm::Restart,
        },
        pause_ms: (3_000, 9_000),
    };
    let (quiet, mut done) = (args.json, 0);
    let session = torture(esclusa, &plan, |ran| {
        done += 1;
        if !quiet {
            println!("{}", storm_line(ran, done, args.releases));
        }
    })
    .await?;
    let ran: Vec<&Ran> = session.ran.iter().collect();
    let wrong = ran.iter().filter(|ran| !ran.wrong.is_empty()).count();
    let summary = storm_summary(&session, wrong);
    let Session {
        ran,
        blows,
        verdict,
    } = session;
    let report = json!({ "summary": summary, "releases": ran, "blows": blows });
    Ok((report, verdict, wrong))
}

fn storm_summary(session: &Session, wrong: usize) -> Value {
    let ran: Vec<&Ran> = session.ran.iter().collect();
    let mut outcomes = std::collections::BTreeMap::<&str, u64>::new();
    for ran in &ran {
        *outcomes.entry(ran.outcome.as_str()).or_default() += 1;
    }
    let mut blows = std::collections::BTreeMap::<String, u64>::new();
    for blow in &session.blows {
        let kind: String = blow.what.chars().filter(|c| !c.is_ascii_digit()).collect();
        *blows.entry(kind).or_default() += 1;
    }
    json!({
        "releases": ran.len(),
        "wrong": wrong,
        "outcomes": outcomes,
        "requests": sum(&ran, |r| r.seen.sent),
        "failed": sum(&ran, |r| r.seen.failed()),
        "unexplained": unexplained(&ran),
        "unaccounted": sum(&ran, |r| r.account.unaccounted),
        "unaccounted_at_most": sum(&ran, |r| r.account.at_risk),
        "blows": blows,
    })
}

fn storm_line(ran: &Ran, done: u64, of: u64) -> String {
    let lost = if ran.account.at_risk > 0 {
        format!(
            ", {} unaccounted of at most {}",
            ran.account.unaccounted, ran.account.at_risk
        )
    } else {
        String::new()
    };
    format!(
        "{} {done:>3}/{of} {:<10} {:<14} in {:5.1} s, {} requests, {} failed{lost}; {} blows; {}{}",
        mark(ran),
        ran.version,
        ran.outcome,
        ran.took_ms as f64 / 1_000.0,
        ran.seen.sent,
        ran.seen.failed(),
        ran.blows.len(),
        ran.planned,
        complaints(ran),
    )
}

const fn mark(ran: &Ran) -> &'static str {
    if ran.wrong.is_empty() {
        "ok   "
    } else {
        "WRONG"
    }
}

fn complaints(ran: &Ran) -> String {
    ran.wrong
        .iter()
        .map(|wrong| format!("\n        {wrong}"))
        .collect()
}

fn sum(ran: &[&Ran], of: impl Fn(&Ran) -> u64) -> u64 {
    ran.iter().map(|ran| of(ran)).sum()
}

fn unexplained(ran: &[&Ran]) -> usize {
    ran.iter().map(|ran| ran.account.unexplained.len()).sum()
}
