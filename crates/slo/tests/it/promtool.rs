//! Rules that this program writes, read and evaluated by the real promtool.

use esclusa_plan::SourceFile;
use esclusa_slo::{
    Buckets, LintOptions, RuleOptions, Template, TemplateOptions, lint_rules, read_openslo, rules,
    template, to_yaml,
};
use std::path::Path;
use std::process::{Command, Output};

fn promtool(folder: &Path, words: &[&str]) -> Output {
    Command::new("promtool")
        .args(words)
        .current_dir(folder)
        .output()
        .expect("promtool runs; `make setup` installs it")
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Runs unit tests of rules; gives what promtool says when they fail.
fn tested(rules: &str, tests: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
    let checked = promtool(folder.path(), &["check", "rules", "rules.yaml"]);
    assert!(checked.status.success(), "{}\n{rules}", said(&checked));
    let whole = format!("rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n{tests}");
    std::fs::write(folder.path().join("test.yaml"), whole).expect("written");
    let ran = promtool(folder.path(), &["test", "rules", "test.yaml"]);
    if ran.status.success() {
        Ok(())
    } else {
        Err(said(&ran))
    }
}

const EXAMPLE: &str = include_str!("../../../../examples/slo/slo.yaml");

fn example_rules(options: &RuleOptions) -> String {
    let read = read_openslo(&SourceFile::new("slo.yaml", EXAMPLE)).expect("accepted");
    let groups = rules(&read.slos, options).expect("rules");
    to_yaml(
        "Written by `esclusa slo rules slo.yaml`. Change that file and write this one again.",
        &groups,
    )
}

/// Failures and successes a minute; alerts at a time.
fn case(
    interval: &str,
    series: &[(&str, &str)],
    at: &str,
    alerts: &[(&str, Option<&str>)],
) -> String {
    let mut text = format!("- interval: {interval}\n  input_series:\n");
    for (name, values) in series {
        text.push_str(&format!("  - {{ series: '{name}', values: '{values}' }}\n"));
    }
    text.push_str("  alert_rule_test:\n");
    for (name, value) in alerts {
        text.push_str(&format!(
            "  - eval_time: {at}\n    alertname: {name}\n    exp_alerts:"
        ));
        match value {
            None => text.push_str(" []\n"),
            Some(expected) => text.push_str(&format!("\n{expected}")),
        }
    }
    text
}

fn burning(severity: &str, pace: &str, value: &str) -> String {
    format!(
        "    - exp_labels: {{ severity: {severity}, service: shop, slo: shop-availability, objective: '99.9%', team: web }}\n      \
         exp_annotations:\n        summary: 'Shop answers: the error budget burns {pace}'\n        \
         description: '{value} of what shop does is bad; the objective is 99.9% over 28d.'\n        \
         runbook_url: https://wiki.example/shop\n"
    )
}

const OK: &str = "http_requests_total{job=\"shop\",code=\"200\"}";
const BAD: &str = "http_requests_total{job=\"shop\",code=\"500\"}";
const PAGE: &str = "ShopAvailabilityPage";
const TICKET: &str = "ShopAvailabilityTicket";
const GONE: &str = "ShopAvailabilityNoData";

// ALR-01, ALR-02, ALR-05, traps 1, 3, 5 and 8
#[test]
fn written_alerts_fire_when_they_must_and_only_then() {
    let page = |value: &str| burning("critical", "fast", value);
    let ticket = |value: &str| burning("warning", "steadily", value);
    let gone = "    - exp_labels: { severity: warning, service: shop, slo: shop-availability, objective: '99.9%', team: web }\n      exp_annotations:\n        summary: 'Shop answers: no data'\n        description: 'Nothing is known about Shop answers of shop for 10m; no other alert can fire.'\n        runbook_url: https://wiki.example/shop\n";
    let tests = [
        // Nothing fails, and no failure has a series yet.
        case(
            "1m",
            &[(OK, "0+1000x400")],
            "6h",
            &[(PAGE, None), (TICKET, None), (GONE, None)],
        ),
        // One in twenty fails.
        case(
            "1m",
            &[(OK, "0+950x130"), (BAD, "0+50x130")],
            "2h",
            &[(PAGE, Some(&page("5%"))), (GONE, None)],
        ),
        // Everything fails, and no success ever had a series.
        case(
            "1m",
            &[(BAD, "0+5x70")],
            "65m",
            &[(PAGE, Some(&page("100%")))],
        ),
        // It is over: the short windows are clean again.
        case(
            "1m",
            &[(OK, "0+950x150"), (BAD, "0+50x30 1500x120")],
            "70m",
            &[(PAGE, None)],
        ),
        // Three small modules that fail wholly, five times a minute each.
        case(
            "1m",
            &[
                (
                    "http_requests_total{job=\"shop\",code=\"500\",module=\"a\"}",
                    "0+5x70",
                ),
                (
                    "http_requests_total{job=\"shop\",code=\"500\",module=\"b\"}",
                    "0+5x70",
                ),
                (
                    "http_requests_total{job=\"shop\",code=\"500\",module=\"c\"}",
                    "0+5x70",
                ),
            ],
            "65m",
            &[(PAGE, Some(&page("100%")))],
        ),
        // One failure among few requests is nobody's alarm.
        case(
            "1m",
            &[(OK, "0+1x70"), (BAD, "0x60 1x10")],
            "62m",
            &[(PAGE, None), (TICKET, None)],
        ),
        // Four times too fast for a day: a ticket, and nobody is woken.
        case(
            "1m",
            &[(OK, "0+996x1500"), (BAD, "0+4x1500")],
            "24h",
            &[(PAGE, None), (TICKET, Some(&ticket("0.4%")))],
        ),
        // The data stops.
        case(
            "1m",
            &[(OK, "0+1000x10 stale")],
            "30m",
            &[(PAGE, None), (GONE, Some(gone))],
        ),
    ]
    .concat();
    let rules = example_rules(&RuleOptions::default());
    assert_eq!(tested(&rules, &tests), Ok(()));
    // The same proof fails where it should.
    let wrong = case(
        "1m",
        &[(OK, "0+950x130"), (BAD, "0+50x130")],
        "2h",
        &[(PAGE, None)],
    );
    let why = tested(&rules, &wrong).expect_err("it fires");
    assert!(why.contains(PAGE) && why.contains("FAILED"), "{why}");
}

// MET-03
#[test]
fn latency_counts_by_a_bucket() {
    let bucket =
        |le: &str| format!("http_request_duration_seconds_bucket{{job=\"shop\",le=\"{le}\"}}");
    let count = "http_request_duration_seconds_count{job=\"shop\"}";
    let tests = |good: &str, alert: Option<&str>| {
        case(
            "1m",
            &[
                (&bucket("0.5"), good),
                (&bucket("+Inf"), "0+100x130"),
                (count, "0+100x130"),
            ],
            "2h",
            &[("ShopLatencyPage", alert)],
        )
    };
    let rules = example_rules(&RuleOptions::default());
    assert_eq!(
        tested(&rules, &tests("0+95x130", None)),
        Ok(()),
        "5 % burn five times too fast"
    );
    let slow = "    - exp_labels: { severity: critical, service: shop, slo: shop-latency, objective: '99%', team: web }\n      exp_annotations:\n        summary: 'Shop is fast: the error budget burns fast'\n        description: '30% of what shop does is bad; the objective is 99% over 28d.'\n";
    assert_eq!(tested(&rules, &tests("0+70x130", Some(slow))), Ok(()));
    assert!(tested(&rules, &tests("0+70x130", None)).is_err());
}

// Trap 7
#[test]
fn a_threshold_that_is_no_bound_is_refused() {
    let read = read_openslo(&SourceFile::new("slo.yaml", EXAMPLE)).expect("accepted");
    let mut options = RuleOptions::default();
    options
        .buckets
        .add_written("http_request_duration_seconds=0.1,0.25,1")
        .expect("bounds");
    let wrong = rules(&read.slos, &options).expect_err("0.5 is no bound");
    assert_eq!(wrong[0].0, "ESC-0806");
    assert!(wrong[0].1.contains("`0.25` or `1`"), "{}", wrong[0].1);
    options
        .buckets
        .add_written("http_request_duration_seconds=0.5")
        .expect("bounds");
    assert!(rules(&read.slos, &options).is_ok());
}

#[test]
fn the_example_is_what_is_written() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/slo/rules.yaml");
    let now = example_rules(&RuleOptions::default());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &now).expect("written");
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(there, now, "write it again with UPDATE=1");
    let found = lint_rules(&SourceFile::new("rules.yaml", now), &LintOptions::default());
    assert_eq!(found, [], "the lint has nothing against it");
}

