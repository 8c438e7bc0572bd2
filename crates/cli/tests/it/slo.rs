//! `esclusa slo`, as a person would use it: files, a real promtool, a real Prometheus.

use super::run;
use crate::world::LONG;
use esclusa_testkit::wait_until;
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn copied(from: &str, dir: &Path) {
    let from = root().join(from);
    let name = from.file_name().expect("a file");
    std::fs::copy(&from, dir.join(name)).expect("copied");
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

// MET-01, ALR-05
#[test]
fn rules_are_written_and_promtool_takes_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    copied("examples/slo/slo.yaml", dir);
    let (code, _, talk) = run(dir, &["slo", "check", "slo.yaml"]);
    assert_eq!(
        (code, talk.trim()),
        (0, "slo.yaml: accepted, 2 SLOs with 2 objectives")
    );
    let (code, data, talk) = run(dir, &["slo", "rules", "slo.yaml", "--out", "rules.yaml"]);
    assert_eq!((code, data.as_str()), (0, ""), "{talk}");
    let checked = Command::new("promtool")
        .args(["check", "rules", "rules.yaml"])
        .current_dir(dir)
        .output();
    assert!(
        checked
            .expect("promtool runs; `make setup` installs it")
            .status
            .success()
    );
    let written = std::fs::read_to_string(dir.join("rules.yaml")).expect("written");
    let example = std::fs::read_to_string(root().join("examples/slo/rules.yaml")).expect("there");
    assert_eq!(written, example);
    let (code, data, _) = run(dir, &["slo", "rules", "slo.yaml"]);
    assert_eq!((code, data), (0, written));
    let (code, data, _) = run(dir, &["slo", "lint", "rules.yaml", "--json"]);
    assert_eq!((code, &json(&data)["accepted"]), (0, &Value::Bool(true)));
    // Trap 7: a threshold between two bounds.
    let bounds = "http_request_duration_seconds=0.1,0.25,1";
    let (code, data, talk) = run(dir, &["slo", "rules", "slo.yaml", "--buckets", bounds]);
    assert_eq!((code, data.as_str()), (2, ""));
    assert!(
        talk.contains("error[ESC-0806]") && talk.contains("`0.25` or `1`"),
        "{talk}"
    );
}

#[test]
fn a_wrong_file_is_refused_at_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    copied("examples/slo/slo.yaml", dir);
    let file = dir.join("slo.yaml");
    let text = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, text.replace("target: 0.999", "target: 1")).expect("written");
    for verb in ["check", "rules"] {
        let (code, data, talk) = run(dir, &["slo", verb, "slo.yaml"]);
        assert_eq!((code, data.as_str()), (2, ""));
        assert!(
            talk.contains("slo.yaml:42:") && talk.contains("ESC-0805"),
            "{talk}"
        );
    }
    let (code, data, _) = run(dir, &["slo", "check", "slo.yaml", "--json"]);
    let data = json(&data);
    assert_eq!((code, &data["accepted"]), (2, &Value::Bool(false)));
    assert_eq!(data["files"][0]["diagnostics"][0]["code"], "ESC-0805");
    let (code, _, talk) = run(dir, &["slo", "check", "none.yaml"]);
    assert!(code == 2 && talk.contains("ESC-0502"), "{talk}");
}

// ALR-01 to ALR-04, traps 7 and 8
#[test]
fn the_lint_finds_what_is_wrong_with_four_usual_alerts() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    copied("crates/slo/tests/files/alerts.yml", dir);
    copied("crates/slo/tests/files/metrics.txt", dir);
    let (code, data, talk) = run(
        dir,
        &["slo", "lint", "alerts.yml", "--metrics", "metrics.txt"],
    );
    assert_eq!((code, data.as_str()), (2, ""));
    for (code, name) in [
        ("ESC-0812", "exec_reports_created_total"),
        ("ESC-0812", "master_reports_created_total"),
        ("ESC-0813", "report_generation_duration_seconds"),
        ("ESC-0811", "ConsolidationSlow can never fire"),
    ] {
        assert!(
            talk.lines()
                .any(|line| line.contains(code) && line.contains(name)),
            "{code} {name}\n{talk}"
        );
    }
    let (code, data, _) = run(
        dir,
        &[
            "slo",
            "lint",
            "alerts.yml",
            "--metrics",
            "metrics.txt",
            "--json",
        ],
    );
    assert_eq!(
        (code, &json(&data)["files"][0]["errors"]),
        (2, &Value::from(5))
    );
    // What does not tell is no silence.
    std::fs::write(dir.join("empty.txt"), "up 1\n").expect("written");
    let (code, _, talk) = run(
        dir,
        &["slo", "lint", "alerts.yml", "--metrics", "empty.txt"],
    );
    assert!(code == 2 && talk.contains("shows no histogram"), "{talk}");
    let (code, _, talk) = run(dir, &["slo", "lint", "alerts.yml", "--buckets", "x"]);
    assert!(code == 2 && talk.contains("ESC-0818"), "{talk}");
}

