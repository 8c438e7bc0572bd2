//! The report in its other forms: the same figures, and nothing that a browser would load.
// CHK-12, CHK-14, PIP-10, PRE-24, RBK-22

use super::tests::{Told, full, report, rolled_back, traffic};
use super::{Report, html, junit, markdown, post_mortem};
use crate::figures::{LatencyMs, Percent};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;
use std::collections::BTreeMap;

/// The figures of a page: what stands under which pointer.
fn figures(html: &str) -> Vec<(String, String)> {
    html.split("data-path=\"")
        .skip(1)
        .map(|rest| {
            let (path, rest) = rest.split_once("\">").expect("an end");
            let (shown, _) = rest.split_once("</span>").expect("an end");
            let shown = quick_xml::escape::unescape(shown).expect("escaped");
            (path.to_owned(), shown.replace('\u{202f}', ""))
        })
        .collect()
}

/// What a page has to show for a value, told from the field's name alone.
fn expected(path: &str, value: &Value) -> Option<String> {
    let number = || value.as_f64();
    if path.ends_with("_percent") {
        return Some(format!("{:.2}%", number()?));
    }
    if path.ends_with("p50_ms") || path.ends_with("p95_ms") || path.ends_with("p99_ms") {
        return Some(format!("{:.1} ms", number()?));
    }
    if path.ends_with("_ms") {
        return Some(esclusa_model::Millis(value.as_u64()?).to_string());
    }
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        _ => None,
    }
}

/// Where the page says something else than the JSON.
fn differences(report: &Report, html: &str) -> Vec<String> {
    let json = serde_json::to_value(report).expect("JSON");
    let mut wrong = Vec::new();
    for (path, shown) in figures(html) {
        let value = json.pointer(&path);
        let known = value.filter(|value| !value.is_null());
        let fits = match known {
            Some(value) => expected(&path, value).as_deref() == Some(&shown),
            // Nothing is known: no digit may stand there.
            None => !shown.contains(|c: char| c.is_ascii_digit()),
        };
        if !fits {
            wrong.push(format!("{path}: {shown} for {value:?}"));
        }
    }
    wrong
}

#[test]
fn the_page_shows_the_figures_of_the_json() {
    for report in [full(), rolled_back()] {
        let page = html(&report);
        assert!(figures(&page).len() > 50, "{}", figures(&page).len());
        assert_eq!(differences(&report, &page), Vec::<String>::new());
    }
}

#[test]
fn another_figure_would_be_seen() {
    let mut report = full();
    let page = html(&report);
    report.traffic.versions[0].failures += 1;
    report.series.buckets[6].canary = None;
    let wrong = differences(&report, &page);
    assert_eq!(wrong.len(), 4, "{wrong:?}");
}

#[test]
fn the_page_stands_alone() {
    let mut report = full();
    report.reason = "</style><script>alert(1)</script><img src=//x>".into();
    let page = html(&report);
    for foreign in [
        "<script", "<link", "<img", "src=\"", "href=\"", "url(", "@import", "http:", "https:",
        "style=\"",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn the_charts_are_drawn_inside_of_their_frame() {
    let page = html(&full());
    assert_eq!(page.matches("role=\"img\"").count(), 4);
    for part in page.split("<text x=\"").skip(1) {
        let x: f64 = part
            .split('"')
            .next()
            .expect("x")
            .parse()
            .expect("a number");
        let anchor = part.split("text-anchor=\"").nth(1).expect("an anchor");
        let word = part
            .split('>')
            .nth(1)
            .expect("a word")
            .split('<')
            .next()
            .expect("a word");
        // Eleven pixels high: no letter is wider than eight.
        let width = word.chars().count() as f64 * 8.0;
        let (from, to) = match anchor.split('"').next().expect("an anchor") {
            "start" => (x, x + width),
            "end" => (x - width, x),
            _ => (x - width / 2.0, x + width / 2.0),
        };
        assert!(
            from >= -16.0 && to <= 420.0 + 16.0,
            "{word}: {from} to {to}"
        );
    }
}

/// Cases by what became of them.
fn cases(xml: &str) -> BTreeMap<&'static str, Vec<String>> {
    let mut reader = Reader::from_str(xml);
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Eof => return found,
            Event::Start(tag) | Event::Empty(tag) => match tag.name().as_ref() {
                "testcase" => {
                    let attribute = tag.try_get_attribute("name").expect("fine");
                    let value = attribute.expect("a name").value;
                    name = value.into_owned();
                    found.entry("all").or_default().push(name.clone());
                }
                "failure" => found.entry("failed").or_default().push(name.clone()),
                "skipped" => found.entry("skipped").or_default().push(name.clone()),
                _ => {}
            },
            _ => {}
        }
    }
}

#[test]
fn junit_fails_what_went_back_and_skips_what_was_not_reached() {
    let xml = junit(&rolled_back());
    let cases = cases(&xml);
    assert_eq!(cases["failed"], ["stage 1 (5%)", "outcome"]);
    assert_eq!(cases["skipped"], ["stage 2 (100%)"]);
    let count = format!("tests=\"{}\" failures=\"2\"", cases["all"].len());
    assert!(xml.contains(&count), "{xml}");
    insta::assert_snapshot!("rolled_back_junit", xml);
}

#[test]
fn junit_of_what_is_under_way_passes_nothing_by_silence() {
    let told = Told::begin();
    let mut report = report(&told, traffic());
    report.version.name = "a<b>&\"\u{1}".into();
    let found = cases(&junit(&report));
    assert!(!found.contains_key("failed"));
    // Both sign-offs, both stages, the outcome.
    assert_eq!(found["skipped"].len(), 5, "{found:?}");
}

#[test]
fn texts_for_people() {
    insta::assert_snapshot!("full_markdown", markdown(&full()));
    insta::assert_snapshot!("full_html", html(&full()));
    let written = post_mortem(&rolled_back()).expect("it went back");
    insta::assert_snapshot!("post_mortem", written);
    assert_eq!(post_mortem(&full()), None);
}

#[test]
fn a_stage_over_its_budget_says_by_how_much() {
    let report = full();
    let stage = &report.stages[0];
    assert_eq!(
        (stage.budget_ms, stage.took_ms),
        (Some(600_000), Some(614_000))
    );
    assert_eq!(stage.over_by_ms, Some(14_000));
    assert!(markdown(&report).contains("10m (over by 14s)"));
}

#[test]
fn newtypes_are_plain_numbers_in_json() {
    let value = serde_json::to_value((Percent::of(1, 8), LatencyMs::from_micros(1_500)));
    assert_eq!(value.expect("JSON"), serde_json::json!([12.5, 1.5]));
}

// Programs read reports by this. `UPDATE=1` writes the file anew.
#[test]
fn the_schema_is_checked_in_and_reports_follow_it() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/report.schema.json"
    );
    let schema = serde_json::to_value(schemars::schema_for!(Report)).expect("JSON");
    let now = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, &now).expect("written");
    }
    let known = std::fs::read_to_string(file).expect("docs/reference/report.schema.json");
    assert!(
        known == now,
        "the schema is out of date: run this test with UPDATE=1"
    );
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for report in [full(), rolled_back(), report(&Told::begin(), traffic())] {
        let json = serde_json::to_value(&report).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&json)
            .map(|e| e.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        let mut wrong = json.clone();
        wrong["verdict"] = "maybe".into();
        assert!(!validator.is_valid(&wrong));
    }
}