#[test]
fn every_way_to_measure_is_promql() {
    let slo = |indicator: &str, method: &str, objective: &str| {
        format!(
            "apiVersion: openslo/v1\nkind: SLO\nmetadata: {{ name: a }}\nspec:\n  service: s\n  indicator:\n    spec:\n      \
             {indicator}\n  timeWindow: [{{ duration: 7d }}]\n  budgetingMethod: {method}\n  objectives: [{objective}]\n"
        )
    };
    let ratio = "ratioMetric: { good: { metricSource: { spec: { query: 'sum(increase(good_total[{{.window}}]))' } } }, total: { metricSource: { spec: { query: all_total } } } }";
    let raw =
        "ratioMetric: { rawType: failure, raw: { metricSource: { spec: { query: bad_part } } } }";
    let value = "thresholdMetric: { metricSource: { spec: { query: 'max(queue_size)' } } }";
    let slice = "timeSliceTarget: 0.9, timeSliceWindow: 5m";
    for text in [
        slo(ratio, "Occurrences", "{ target: 0.9 }"),
        slo(ratio, "Timeslices", &format!("{{ target: 0.9, {slice} }}")),
        slo(
            ratio,
            "RatioTimeslices",
            "{ target: 0.9, timeSliceWindow: 5m }",
        ),
        slo(raw, "Occurrences", "{ target: 0.9 }"),
        slo(
            value,
            "Occurrences",
            "{ op: lte, value: 1000, target: 0.9 }",
        ),
        slo(
            value,
            "Timeslices",
            &format!("{{ op: lte, value: 1000, target: 0.9, {slice} }}"),
        ),
    ] {
        let read = read_openslo(&SourceFile::new("slo.yaml", text.clone())).expect(&text);
        let written = to_yaml(
            "x",
            &rules(&read.slos, &RuleOptions::default()).expect("rules"),
        );
        // A full queue for two hours, or nothing but failures.
        let tests = case(
            "1m",
            &[
                ("queue_size", "2000x130"),
                ("all_total", "0+10x130"),
                ("bad_part", "1x130"),
            ],
            "2h",
            &[(
                "APage",
                Some(
                    "    - exp_labels: { severity: critical, service: s, slo: a, objective: '90%' }\n      exp_annotations: { summary: 'a: the error budget burns fast', description: '100% of what s does is bad; the objective is 90% over 7d.' }\n",
                ),
            )],
        );
        assert_eq!(tested(&written, &tests), Ok(()), "{written}");
    }
}

