//! The lint of rules that exist.

use esclusa_plan::{Severity, SourceFile, render_all};
use esclusa_slo::{Buckets, LintOptions, lint_rules, metrics_with_buckets};

fn source(text: &str) -> SourceFile {
    SourceFile::new("alerts.yml", text)
}

fn known() -> LintOptions {
    let mut buckets = Buckets::default();
    assert_eq!(buckets.add_text(include_str!("../files/metrics.txt")), 2);
    LintOptions { buckets }
}

fn rule(expr: &str) -> String {
    format!(
        "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: '{expr}'\n    for: 5m\n    labels: {{ severity: page }}\n    \
         annotations: {{ summary: x }}\n  - alert: Gone\n    expr: absent(x_total) or absent(y_seconds_count)\n    for: 5m\n    \
         labels: {{ severity: page }}\n    annotations: {{ summary: x }}\n"
    )
}

fn codes(text: &str, options: &LintOptions) -> Vec<&'static str> {
    lint_rules(&source(text), options)
        .iter()
        .map(|d| d.code)
        .collect()
}

// ALR-01, ALR-02, ALR-03, ALR-04, traps 7 and 8
#[test]
fn the_faults_of_four_usual_alerts_are_found() {
    let source = source(include_str!("../files/alerts.yml"));
    let found = lint_rules(&source, &known());
    insta::assert_snapshot!("four_alerts", render_all(&source, &found));
    let of = |code: &str| found.iter().filter(|d| d.code == code).count();
    assert_eq!((of("ESC-0811"), of("ESC-0812"), of("ESC-0813")), (1, 2, 2));
    let dead = found.iter().find(|d| d.code == "ESC-0811").expect("found");
    assert!(
        dead.message.contains("ConsolidationSlow"),
        "{}",
        dead.message
    );
    assert_eq!(dead.severity, Severity::Error);
}

// MET-03, MET-04: buckets that nobody knows are no pass.
#[test]
fn unknown_buckets_are_told() {
    let source = source(include_str!("../files/alerts.yml"));
    let found = lint_rules(&source, &LintOptions::default());
    assert_eq!(found.iter().filter(|d| d.code == "ESC-0818").count(), 2);
    let wanted: Vec<String> = metrics_with_buckets(&source).into_iter().collect();
    assert_eq!(
        wanted,
        [
            "consolidation_duration_seconds",
            "report_generation_duration_seconds"
        ]
    );
}

#[test]
fn each_fault_has_its_code_and_each_cure_none() {
    let mut options = known();
    options
        .buckets
        .add_written("y_seconds=0.1,0.5,1,5")
        .expect("buckets");
    for (expr, expected) in [
        // Above, at and below the last bound.
        (
            "histogram_quantile(0.9, sum by (le) (rate(y_seconds_bucket[5m]))) > 5",
            Some("ESC-0811"),
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(y_seconds_bucket[5m]))) >= 5",
            None,
        ),
        (
            "5 < histogram_quantile(0.9, sum by (le) (rate(y_seconds_bucket[5m])))",
            Some("ESC-0811"),
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(y_seconds_bucket[5m]))) > 1",
            None,
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(y_seconds_bucket[5m]))) > 0.7",
            Some("ESC-0814"),
        ),
        (
            "histogram_quantile(0.9, sum by (le, job) (rate(y_seconds_bucket[5m]))) > 1",
            None,
        ),
        (
            "histogram_quantile(0.9, sum without (pod) (rate(y_seconds_bucket[5m]))) > 1",
            None,
        ),
        (
            "histogram_quantile(0.9, sum(rate(y_seconds_bucket[5m]))) > 1",
            Some("ESC-0813"),
        ),
        (
            "histogram_quantile(0.9, avg by (le) (rate(y_seconds_bucket[5m]))) > 1",
            Some("ESC-0813"),
        ),
        (
            "sum(rate(y_seconds_bucket{le=\"2\"}[5m])) / sum(rate(y_seconds_count[5m])) < 0.9",
            Some("ESC-0811"),
        ),
        (
            "sum(rate(y_seconds_bucket{le=\"1.0\"}[5m])) / sum(rate(y_seconds_count[5m])) < 0.9",
            None,
        ),
        (
            "rate(y_seconds_sum[5m]) / rate(y_seconds_count[5m]) > 1",
            Some("ESC-0821"),
        ),
        // Failures.
        (
            "sum(rate(x_total{code=~\"5..\"}[5m])) > 1",
            Some("ESC-0812"),
        ),
        (
            "increase(x_total{success=\"false\"}[1h]) > 10",
            Some("ESC-0812"),
        ),
        (
            "sum(rate(x_total{code=~\"5..\"}[5m])) / sum(rate(x_total[5m])) > 0.05",
            None,
        ),
        ("sum(rate(x_total[5m])) > 1000", None),
        (
            "sum(rate(x_total{ok=\"no\"}[5m])) / sum(rate(x_total{ok=\"yes\"}[5m])) > 0.05",
            Some("ESC-0820"),
        ),
        ("x_total > 10", Some("ESC-0822")),
        ("sum(x_total) > 10", Some("ESC-0822")),
        ("sum(x_total", Some("ESC-0817")),
    ] {
        let found = codes(&rule(expr), &options);
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{expr}");
    }
}

#[test]
fn what_every_alert_needs_is_asked_for() {
    let bare = "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: sum(x) > 1\n  - record: b\n    expr: sum(x)\n";
    let mut found = codes(bare, &LintOptions::default());
    found.sort_unstable();
    assert_eq!(found, ["ESC-0815", "ESC-0816", "ESC-0819", "ESC-0819"]);
    // Recorded series are guarded by what guards their sources.
    let guarded = "groups:\n- name: a\n  labels: { severity: page }\n  rules:\n  - record: b\n    expr: sum(x)\n  - alert: A\n    expr: b > 1\n    for: 1m\n    annotations: { summary: x }\n  - alert: Gone\n    expr: absent(x)\n    for: 1m\n    annotations: { summary: x }\n";
    assert_eq!(codes(guarded, &LintOptions::default()), [""; 0]);
}

#[test]
fn a_file_without_alerts_does_not_pass() {
    for text in [
        "",
        "groups: []\n",
        "groups:\n- name: a\n  rules:\n  - record: b\n    expr: sum(x)\n",
    ] {
        assert_eq!(codes(text, &known()), ["ESC-0823"], "{text}");
    }
    assert!(codes("groups:\n- nam: a\n  rules: []\n", &known()).contains(&"ESC-0110"));
}
