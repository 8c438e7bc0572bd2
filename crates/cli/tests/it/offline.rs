//! What needs no server.

use super::run;
use esclusa_model::{StreamId, Timestamp};
use esclusa_store::{NewEvent, Store};
use serde_json::Value;
use std::path::Path;

const GOOD: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:8080 }
address: { url: 'http://shop-${version}.internal' }
stages:
  - { to: 5%, for: 10m }
  - { to: 100%, watch: 20m }
";

fn folder(plan: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("esclusa.yaml"), plan).expect("written");
    dir
}

fn with_checks(checks: &str) -> tempfile::TempDir {
    folder(&format!("{GOOD}requires:\n{checks}"))
}

#[test]
fn a_plan_is_linted_and_shown() {
    let dir = folder(GOOD);
    let (code, data, talk) = run(dir.path(), &["plan", "lint"]);
    assert_eq!((code, data.as_str()), (0, ""), "{talk}");
    assert!(talk.contains("accepted"), "{talk}");
    let (code, data, _) = run(dir.path(), &["plan", "show"]);
    assert_eq!(code, 0);
    assert!(data.contains("shop") && data.contains("5%"), "{data}");
    let (code, data, _) = run(dir.path(), &["plan", "show", "--json"]);
    let shown: Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!((code, &shown["service"]), (0, &Value::from("shop")));
}

#[test]
fn a_wrong_plan_is_told_with_its_line_and_next_step() {
    let dir = folder(&GOOD.replace("stages:", "stagess:"));
    let (code, data, talk) = run(dir.path(), &["plan", "lint"]);
    assert_eq!((code, data.as_str()), (2, ""));
    for part in ["esclusa.yaml:6:1", "stagess", "help:", "refused"] {
        assert!(talk.contains(part), "{part} in {talk}");
    }
    let (code, data, talk) = run(dir.path(), &["plan", "lint", "--json"]);
    let found: Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!(
        (code, talk.as_str(), &found["accepted"]),
        (2, "", &Value::Bool(false))
    );
    assert!(
        found["diagnostics"][0]["code"]
            .as_str()
            .is_some_and(|code| code.starts_with("ESC-"))
    );
}

#[test]
fn a_missing_plan_is_bad_input() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in [
        &["plan", "show"][..],
        &["check"],
        &["release", "start", "--version", "1"],
    ] {
        let (code, _, talk) = run(dir.path(), args);
        assert_eq!(code, 2, "{talk}");
        assert!(
            talk.contains("ESC-0502") && talk.contains("esclusa.yaml"),
            "{talk}"
        );
    }
}

#[test]
fn the_schema_and_completions_are_printed() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, data, _) = run(dir.path(), &["plan", "schema"]);
    assert_eq!(code, 0);
    assert!(
        serde_json::from_str::<Value>(&data)
            .expect("JSON")
            .is_object()
    );
    for shell in ["bash", "zsh", "fish"] {
        let (code, data, _) = run(dir.path(), &["completions", shell]);
        assert!(code == 0 && data.contains("esclusa"), "{shell}");
    }
}

fn check(dir: &Path) -> (i32, Value) {
    let (code, data, talk) = run(dir, &["check", "--json"]);
    (
        code,
        serde_json::from_str(&data).unwrap_or_else(|_| panic!("JSON, not {data} {talk}")),
    )
}

#[test]
fn checks_pass_fail_or_are_unknown() {
    let passes = with_checks("  - command: { run: 'true' }\n  - sign-off: { roles: [security] }\n");
    let (code, said) = check(passes.path());
    assert_eq!(
        (code, &said["go"], &said["asked"]),
        (0, &Value::Bool(true), &Value::from(1))
    );
    assert_eq!(said["checks"][1]["status"], "later");

    let fails = with_checks("  - command: { run: 'true' }\n  - command: { run: 'exit 3' }\n");
    let (code, said) = check(fails.path());
    assert_eq!((code, &said["go"]), (6, &Value::Bool(false)));
    assert_eq!(said["checks"][1]["status"], "fail");

    let unknown = with_checks("  - command: { run: [./not-there] }\n");
    let (code, said) = check(unknown.path());
    assert_eq!(
        (code, &said["checks"][0]["status"]),
        (6, &Value::from("unknown")),
        "{said}"
    );
}

