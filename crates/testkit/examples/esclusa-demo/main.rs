//! Shows releases from beginning to end: real processes, real traffic, nothing staged
//! but the faults.
//!
//! Without arguments: a good version to 100 %, then one that breaks and comes back by
//! itself; `DEMO_ALL=1` adds the other kinds. On a terminal the page stays up at the end;
//! `DEMO_HEADLESS=1` ends by itself. `--scenario` and `--runs` repeat single cases and
//! print what was measured. The exit code is 1 when any release did not end as it must.

#![expect(
    clippy::expect_used,
    reason = "a demonstration that cannot go on says so and ends"
)]

mod scenario;
mod shown;

use clap::Parser;
use esclusa_testkit::load::{Load, LoadConfig};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::{ports, process};
use scenario::Scenario;
use serde_json::Value;
use shown::{Shown, print_summary, write_report};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Longest time for one release to end.
const RELEASE_LIMIT: Duration = Duration::from_secs(600);
/// When a version breaks, counted from the moment the 25 % stage is confirmed.
const BREAKS_AFTER: Duration = Duration::from_secs(5);
/// So many people that a small share of them is somebody: of 50, 5 % is nobody in one
/// release out of thirteen.
const USERS: usize = 1_000;
const FIRST: &str = "1.0.0";

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
    /// Where the figures go as JSON.
    #[arg(
        long,
        default_value = "target/demo/report.json",
        overrides_with = "report"
    )]
    report: PathBuf,
}

impl Args {
    /// What is shown when nobody says what.
    fn scenarios(&self) -> Vec<Scenario> {
        let mut scenarios = self.scenario.clone();
        if scenarios.is_empty() {
            scenarios = vec![Scenario::Good, Scenario::Failing60];
            if is_set("DEMO_ALL") {
                scenarios.extend([Scenario::Failing30, Scenario::Slow, Scenario::ColdStart]);
            }
        }
        scenarios
    }
}

fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let stage = Stage::set(&args).await;
    let mut all = Vec::new();
    for scenario in args.scenarios() {
        for run in 1..=args.runs {
            if !args.quiet {
                println!("\n== {} (run {run} of {})", scenario.name(), args.runs);
            }
            let shown = stage.show(scenario, all.len(), &args).await;
            println!("{}", shown.line());
            all.push(shown);
        }
    }
    print_summary(&all);
    let written = write_report(&args.report, &all);
    match &written {
        Ok(()) => println!("figures: {}", args.report.display()),
        Err(error) => eprintln!("error: {}: {error}", args.report.display()),
    }
    if !is_set("DEMO_HEADLESS") && std::io::stdout().is_terminal() {
        stage.stay_open(&args).await;
    }
    if written.is_ok() && !all.is_empty() && all.iter().all(Shown::is_right) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A control plane with one service, and its first version in place.
struct Stage {
    plane: ControlPlane,
    plan: String,
    port: u16,
    app: PathBuf,
}

impl Stage {
    async fn set(args: &Args) -> Self {
        let esclusa = process::built_binary("esclusa").expect("esclusa is built");
        let app = process::built_binary("esclusa-demo-app").expect("the demo app is built");
        let plane = ControlPlane::start(&esclusa);
        let port = ports::free_port().expect("a free port");
        let plan = plan(port);
        println!("page and API: {}", plane.url());
        if !args.quiet {
            println!("plan (only the lengths of its stages are not the defaults):");
            println!("{}", indented(&plan));
            println!("== {FIRST}, the first version: nothing to compare it with");
        }
        let stage = Self {
            plane,
            plan,
            port,
            app,
        };
        stage.store_version(FIRST, Scenario::Good);
        let first = stage.plane.release(&stage.plan, FIRST).await;
        let ended = stage.watch(&first, Scenario::Good, args.quiet).await;
        assert_eq!(ended["outcome"], "promoted", "{ended:#}");
        stage
    }

    /// Releases the next version under the eyes of its users.
    async fn show(&self, scenario: Scenario, earlier: usize, args: &Args) -> Shown {
        let version = format!("{}.0.0", earlier + 2);
        // The file breaks a version; one left from an earlier release must not.
        let _ = std::fs::remove_file(self.switch());
        self.store_version(&version, scenario);
        let load = Load::start(self.load(args)).expect("the load starts");
        let began = std::time::Instant::now();
        let release = self.plane.release(&self.plan, &version).await;
        let ended = self.watch(&release, scenario, args.quiet).await;
        let took = began.elapsed();
        let report = load.stop().await;
        if !args.quiet {
            println!("{report}");
        }
        let text = |key: &str| ended[key].as_str().unwrap_or_default().to_owned();
        Shown {
            scenario,
            version,
            outcome: text("outcome"),
            reason: text("reason"),
            report,
            took,
        }
    }

    /// Keeps users coming until somebody ends it, so that the page shows something.
    async fn stay_open(&self, args: &Args) {
        println!(
            "\nThe shop goes on serving; its page: {}\nCtrl-C ends the demonstration.",
            self.plane.url()
        );
        let load = Load::start(self.load(args)).expect("the load starts");
        // Without a signal handler there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
        load.stop().await;
    }

    fn load(&self, args: &Args) -> LoadConfig {
        let target: SocketAddr = ([127, 0, 0, 1], self.port).into();
        LoadConfig {
            rate: args.rate,
            users: USERS,
            ..LoadConfig::on(target)
        }
    }

    /// Once this file exists, a failing version fails.
    fn switch(&self) -> PathBuf {
        self.plane.work().join("break")
    }

    /// An artifact: a script that starts the demo app with a behaviour.
    fn store_version(&self, name: &str, scenario: Scenario) {
        let folder = self.plane.work().join("dist").join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the version");
        let switch = self.switch().display().to_string();
        let behaviour = scenario.behaviour().replace("BREAK", &switch);
        let script = format!(
            "#!/bin/sh\nexec {} --port \"$1\" --version-name {name} {behaviour}\n",
            self.app.display()
        );
        write_executable(&folder.join("start"), &script);
    }

    /// Prints what changes until the release ends; breaks the version when it is time.
    async fn watch(&self, release: &str, scenario: Scenario, quiet: bool) -> Value {
        let began = std::time::Instant::now();
        let mut printed = String::new();
        let mut at_25 = None;
        let mut broken = false;
        loop {
            let view = self.plane.show(release).await;
            let seconds = began.elapsed().as_secs_f64();
            let (line, news) = line_and_news(&view);
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
                std::fs::write(self.switch(), "").expect("the switch is written");
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
}

/// How a release stands, and what of it is worth a new line: a hold's numbers move every
/// second, only its words are news.
fn line_and_news(view: &Value) -> (String, String) {
    let place = format!(
        "{} at {}",
        view["phase"].as_str().unwrap_or("?"),
        view["share"].as_str().unwrap_or("?"),
    );
    match view["hold"].as_str() {
        None => (place.clone(), place),
        Some(hold) => {
            let words: String = hold.chars().filter(|c| !c.is_ascii_digit()).collect();
            (format!("{place}, waits: {hold}"), format!("{place}{words}"))
        }
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

fn write_executable(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, script).expect("the version's script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
