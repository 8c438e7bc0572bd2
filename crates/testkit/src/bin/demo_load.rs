//! The load generator as a command: makes load, counts, reports.

use clap::Parser;
use esclusa_model::Millis;
use esclusa_testkit::load::{Arrivals, Load, LoadConfig, Protocol, RequestTemplate};
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Sends requests by the clock, whatever the replies do, and counts each of them.
/// Ends after --for or on SIGINT or SIGTERM; exits 1 when --strict and one failed.
#[derive(Debug, Parser)]
#[command(name = "esclusa-demo-load", version)]
struct Args {
    /// Where to connect, such as 127.0.0.1:8080.
    target: SocketAddr,
    /// What the Host header says.
    #[arg(long, default_value = "")]
    host: String,
    /// Requests a second.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// How requests are spread over a second.
    #[arg(long, value_enum, default_value_t = Arrivals::Even)]
    arrivals: Arrivals,
    /// People, each with cookies of their own.
    #[arg(long, default_value_t = 50)]
    users: usize,
    /// How long to send; until a signal when absent.
    #[arg(long = "for", value_parser = Millis::parse)]
    duration: Option<Millis>,
    /// h1 or h2c.
    #[arg(long, value_enum, default_value_t = Protocol::H1)]
    protocol: Protocol,
    /// A request such as `GET /cart`; several are sent in turn. Default: a mix that
    /// fits the demo app.
    #[arg(long = "request")]
    requests: Vec<RequestTemplate>,
    /// A header to carry the user's number, such as x-tenant-id.
    #[arg(long)]
    user_header: Option<http::HeaderName>,
    /// When a reply counts as failed.
    #[arg(long, default_value = "10s", value_parser = Millis::parse)]
    timeout: Millis,
    /// What the randomness depends on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as JSON to this file; `-` for stdout, with the summary on stderr.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Exit with 1 when a request failed or was not sent.
    #[arg(long)]
    strict: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("esclusa-demo-load: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let mut config = LoadConfig::on(args.target);
    config.host = args.host;
    config.rate = args.rate;
    config.arrivals = args.arrivals;
    config.users = args.users;
    config.duration = args.duration.map(Millis::as_std);
    config.protocol = args.protocol;
    if !args.requests.is_empty() {
        config.requests = args.requests;
    }
    config.user_header = args.user_header;
    config.timeout = args.timeout.as_std();
    config.seed = args.seed;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let load = Load::start(config)?;
    while !load.is_over() {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
        }
    }
    let report = load.stop().await;
    match args.report {
        Some(path) if path.as_os_str() == "-" => {
            println!("{}", serde_json::to_string_pretty(&report)?);
            eprintln!("{report}");
        }
        Some(path) => {
            std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
            println!("{report}");
        }
        None => println!("{report}"),
    }
    let clean = report.failed == 0 && report.under_way == 0 && report.not_sent == 0;
    Ok(if args.strict && !clean {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
