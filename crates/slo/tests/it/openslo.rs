//! Which OpenSLO is read, and what is said of the rest.

use esclusa_plan::{SourceFile, render_all};
use esclusa_slo::{
    Budgeting, Indicator, Op, Period, Ratio, Read, RuleOptions, WindowSpan, read_openslo, rules,
};

fn source(text: &str) -> SourceFile {
    SourceFile::new("slo.yaml", text)
}

fn slo(indicator: &str, method: &str, objective: &str) -> String {
    format!(
        "apiVersion: openslo/v1\nkind: SLO\nmetadata: {{ name: a }}\nspec:\n  service: s\n  \
         indicator:\n    spec:\n{indicator}\n  timeWindow: [{{ duration: 30d, isRolling: true }}]\n  \
         budgetingMethod: {method}\n  objectives: [{objective}]\n"
    )
}

const RATIO: &str = "      ratioMetric:\n        good: { metricSource: { spec: { query: good_total } } }\n        total: { metricSource: { spec: { query: all_total } } }";
const VALUE: &str = "      thresholdMetric: { metricSource: { spec: { query: queue_size } } }";

fn read(text: &str) -> Read {
    let source = source(text);
    read_openslo(&source).unwrap_or_else(|found| panic!("{}", render_all(&source, &found)))
}

fn refused(text: &str) -> String {
    let source = source(text);
    render_all(&source, &read_openslo(&source).expect_err(text))
}

// MET-01, MET-02
#[test]
fn the_example_is_read() {
    let read = read(include_str!("../../../../examples/slo/slo.yaml"));
    assert_eq!(read.warnings, []);
    let [availability, latency] = read.slos.as_slice() else {
        panic!("{:?}", read.slos);
    };
    assert_eq!(availability.objectives[0].id, "99.9%");
    assert_eq!(
        availability.period,
        Period::Rolling(WindowSpan(28 * 86_400))
    );
    assert!(matches!(
        availability.objectives[0].indicator,
        Indicator::Events {
            counts: Ratio::Bad,
            ..
        }
    ));
    let bound = latency.objectives[0].indicator.bound();
    assert_eq!(
        bound,
        Some(("http_request_duration_seconds".to_owned(), 0.5))
    );
    assert!((latency.objectives[0].target - 0.99).abs() < 1e-12);
}

#[test]
fn all_ways_to_measure_are_read_and_written() {
    let raw = "      ratioMetric:\n        rawType: success\n        raw: { metricSource: { spec: { query: availability } } }";
    for (text, method) in [
        (
            slo(RATIO, "Occurrences", "{ target: 0.99 }"),
            Budgeting::Occurrences,
        ),
        (
            slo(
                RATIO,
                "Timeslices",
                "{ target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 1m }",
            ),
            Budgeting::Timeslices,
        ),
        (
            slo(
                RATIO,
                "RatioTimeslices",
                "{ target: 0.99, timeSliceWindow: 2 }",
            ),
            Budgeting::RatioTimeslices,
        ),
        (
            slo(
                raw,
                "Occurrences",
                "{ target: 0.99 }, { targetPercent: 99.9 }",
            ),
            Budgeting::Occurrences,
        ),
        (
            slo(
                VALUE,
                "Occurrences",
                "{ op: lt, value: 1000, target: 0.99 }",
            ),
            Budgeting::Occurrences,
        ),
        (
            slo(
                VALUE,
                "Timeslices",
                "{ op: lt, value: 1000, target: 0.99, timeSliceTarget: 0.9, timeSliceWindow: 5m }",
            ),
            Budgeting::Timeslices,
        ),
    ] {
        let read = read(&text);
        assert_eq!(read.slos[0].budgeting, method);
        let groups = rules(&read.slos, &RuleOptions::default()).expect("rules");
        assert_eq!(groups.len(), 3 * read.slos[0].objectives.len(), "{text}");
    }
    let value = read(&slo(
        VALUE,
        "Occurrences",
        "{ op: gte, value: 3, target: 0.5 }",
    ));
    assert!(matches!(
        value.slos[0].objectives[0].indicator,
        Indicator::Threshold {
            op: Op::AtLeast,
            ..
        }
    ));
}

#[test]
fn an_sli_of_its_own_is_found_by_name() {
    let text = "apiVersion: openslo/v1\nkind: SLI\nmetadata: { name: b }\nspec:\n  ratioMetric:\n    bad: { metricSource: { spec: { query: bad_total } } }\n    total: { metricSource: { spec: { query: all_total } } }\n---\napiVersion: openslo/v1\nkind: SLO\nmetadata: { name: a }\nspec:\n  service: s\n  indicatorRef: b\n  timeWindow: [{ duration: 1M, calendar: { startTime: 2026-01-01 00:00:00, timeZone: Europe/Madrid } }]\n  budgetingMethod: Occurrences\n  objectives: [{ target: 0.9 }]\n";
    let found = read(text);
    assert_eq!(
        found.slos[0].period,
        Period::Calendar(WindowSpan(30 * 86_400))
    );
    let groups = rules(&found.slos, &RuleOptions::default()).expect("rules");
    assert_eq!(
        groups.len(),
        2,
        "what is left of a calendar window cannot be recorded"
    );
    assert!(refused(&text.replace("indicatorRef: b", "indicatorRef: c")).contains("ESC-0804"));
}

#[test]
fn what_is_not_done_is_refused_in_words() {
    let whole = slo(RATIO, "Occurrences", "{ target: 0.99 }");
    let mut told = String::new();
    for (what, with) in [
        ("openslo/v1", "openslo/v2alpha"),
        ("kind: SLO", "kind: Slo"),
        ("service: s", "servise: s"),
        ("query: good_total", "query: 'sum(good_total'"),
        (
            "query: good_total",
            "query: 'max_over_time(good_total[5m])'",
        ),
        (
            "metricSource: { spec",
            "metricSource: { type: Datadog, spec",
        ),
        ("good: {", "counter: false\n        good: {"),
        ("target: 0.99", "target: 1"),
        ("target: 0.99", "targetPercent: 0.999, target: 0.9"),
        ("target: 0.99 }", "target: 0.99 }, { targetPercent: 99 }"),
        ("target: 0.99", "target: 0.99, op: lte"),
        ("target: 0.99", "target: 0.99, timeSliceWindow: 1m"),
        ("duration: 30d", "duration: 30 days"),
        ("isRolling: true", "isRolling: false"),
        (
            "{ duration: 30d, isRolling: true }",
            "{ duration: 30d }, { duration: 7d }",
        ),
        ("Occurrences", "Timeslices"),
        ("indicator:", "indicatorRef: x\n  indicator:"),
        ("kind: SLO", "kind: Service"),
    ] {
        assert!(whole.contains(what), "{what}");
        told.push_str(&format!(
            "# {what} -> {with}\n{}\n",
            refused(&whole.replacen(what, with, 1))
        ));
    }
    let twice = format!("{whole}---\n{whole}");
    told.push_str(&format!("# twice\n{}\n", refused(&twice)));
    told.push_str(&format!("# nothing\n{}", refused("# nothing\n")));
    insta::assert_snapshot!("refused", told);
}

#[test]
fn what_is_not_used_is_told() {
    let policy = "\n---\napiVersion: openslo/v1\nkind: AlertPolicy\nmetadata: { name: p }\nspec: { conditions: [{ conditionRef: c }] }\n";
    let read = read(&(slo(RATIO, "Occurrences", "{ target: 0.99 }") + policy));
    let codes: Vec<&str> = read.warnings.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["ESC-0807"]);
}
