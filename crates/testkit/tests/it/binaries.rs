//! The demo binaries as real processes, with real signals.

use esclusa_testkit::demo::{DemoApp, VIOLATIONS_FILE, WebConfig};
use esclusa_testkit::load::LoadReport;
use esclusa_testkit::ports::free_port;
use esclusa_testkit::process::{ProcessError, Running, built_binary};
use esclusa_testkit::{TempDir, fetch, wait_until};
use http::{Request, StatusCode};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

const BOUND: Duration = Duration::from_secs(20);
const APP: &str = env!("CARGO_BIN_EXE_esclusa-demo-app");
const LOAD: &str = env!("CARGO_BIN_EXE_esclusa-demo-load");

#[tokio::test]
async fn sigterm_lets_a_request_under_way_finish() {
    let port = free_port().expect("a port").to_string();
    let args = [
        "--port",
        &port,
        "--version-name",
        "2.0.0",
        "--latency",
        "1s",
    ];
    let mut app = Running::start(Path::new(APP), &args).expect("started");
    let ready = app.line_with("ready", BOUND).await.expect("ready");
    assert_eq!(ready, format!("ready 2.0.0 http://127.0.0.1:{port}"));
    let address = format!("127.0.0.1:{port}").parse().expect("an address");
    let slow = tokio::spawn(fetch(address, Request::new("")));
    wait_until("the request to be under way", BOUND, async || {
        let stats = Request::builder().uri("/__demo/stats").body("").ok()?;
        let stats = fetch(address, stats).await.ok()?.json();
        (stats["under-way"] == 1).then_some(())
    })
    .await
    .expect("in time");
    app.signal(Signal::SIGTERM).expect("sent");
    let answer = slow.await.expect("ran").expect("an answer");
    assert_eq!(answer.status, StatusCode::OK);
    let status = app.ended(BOUND).await.expect("ended");
    assert!(status.success(), "{status}: {}", app.output());
    assert!(app.signal(Signal::SIGTERM).is_err());
}

#[tokio::test]
async fn a_process_that_ends_early_is_told_with_its_output() {
    let mut app = Running::start(Path::new(APP), &["--fail-rate", "7"]).expect("started");
    let ended = app.line_with("ready", BOUND).await.expect_err("no line");
    assert!(matches!(&ended, ProcessError::Ended { .. }), "{ended}");
    assert!(ended.to_string().contains("--fail-rate"), "{ended}");
    assert!(built_binary("esclusa-demo-app").is_ok());
    assert!(built_binary("esclusa-no-such-thing").is_err());
}

/// A singleton's files in one folder.
struct Stage {
    folder: TempDir,
}

impl Stage {
    fn start(&self, version: &str, track: &str) -> Running {
        let mut command = Command::new(APP);
        command
            .current_dir(self.folder.path())
            .args(["--kind", "singleton", "--version-name", version])
            .args(["--every", "10ms", "--track-file"])
            .arg(self.folder.join(version))
            .env("ESCLUSA_TRACK", track);
        Running::spawn(command).expect("started")
    }