fn filled(which: Template, metric: &str, bad: Option<&str>) -> String {
    let mut buckets = Buckets::default();
    buckets
        .add_written("job_seconds=0.1,0.5,1,2")
        .expect("bounds");
    let options = TemplateOptions {
        service: "reports".into(),
        metric: metric.into(),
        bad: bad.map(str::to_owned),
        limit: which.usual_limit(),
        quantile: 0.95,
        min_events: 10,
        severity: "warning".into(),
        buckets,
    };
    to_yaml("x", &template(which, &options).expect("a template"))
}

fn fires(summary: &str, description: &str) -> String {
    format!(
        "    - exp_labels: {{ severity: warning, service: reports }}\n      exp_annotations: {{ summary: '{summary}', description: '{description}' }}\n"
    )
}

// ALR-06, ALR-07, ALR-08
#[test]
fn templates_fire_beyond_their_limit() {
    let queue = filled(Template::Queue, "jobs_waiting", None);
    let name = "ReportsQueueTooLong";
    let full = fires(
        "reports: the queue is too long",
        "1.5k jobs wait; the limit is 1000.",
    );
    let of = |values: &str, expected| {
        case(
            "1m",
            &[("jobs_waiting", values)],
            "20m",
            &[(name, expected)],
        )
    };
    assert_eq!(tested(&queue, &of("1500x30", Some(&full))), Ok(()));
    assert_eq!(tested(&queue, &of("1000x30", None)), Ok(()));
    assert!(tested(&queue, &of("1500x30", None)).is_err());

    let rate = filled(
        Template::ErrorRate,
        "jobs_total",
        Some("jobs_total{ok=\"no\"}"),
    );
    let name = "ReportsErrorRateTooHigh";
    let failing = fires("reports: too many failures", "10% fail; the limit is 5%.");
    let of = |ok: &str, bad: &str, expected| {
        let series = [
            ("jobs_total{ok=\"yes\"}", ok),
            ("jobs_total{ok=\"no\"}", bad),
        ];
        case("1m", &series, "20m", &[(name, expected)])
    };
    assert_eq!(
        tested(&rate, &of("0+90x30", "0+10x30", Some(&failing))),
        Ok(())
    );
    assert_eq!(tested(&rate, &of("0+96x30", "0+4x30", None)), Ok(()));
    assert_eq!(
        tested(&rate, &of("0x30", "0x14 1x15", None)),
        Ok(()),
        "one job is no rate"
    );

    let slow = filled(Template::ResponseTime, "job_seconds", None);
    let name = "ReportsTooSlow";
    let told = fires(
        "reports: responses are slow",
        "p95 is 1.9s; the limit is 1 s.",
    );
    let of = |within: &str, expected| {
        let series = [
            ("job_seconds_bucket{le=\"1\"}", within),
            ("job_seconds_bucket{le=\"2\"}", "0+100x30"),
            ("job_seconds_bucket{le=\"+Inf\"}", "0+100x30"),
            ("job_seconds_count", "0+100x30"),
        ];
        case("1m", &series, "20m", &[(name, expected)])
    };
    assert_eq!(tested(&slow, &of("0+50x30", Some(&told))), Ok(()));
    assert_eq!(tested(&slow, &of("0+99x30", None)), Ok(()));
    for rules in [queue, rate, slow] {
        let mut buckets = Buckets::default();
        buckets
            .add_written("job_seconds=0.1,0.5,1,2")
            .expect("bounds");
        let found = lint_rules(
            &SourceFile::new("rules.yaml", rules),
            &LintOptions { buckets },
        );
        assert_eq!(found, [], "the lint has nothing against it");
    }
}

#[test]
fn a_template_that_could_never_fire_is_refused() {
    let mut buckets = Buckets::default();
    buckets
        .add_written("job_seconds=0.1,0.5,1")
        .expect("bounds");
    let mut options = TemplateOptions {
        service: "reports".into(),
        metric: "job_seconds".into(),
        bad: None,
        limit: 1.0,
        quantile: 0.95,
        min_events: 10,
        severity: "warning".into(),
        buckets,
    };
    let why = template(Template::ResponseTime, &options).expect_err("dead");
    assert!(why.contains("could never fire"), "{why}");
    options.limit = 0.7;
    assert!(
        template(Template::ResponseTime, &options)
            .expect_err("no bound")
            .contains("`0.5` or `1`")
    );
    options.limit = 0.5;
    assert!(template(Template::ResponseTime, &options).is_ok());
    options.metric = "rate(x[5m])".into();
    assert!(template(Template::Queue, &options).is_err());
    options.metric = "x".into();
    assert!(
        template(Template::ErrorRate, &options).is_err(),
        "no counter of failures"
    );
}
