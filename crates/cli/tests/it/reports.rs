//! Reports of real releases with real traffic, from a real checkout: all forms say the same.

use super::run;
use crate::world::{ERRORS_ONLY, FIRST, Shop, plane, version};
use esclusa_testkit::plane::ControlPlane;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const QUICK: &str = "stages: [ { to: 50%, for: 3s, budget: 3s }, { to: 100%, watch: 1s } ]\n";
const STEP: &str = "before: [ { command: 'echo migrating', undo: none } ]\n";

fn git(folder: &Path, words: &[&str]) -> String {
    let done = Command::new("git")
        .args(["-c", "user.name=Ana", "-c", "user.email=ana@shop.example"])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git runs");
    assert!(done.status.success(), "{words:?}: {done:?}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn commit(plane: &ControlPlane, plan: &str, subject: &str) {
    let work = plane.work();
    std::fs::write(work.join("esclusa.yaml"), plan).expect("written");
    git(&work, &["add", "esclusa.yaml"]);
    git(&work, &["commit", "--quiet", "-m", subject]);
}

fn command(plane: &ControlPlane, words: &[&str]) -> Output {
    let mut command = super::esclusa(&plane.work());
    command.env("ESCLUSA_DATA", plane.data()).args(words);
    tokio::task::block_in_place(|| command.output()).expect("runs")
}

fn started(plane: &ControlPlane, name: &str) -> Option<i32> {
    let words = [
        "release",
        "start",
        "--version",
        name,
        "--wait",
        "--reports",
        name,
    ];
    let done = command(plane, &words);
    if done.status.code().is_none_or(|code| code > 9) {
        panic!("{done:?}\n{}", plane.log());
    }
    done.status.code()
}

fn kept(plane: &ControlPlane, name: &str, file: &str) -> String {
    let path = plane.work().join(name).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each whole number of the page that names its place in the JSON.
fn counts(html: &str) -> Vec<(&str, u64)> {
    html.split("data-path=\"")
        .skip(1)
        .filter_map(|rest| {
            let (path, rest) = rest.split_once("\">")?;
            let (shown, _) = rest.split_once('<')?;
            let plain = shown.replace('\u{202f}', "");
            Some((path, plain.parse().ok()?))
        })
        .collect()
}

fn sum(report: &Value, side: &str, field: &str) -> u64 {
    let buckets = report["series"]["buckets"].as_array().expect("buckets");
    let one = |bucket: &Value| bucket[side][field].as_u64();
    buckets.iter().filter_map(one).sum()
}

// CHK-14, PIP-10, PRE-24, DSH-02, KPI-02, RBK-22
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_a_report_says_the_same() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    let work = plane.work();
    for (name, more) in [
        ("v1", ""),
        ("v2", ""),
        ("v3", "--behaviour failing --fail-rate 0.6"),
    ] {
        version(&plane, name, more);
    }
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    commit(&plane, &shop.plan(FIRST), "The first");
    assert_eq!(started(&plane, "v1"), Some(0), "{}", plane.log());
    let first = git(&work, &["rev-parse", "HEAD"]);
    commit(
        &plane,
        &shop.plan(&format!("{ERRORS_ONLY}{STEP}{QUICK}")),
        "In steps",
    );

    let load = shop.load(60.0);
    assert_eq!(started(&plane, "v2"), Some(0), "{}", plane.log());
    agree(&plane, "v2", &["0", "0"]);
    let report: Value = serde_json::from_str(&kept(&plane, "v2", "report.json")).expect("JSON");
    let source = &report["source"];
    assert_eq!(
        (&source["branch"], &source["since"]),
        (&"main".into(), &first.into())
    );
    assert_eq!(source["commits"].as_array().map(Vec::len), Some(1));
    assert_eq!(source["commits"][0]["subject"], "In steps");
    assert!(report["stages"][0]["over_by_ms"].is_u64(), "{report:#}");
    assert_eq!(report["completion"]["completed"], true);
    printed(&plane, report["release"].as_str().expect("an id")).await;

    let watched = "stages: [ { to: 50%, for: 2m }, { to: 100%, watch: 1s } ]\n";
    commit(
        &plane,
        &shop.plan(&format!("{ERRORS_ONLY}{watched}")),
        "Slower",
    );
    assert_eq!(started(&plane, "v3"), Some(3), "{}", plane.log());
    load.stop().await;
    agree(&plane, "v3", &["2", "1"]);
    let written = kept(&plane, "v3", "post-mortem.md");
    assert!(written.contains("- [ ] Customers told") && written.contains("decided to go back"));

    let dora = command(&plane, &["dora", "--json", "--days", "1"]);
    let dora: Value = serde_json::from_slice(&dora.stdout).expect("JSON");
    assert_eq!(
        (&dora["all"]["deployments"], &dora["all"]["failed"]),
        (&2.into(), &1.into())
    );
    assert!(dora["all"]["lead_time_ms"].is_u64() && dora["all"]["time_to_restore_ms"].is_u64());
}

/// JSON, page and test results of one release; `junit` is how many failed and were skipped.
fn agree(plane: &ControlPlane, name: &str, junit: &[&str; 2]) {
    let json: Value = serde_json::from_str(&kept(plane, name, "report.json")).expect("JSON");
    let html = kept(plane, name, "report.html");
    let figures = counts(&html);
    assert!(figures.len() > 20, "{figures:?}");
    for (path, shown) in figures {
        let known = json.pointer(path);
        let number = known.and_then(Value::as_u64);
        // A version's name may be a number too.
        let text = known.and_then(Value::as_str).map(str::to_owned);
        assert!(
            number == Some(shown) || text == Some(shown.to_string()),
            "{path}: {shown} is not {known:?}"
        );
    }
    for (side, version) in [("stable", "stable_version"), ("canary", "canary_version")] {
        let digest = &json["series"][version]["digest"];
        let totals = json["traffic"]["versions"].as_array().expect("versions");
        let of_version = totals.iter().find(|totals| totals["digest"] == *digest);
        let of_version = of_version.unwrap_or_else(|| panic!("{side}: {totals:?}"));
        assert!(of_version["requests"].as_u64() > Some(0), "{side}");
        assert_eq!(
            of_version["requests"],
            sum(&json, side, "requests"),
            "{side}"
        );
        assert_eq!(of_version["failures"], sum(&json, side, "errors"), "{side}");
    }
    let xml = kept(plane, name, "junit.xml");
    let [failed, skipped] = junit;
    for expected in [
        format!("failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\""),
        format!("id=\"{}\"", json["release"].as_str().expect("an id")),
        format!("value=\"{}\"", json["outcome"].as_str().expect("over")),
    ] {
        assert!(xml.contains(&expected), "{expected} in {xml}");
    }
    let markdown = kept(plane, name, "report.md");
    assert!(
        markdown.contains("## Checklist") && markdown.contains("## Commits"),
        "{markdown}"
    );
}

/// What the step and the versions printed is listed and read.
async fn printed(plane: &ControlPlane, release: &str) {
    let (status, logs) = plane.get(&format!("/api/v1/releases/{release}/logs")).await;
    assert_eq!(status, 200, "{logs:#}");
    let logs = logs.as_array().cloned().expect("a list");
    let kinds: Vec<&Value> = logs.iter().map(|log| &log["kind"]).collect();
    for kind in ["step", "canary", "stable"] {
        assert!(kinds.contains(&&Value::from(kind)), "{kind}: {logs:#?}");
    }
    let path = format!("/api/v1/releases/{release}/logs/step-before-0-1");
    let (status, text) = plane.get(&path).await;
    assert_eq!(
        (status, &text["text"]),
        (200, &"migrating\n".into()),
        "{text:#}"
    );
    let (status, series) = plane
        .get(&format!("/api/v1/releases/{release}/series?points=5"))
        .await;
    assert_eq!(status, 200, "{series:#}");
    assert!(
        series["buckets"]
            .as_array()
            .is_some_and(|all| all.len() <= 5)
    );
}

#[test]
fn without_a_server_no_report_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    // Without a server there is nothing to write either.
    let (code, out, talk) = run(dir.path(), &["release", "report", "0191", "--out", "x"]);
    assert_eq!((code, out.as_str()), (1, ""), "{talk}");
    assert!(!dir.path().join("x").exists());
}