    fn tell(&self, app: &Running, version: &str, track: &str) {
        std::fs::write(self.folder.join(version), track).expect("written");
        app.signal(Signal::SIGUSR1).expect("sent");
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn line(&self, line: &str) {
        wait_until(line, BOUND, async || {
            let lines = self.lines("ticks.log");
            lines.iter().any(|found| found == line).then_some(())
        })
        .await
        .expect("in time");
    }

    fn violations(&self) -> Vec<String> {
        self.lines(&format!("active/{VIOLATIONS_FILE}"))
    }
}

// TRF-18: a singleton is handed over, never doubled; and a double one is seen.
#[tokio::test]
async fn singletons_hand_over_and_count_each_other() {
    let stage = Stage {
        folder: TempDir::new("singletons").expect("a folder"),
    };
    let mut old = stage.start("1.0", "stable");
    let mut new = stage.start("2.0", "standby");
    let (old_pid, new_pid) = (old.pid(), new.pid());
    stage.line(&format!("tick {old_pid} 1.0 stable")).await;
    stage.line(&format!("track {new_pid} 2.0 standby")).await;

    stage.tell(&old, "1.0", "standby");
    stage.line(&format!("track {old_pid} 1.0 standby")).await;
    let ticks_of_old = |stage: &Stage| {
        let mine = format!("tick {old_pid} ");
        let lines = stage.lines("ticks.log");
        lines.iter().filter(|line| line.starts_with(&mine)).count()
    };
    let before = ticks_of_old(&stage);
    stage.tell(&new, "2.0", "stable");
    stage.line(&format!("tick {new_pid} 2.0 stable")).await;
    assert_eq!(ticks_of_old(&stage), before, "quiet once it says standby");
    assert_eq!(stage.violations(), Vec::<String>::new());

    // Now wrongly: both at once.
    stage.tell(&old, "1.0", "stable");
    wait_until("a violation of each", BOUND, async || {
        let lines = stage.violations();
        let says = |who: u32, whom: u32| {
            let text = format!("violation {who} saw {whom} at ");
            lines.iter().any(|line| line.starts_with(&text))
        };
        (says(old_pid, new_pid) && says(new_pid, old_pid)).then_some(())
    })
    .await
    .expect("in time");

    for app in [&mut old, &mut new] {
        app.signal(Signal::SIGTERM).expect("sent");
        assert!(app.ended(BOUND).await.expect("ended").success());
    }
    let markers = std::fs::read_dir(stage.folder.join("active")).expect("listed");
    assert_eq!(markers.count(), 1, "only the violations are left");
}

#[tokio::test]
async fn a_worker_that_is_told_nonsense_stops() {
    let stage = Stage {
        folder: TempDir::new("nonsense").expect("a folder"),
    };
    let mut app = stage.start("1.0", "stable");
    stage.line(&format!("tick {} 1.0 stable", app.pid())).await;
    stage.tell(&app, "1.0", "both");
    let status = app.ended(BOUND).await.expect("ended");
    assert!(!status.success());
    app.line_with("is no track", BOUND)
        .await
        .expect("it says why");
}

#[tokio::test]
async fn the_load_command_reports_and_is_strict() {
    let folder = TempDir::new("load").expect("a folder");
    let app = DemoApp::start(WebConfig::good("1.0.0"))
        .await
        .expect("started");
    let file = folder.join("report.json");
    for (rate, success) in [(0.0, true), (1.0, false)] {
        app.fail(rate);
        let mut command = Command::new(LOAD);
        command
            .arg(app.address().to_string())
            .args(["--rate", "100", "--for", "300ms", "--strict", "--report"])
            .arg(&file);
        let mut load = Running::spawn(command).expect("started");
        let status = load.ended(BOUND).await.expect("ended");
        assert_eq!(status.success(), success, "{}", load.output());
        let text = std::fs::read(&file).expect("a report");
        let report: LoadReport = serde_json::from_slice(&text).expect("a report");
        assert_eq!(report.sent, 30);
        assert_eq!(report.failed, if success { 0 } else { 30 });
    }
}

#[tokio::test]
async fn the_load_command_reports_when_it_is_stopped() {
    let app = DemoApp::start(WebConfig::good("1.0.0"))
        .await
        .expect("started");
    let target = app.address().to_string();
    let mut load = Running::start(Path::new(LOAD), &[&target, "--report", "-"]).expect("started");
    wait_until("some requests", BOUND, async || {
        app.answers().get(&200).filter(|n| **n > 5).copied()
    })
    .await
    .expect("in time");
    load.signal(Signal::SIGINT).expect("sent");
    assert!(load.ended(BOUND).await.expect("ended").success());
    load.line_with("0 failed", BOUND).await.expect("a summary");
    load.line_with("\"by_version\"", BOUND).await.expect("JSON");
}