// ALR-06, ALR-07, ALR-08
#[test]
fn templates_are_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let own = [
        "slo",
        "template",
        "queue",
        "--service",
        "esclusa",
        "--metric",
        "esclusa_notifications_waiting",
    ];
    let (code, data, _) = run(dir, &own);
    assert_eq!(code, 0);
    assert!(
        data.contains("sum(esclusa_notifications_waiting) > 1000"),
        "{data}"
    );
    let rate = [
        "slo",
        "template",
        "error-rate",
        "--service",
        "jobs",
        "--metric",
        "jobs_total",
        "--bad",
        "jobs_total{ok=\"no\"}",
        "--out",
        "rate.yaml",
    ];
    assert_eq!(run(dir, &rate).0, 0);
    let checked = Command::new("promtool")
        .args(["check", "rules", "rate.yaml"])
        .current_dir(dir)
        .output();
    assert!(
        checked
            .expect("promtool runs; `make setup` installs it")
            .status
            .success()
    );
    let slow = [
        "slo",
        "template",
        "response-time",
        "--service",
        "jobs",
        "--metric",
        "job_seconds",
        "--buckets",
        "job_seconds=0.1,1",
    ];
    let (code, _, talk) = run(dir, &slow);
    assert!(code == 2 && talk.contains("could never fire"), "{talk}");
}

struct Prometheus {
    child: Child,
    url: String,
}

impl Prometheus {
    /// One that watches itself.
    fn start(dir: &Path) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address").to_string();
        drop(socket);
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 400ms }}\nscrape_configs:\n- job_name: self\n  \
             static_configs:\n  - targets: ['{address}']\n"
        );
        std::fs::write(dir.join("prometheus.yml"), config).expect("written");
        let child = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg(format!("--web.listen-address={address}"))
            .arg("--storage.tsdb.path=data")
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus runs; `make setup` installs it");
        Self {
            child,
            url: format!("http://{address}"),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SELF: &str = "groups:\n- name: a\n  rules:\n  - alert: Slow\n    expr: histogram_quantile(0.95, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[5m]))) > 120\n    for: 5m\n    labels: { severity: page }\n    annotations: { summary: x }\n  - alert: Gone\n    expr: absent(prometheus_http_request_duration_seconds_count)\n    for: 5m\n    labels: { severity: page }\n    annotations: { summary: x }\n";

// MET-03, trap 3
#[tokio::test]
async fn a_server_tells_buckets_and_budgets_or_nothing_is_known() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let prometheus = Prometheus::start(dir);
    let url = prometheus.url.clone();
    std::fs::write(dir.join("self.yml"), SELF).expect("written");
    let lint = ["slo", "lint", "self.yml", "--prometheus", &url];
    let said = wait_until("its buckets", LONG, async || {
        let (_, _, talk) = run(dir, &lint);
        talk.contains("ESC-0811").then_some(talk)
    });
    let said = said.await.expect("a finding");
    assert!(
        said.contains("at most 120, its last finite bucket bound"),
        "{said}"
    );
    let slo = "apiVersion: openslo/v1\nkind: SLO\nmetadata: { name: self }\nspec:\n  service: prometheus\n  indicator:\n    spec:\n      ratioMetric:\n        bad: { metricSource: { spec: { query: 'prometheus_http_requests_total{code=~\"5..\"}' } } }\n        total: { metricSource: { spec: { query: prometheus_http_requests_total } } }\n  timeWindow: [{ duration: 1d }]\n  budgetingMethod: Occurrences\n  objectives: [{ target: 0.9 }]\n";
    std::fs::write(dir.join("slo.yaml"), slo).expect("written");
    let budget = ["slo", "budget", "slo.yaml", "--prometheus", &url];
    let left = wait_until("a budget", LONG, async || {
        let (code, data, _) = run(dir, &budget);
        (code == 0).then_some(data)
    });
    let left = left.await.expect("what is left");
    assert!(
        left.contains("self 90% over 1d: 100.0 % of the error budget is left"),
        "{left}"
    );
    drop(prometheus);
    let (code, data, _) = run(dir, &[&budget[..], &["--json"]].concat());
    let data = json(&data);
    assert_eq!((code, &data["enough"]), (6, &Value::Bool(false)));
    assert!(data["budgets"][0]["left"].is_null() && data["budgets"][0]["unknown"].is_string());
    let (code, _, talk) = run(dir, &lint);
    assert!(code == 2 && talk.contains("ESC-0818"), "{talk}");
}