/// Zero checks is not a pass.
#[test]
fn nothing_asked_is_not_a_pass() {
    let (code, said) = check(folder(GOOD).path());
    assert_eq!((code, &said["asked"]), (6, &Value::from(0)));
}

/// CHK-14: the record is proved where no server runs, and damage is named.
#[test]
fn a_data_folder_is_verified_without_a_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let verify = ["audit", "verify", "--data", data.to_str().expect("UTF-8")];
    let (code, _, talk) = run(dir.path(), &verify);
    assert!(code == 1 && talk.contains("ESC-0501"), "{code} {talk}");
    assert!(!data.exists(), "made by a reader");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(record(&data));
    let (code, found, talk) = run(dir.path(), &verify);
    assert_eq!(code, 0, "{talk}");
    assert!(
        found.contains("intact") && found.contains("3 events"),
        "{found}"
    );

    // One byte of what somebody said.
    let file = data.join("esclusa.db");
    let mut bytes = std::fs::read(&file).expect("the record");
    let said = b"words of event 2";
    let at = bytes.windows(said.len()).position(|part| part == said);
    bytes[at.expect("the words")] = b'W';
    std::fs::write(&file, bytes).expect("written");
    let (code, found, talk) = run(dir.path(), &verify);
    assert_eq!(code, 1, "{found}");
    assert!(found.contains("release/a at position 2"), "{found} {talk}");
    let (code, found, _) = run(dir.path(), &[&verify[..], &["--json"]].concat());
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!((code, &found["intact"]), (1, &Value::Bool(false)));
    assert_eq!(found["broken"][0]["position"], 2, "{found}");
}

/// A stream of three events in a data folder that is closed again.
async fn record(data: &Path) {
    let now = Timestamp(1_790_000_000_000_000);
    let store = Store::open(data, now).await.expect("opens");
    let events: Vec<NewEvent> = (1..=3)
        .map(|number| NewEvent {
            actor: "ana".parse().expect("a name"),
            kind: "said".into(),
            payload: format!("words of event {number}").into(),
        })
        .collect();
    let stream = StreamId::new("release/a").expect("a name");
    store
        .append(&stream, 0, now, &events)
        .await
        .expect("appended");
    store.close().await;
}

#[test]
fn without_a_server_the_next_step_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, data, talk) = run(dir.path(), &["release", "status"]);
    assert_eq!((code, data.as_str()), (1, ""));
    assert!(
        talk.contains("ESC-0501") && talk.contains("esclusa serve"),
        "{talk}"
    );
    let (code, _, talk) = run(dir.path(), &["release", "status", "--json"]);
    let error: Value = serde_json::from_str(&talk).expect("JSON");
    assert_eq!((code, &error["code"]), (1, &Value::from("ESC-0501")));
}

#[test]
fn a_token_does_not_leave_the_machine_in_the_clear() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = super::esclusa(dir.path())
        .env("ESCLUSA_TOKEN", "esclusa_x_1")
        .args(["--server", "http://192.0.2.1:7300", "release", "history"])
        .output()
        .expect("runs");
    let (code, _, talk) = super::told(&output);
    assert_eq!(code, 2);
    assert!(
        talk.contains("ESC-0506") && !talk.contains("esclusa_x_1"),
        "{talk}"
    );
}

#[test]
fn words_that_make_no_sense_exit_2() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in [
        &["nonsense"][..],
        &["release", "start"],
        &["release", "watch", "--timeout", "5"],
        &["proxy", "--id", "a b"],
        &["serve", "--dev", "--listen", "0.0.0.0"],
    ] {
        let (code, _, talk) = run(dir.path(), args);
        assert_eq!(code, 2, "{args:?} {talk}");
    }
}
