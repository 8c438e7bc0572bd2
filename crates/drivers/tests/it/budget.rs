//! The check `error-budget` against a real Prometheus that holds a day of real data.

use esclusa_drivers::Placeholders;
use esclusa_drivers::check::{CheckContext, check};
use esclusa_drivers::metrics::{PrometheusAt, instant_query};
use esclusa_model::{CheckStatus, Millis};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Counters of three services from a day ago to four hours ago: one whose budget is nearly
/// whole, one that has a fifth of it, one that has overspent it.
fn history() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let mut text = String::from("# TYPE jobs counter\n");
    for (service, bad) in [("calm", 1), ("tight", 8), ("broken", 50)] {
        for (ok, step) in [("yes", 10_000 - bad), ("no", bad)] {
            for minute in 0..1_200 {
                let at = now - 86_400 + minute * 60;
                let count = step * minute;
                let _ = writeln!(
                    text,
                    "jobs_total{{service=\"{service}\",ok=\"{ok}\"}} {count} {at}"
                );
            }
        }
    }
    text.push_str("# EOF\n");
    text
}

struct Prometheus {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let history_file = folder.path().join("history");
        std::fs::write(&history_file, history()).expect("written");
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&history_file, &data])
            .output()
            .expect("promtool runs; `make setup` installs it");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address").to_string();
        drop(socket);
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "scrape_configs: []\n").expect("written");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus runs; `make setup` installs it");
        let started = Self {
            child,
            url: format!("http://{address}"),
            _folder: folder,
        };
        let server = PrometheusAt {
            url: started.url.clone(),
            ..PrometheusAt::default()
        };
        let query = "count(last_over_time(jobs_total[2d]))";
        for _ in 0..600 {
            let answer = instant_query(&server, query, &Placeholders::new(), Millis(5_000)).await;
            if answer.is_ok_and(|a| a["data"]["result"][0]["value"][1] == "6") {
                return started;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("prometheus does not show its data");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn slo(folder: &Path, service: &str, window: &str) -> String {
    let text = format!(
        "apiVersion: openslo/v1\nkind: SLO\nmetadata: {{ name: {service} }}\nspec:\n  service: {service}\n  \
         indicator:\n    spec:\n      ratioMetric:\n        \
         bad: {{ metricSource: {{ spec: {{ query: 'jobs_total{{service=\"{service}\",ok=\"no\"}}' }} }} }}\n        \
         total: {{ metricSource: {{ spec: {{ query: 'jobs_total{{service=\"{service}\"}}' }} }} }}\n  \
         timeWindow: [{window}]\n  budgetingMethod: Occurrences\n  objectives: [{{ target: 0.999 }}]\n"
    );
    let name = format!("{service}.yaml");
    std::fs::write(folder.join(&name), text).expect("written");
    name
}

async fn ask(folder: &Path, block: serde_json::Value) -> (CheckStatus, String) {
    let context = CheckContext {
        placeholders: Placeholders::new(),
        env: BTreeMap::new(),
        cwd: folder.into(),
        timeout: Millis(10_000),
    };
    let result = check("error-budget", &block)
        .expect("fits")
        .ask(&context)
        .await;
    (result.status, result.message)
}

// ALR-07, traps 3 and 4
#[tokio::test]
async fn a_budget_passes_fails_or_is_not_known() {
    let mut prometheus = Prometheus::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let url = prometheus.url.clone();
    let rolling = "{ duration: 7d, isRolling: true }";
    let [calm, tight, broken, gone] =
        ["calm", "tight", "broken", "gone"].map(|service| slo(folder, service, rolling));
    let (status, message) = ask(
        folder,
        json!({ "slo": calm, "prometheus": url, "at-least": 2_500 }),
    )
    .await;
    assert_eq!(status, CheckStatus::Pass, "{message}");
    assert_eq!(message, "calm 99.9% over 7d: 90.0 % left");
    // A fifth is left: not overspent, and less than a quarter.
    let (status, message) = ask(folder, json!({ "slo": tight, "prometheus": url })).await;
    assert_eq!(status, CheckStatus::Pass, "{message}");
    let (status, message) = ask(
        folder,
        json!({ "slo": tight, "prometheus": url, "at-least": 2_500 }),
    )
    .await;
    assert_eq!(status, CheckStatus::Fail, "{message}");
    assert!(message.contains("20.0 % left; 25.0 % asked"), "{message}");
    // Overspent: nothing but a fix may pass.
    let (status, message) = ask(folder, json!({ "slo": broken, "prometheus": url })).await;
    assert_eq!(status, CheckStatus::Fail, "{message}");
    assert!(message.contains("-400.0 % left"), "{message}");
    let (status, message) = ask(
        folder,
        json!({ "slo": broken, "prometheus": url, "fix": true }),
    )
    .await;
    assert_eq!(status, CheckStatus::Pass, "{message}");
    assert!(
        message.ends_with("the plan says that this is a fix"),
        "{message}"
    );
    // Nothing is known, for a fix neither.
    for fix in [false, true] {
        let (status, message) = ask(
            folder,
            json!({ "slo": gone, "prometheus": url, "fix": fix }),
        )
        .await;
        assert_eq!(status, CheckStatus::Unknown, "{message}");
        assert!(message.contains("no data in the whole window"), "{message}");
    }
    let calendar = slo(
        folder,
        "later",
        "{ duration: 1M, calendar: { startTime: 2026-01-01 00:00:00 } }",
    );
    std::fs::write(folder.join("torn.yaml"), "kind: SLO\n").expect("written");
    for file in [calendar.as_str(), "torn.yaml", "none.yaml"] {
        let (status, message) = ask(folder, json!({ "slo": file, "prometheus": url })).await;
        assert_eq!(status, CheckStatus::Unknown, "{message}");
    }
    prometheus.child.kill().expect("killed");
    prometheus.child.wait().expect("gone");
    let (status, message) = ask(folder, json!({ "slo": calm, "prometheus": url })).await;
    assert_eq!(status, CheckStatus::Unknown, "{message}");
}
