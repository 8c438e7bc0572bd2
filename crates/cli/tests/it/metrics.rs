//! `docs/reference/metrics.md` is what `/metrics` says of itself.

use crate::world::{ERRORS_ONLY, LONG, Shop, ends, esclusa, version};
use esclusa_testkit::{plane::ControlPlane, ports, wait_until};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "# Metrics

What `GET /metrics` of `esclusa serve` says in the form of Prometheus, with those of its
proxy behind its own (written from a real answer: `cargo nextest run -E
'test(every_metric_is_on_its_page)'` with `UPDATE=1`). It needs a token with the role
`viewer`. A proxy with `--metrics-listen` serves its own part by itself. `esclusa_proxy_scraped`
is 0 when the proxy did not answer; its values are absent then, and not zero.

| metric | kind | labels | meaning |
|---|---|---|---|
";

#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

fn families(text: &str) -> BTreeMap<String, Family> {
    let mut found: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            found.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, ""));
            found.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((name, rest)) = line.split_once('{') {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|end| name.strip_suffix(end))
                .find(|base| found.contains_key(*base))
                .unwrap_or(name);
            let labels = rest.rsplit_once('}').map_or("", |(labels, _)| labels);
            for label in labels.split("\",").filter_map(|one| one.split('=').next()) {
                if let Some(family) = found.get_mut(base) {
                    family.labels.insert(label.trim().to_owned());
                }
            }
        }
    }
    found
}

fn page(families: &BTreeMap<String, Family>) -> String {
    let mut out = HEAD.to_owned();
    for (name, family) in families {
        let labels: Vec<String> = family.labels.iter().map(|l| format!("`{l}`")).collect();
        let help = family.help.replace('|', "\\|");
        let (kind, labels) = (&family.kind, labels.join(", "));
        let _ = writeln!(out, "| `{name}` | {kind} | {labels} | {help} |");
    }
    out
}

/// Name, kind and meaning: labels are seen only where something was counted.
fn named(page: &str) -> BTreeSet<[String; 3]> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default().to_owned();
        [cell(0), cell(1), cell(3)]
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_on_its_page() {
    let flags = format!("127.0.0.1:{}", ports::free_port().expect("a port"));
    let plane = ControlPlane::start_with(esclusa(), &["--flags-listen", &flags]);
    let shop = Shop::new("shop");
    // Somebody to tell, for the labels: nobody listens there.
    let nobody = ports::free_port().expect("a port");
    let hook = format!("{{ name: hook, slack: {{ url: 'cmd:echo http://127.0.0.1:{nobody}/' }} }}");
    let rules = "rules: [ { channels: [hook] } ]";
    let told = format!("channels: [ {hook} ]\n{rules}\n");
    std::fs::write(plane.data().join("notify.yaml"), told).expect("written");
    // And a table, of a database that is not there.
    let table = "rows: { table: flags, name: name, value: enabled }";
    let sinks = format!("sinks: [ {{ name: crm, postgres: {{ url: 'env:NONE' }}, {table} }} ]\n");
    std::fs::write(plane.data().join("sinks.yaml"), sinks).expect("written");
    plane.hang_up();
    version(&plane, "v1", "");
    version(&plane, "v2", "");
    shop.first(&plane, "v1").await;
    let load = shop.load(50.0);
    let quick = "stages: [ { to: 50%, for: 1s }, { to: 100%, watch: 1s } ]\n";
    let plan = shop.plan(&format!("{ERRORS_ONLY}{quick}"));
    let release = plane.release(&plan, "v2").await;
    ends(&plane, &release, "promoted").await;
    load.stop().await;
    let set = json!({ "environments": ["production"], "exposures": { "environments": {
        "production": { "basis-points": 1 } } } });
    let file = plane.work().join("flags.json");
    std::fs::write(&file, set.to_string()).expect("written");
    let applied = super::esclusa(&plane.work())
        .env("ESCLUSA_DATA", plane.data())
        .args([
            "flag",
            "apply",
            "flags.json",
            "--yes",
            "--reason",
            "to be measured",
        ])
        .output()
        .expect("runs");
    assert!(applied.status.success(), "{applied:?}");
    let kill = json!({ "all": true, "reason": "to be measured" });
    let (status, body) = plane.post("/api/v1/flag-set/kill", kill).await;
    assert_eq!(status, 200, "{body}");
    let text = wait_until("the proxy's metrics", LONG, async || {
        let (_, body) = plane.get("/metrics").await;
        let text = body.as_str().unwrap_or_default().to_owned();
        let tried = text.contains("\nesclusa_notifications_total{");
        let arrived = text.contains("\nesclusa_flag_propagation_seconds_count{");
        (tried && arrived && text.contains("\nesclusa_proxy_scraped 1")).then_some(text)
    })
    .await
    .expect("scraped");
    let families = families(&text);
    for (name, family) in &families {
        assert!(
            name.starts_with("esclusa_") && !family.kind.is_empty() && !family.help.is_empty(),
            "{name}: {family:?}"
        );
    }
    let page = page(&families);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        named(&written),
        named(&page),
        "UPDATE=1 writes the page anew"
    );
}

#[test]
fn a_metric_that_is_missing_is_seen() {
    let text =
        "# HELP esclusa_a Some words.\n# TYPE esclusa_a counter\nesclusa_a{b=\"c,d\",e=\"f\"} 1\n";
    let families = families(text);
    let labels: Vec<_> = families["esclusa_a"].labels.iter().collect();
    assert_eq!(labels, ["b", "e"]);
    let page = page(&families);
    assert_eq!(named(&page).len(), 1);
    assert_ne!(named(&page), named(HEAD));
}
