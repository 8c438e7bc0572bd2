//! The demo service as a process: a web shop, a worker or a singleton.

use clap::{Parser, ValueEnum};
use esclusa_model::{Millis, Track};
use esclusa_testkit::demo::{
    Behaviour, BehaviourKind, DemoApp, FailAfter, WebConfig, WorkerConfig, WorkerKind, run_worker,
};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long requests under way may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A shop over HTTP.
    Web,
    /// Writes ticks; any number may act at once.
    Worker,
    /// Writes ticks; exactly one may act.
    Singleton,
}

/// A small service with a planned behaviour, to be released by esclusa.
#[derive(Debug, Parser)]
#[command(name = "esclusa-demo-app", version)]
struct Args {
    /// What kind of component to be.
    #[arg(long, value_enum, default_value_t = Kind::Web)]
    kind: Kind,
    /// What it calls itself, in the header x-demo-version and in ticks.
    #[arg(long, env = "ESCLUSA_VERSION", default_value = "dev")]
    version_name: String,
    /// Port on 127.0.0.1 (web).
    #[arg(long, env = "PORT", default_value_t = 0)]
    port: u16,
    /// How it behaves (web).
    #[arg(long, value_enum, default_value_t = BehaviourKind::Good)]
    behaviour: BehaviourKind,
    /// Which share of requests a failing version answers with 500, 0 to 1.
    #[arg(long, default_value_t = 0.6)]
    fail_rate: f64,
    /// A failing version fails so long after its first request by a person.
    #[arg(long, default_value = "5s", value_parser = Millis::parse)]
    fail_after: Millis,
    /// A failing version fails once this file exists, and not before.
    #[arg(long)]
    fail_after_file: Option<PathBuf>,
    /// How many times longer a slow version takes, or one with a tail in its tail.
    #[arg(long, default_value_t = 2.0)]
    slow_factor: f64,
    /// How long a cold version takes to warm up (time constant).
    #[arg(long, default_value = "8s", value_parser = Millis::parse)]
    warms_up_in: Millis,
    /// The median time of an answer.
    #[arg(long, default_value = "9ms", value_parser = Millis::parse)]
    latency: Millis,
    /// How long after the start the health check says 503.
    #[arg(long, default_value = "0s", value_parser = Millis::parse)]
    ready_after: Millis,
    /// What its randomness depends on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What its metrics say of its queue (web).
    #[arg(long, default_value_t = 0)]
    queue_depth: u32,
    /// The file that ticks are written to (worker, singleton).
    #[arg(long, default_value = "ticks.log")]
    ticks: PathBuf,
    /// The folder in which active singletons leave their markers.
    #[arg(long, default_value = "active")]
    active_dir: PathBuf,
    /// The track to start on: stable, canary or standby.
    #[arg(long, env = "ESCLUSA_TRACK", default_value = "stable", value_parser = WorkerConfig::track_named)]
    track: Track,
    /// The file read again on SIGUSR1 or SIGHUP; holds the new track.
    #[arg(long, env = "ESCLUSA_TRACK_FILE")]
    track_file: Option<PathBuf>,
    /// How often to tick.
    #[arg(long, default_value = "100ms", value_parser = Millis::parse)]
    every: Millis,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let ended = match args.kind {
        Kind::Web => web(args).await,
        Kind::Worker => worker(args, WorkerKind::Worker).await,
        Kind::Singleton => worker(args, WorkerKind::Singleton).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("esclusa-demo-app: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn web(args: Args) -> Result<(), Box<dyn Error>> {
    if !(0.0..=1.0).contains(&args.fail_rate) {
        return Err("--fail-rate goes from 0 to 1".into());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = DemoApp::start(WebConfig {
        port: args.port,
        version: args.version_name.clone(),
        behaviour: Behaviour {
            kind: args.behaviour,
            fail_rate: args.fail_rate,
            fail_after: match args.fail_after_file {
                Some(_) => FailAfter::File,
                None => FailAfter::Organic(args.fail_after.as_std()),
            },
            slow_factor: args.slow_factor,
            warms_up_in: args.warms_up_in.as_std(),
            median: args.latency.as_std(),
        },
        trigger_file: args.fail_after_file,
        ready_after: args.ready_after.as_std(),
        seed: args.seed,
        queue_depth: args.queue_depth,
    })
    .await?;
    println!("ready {} http://{}", args.version_name, app.address());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    println!("stopping {}", args.version_name);
    app.stop(DRAIN).await?;
    Ok(())
}

async fn worker(args: Args, kind: WorkerKind) -> Result<(), Box<dyn Error>> {
    println!("ready {} pid {}", args.version_name, std::process::id());
    run_worker(WorkerConfig {
        kind,
        version: args.version_name,
        ticks: args.ticks,
        active_dir: args.active_dir,
        track: args.track,
        track_file: args.track_file,
        every: args.every.as_std().max(Duration::from_millis(1)),
    })
    .await?;
    Ok(())
}
