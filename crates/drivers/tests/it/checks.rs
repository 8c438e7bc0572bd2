//! Checks against a real service, and against nobody.

use crate::world::{World, app, process, stop};
use esclusa_drivers::Placeholders;
use esclusa_drivers::check::{CheckContext, check};
use esclusa_model::{CheckResult, CheckStatus, Millis};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;

fn context(canary: &str) -> CheckContext {
    CheckContext {
        placeholders: Placeholders::new()
            .with("canary", canary)
            .with("version", "1.0"),
        env: BTreeMap::from([("ESCLUSA_SERVICE".into(), "shop".into())]),
        cwd: "/".into(),
        timeout: Millis(5_000),
    }
}

async fn ask(name: &str, config: Value, context: &CheckContext) -> CheckResult {
    check(name, &config).expect("fits").ask(context).await
}

/// HLT-01, HLT-05, trap 34: the expected value is asserted, a part of a word is not it.
#[tokio::test]
async fn an_answer_must_be_the_expected_one() {
    let world = World::new();
    let driver = process();
    let spec = world.prepared(app()).await;
    let running = driver.start(&spec).await.expect("starts");
    let context = context(&running.address.as_ref().expect("web").url());
    let pass = CheckStatus::Pass;
    let fail = CheckStatus::Fail;
    for (config, expected) in [
        (json!({"url": "${canary}/health"}), pass),
        (
            json!({"url": "${canary}/health", "contains": "HEALTHY"}),
            pass,
        ),
        (
            json!({"url": "${canary}/sick", "contains": "HEALTHY"}),
            fail,
        ),
        (json!({"url": "${canary}/sick", "lacks": "HEALTHY"}), fail),
        (
            json!({"url": "${canary}/health", "lacks": "UNHEALTHY"}),
            pass,
        ),
        (json!({"url": "${canary}/health", "contains": ""}), fail),
        (json!({"url": "${canary}/none"}), fail),
        (json!({"url": "${canary}/none", "status": 404}), pass),
        (json!({"url": "${canary}/health", "status": 404}), fail),
        (json!({"url": "${canary}/moved"}), fail),
        (json!({"url": "${canary}/moved", "redirects": true}), pass),
        (
            json!({"url": "${canary}/health", "header": {"X-Version": "${version}"}}),
            pass,
        ),
        (
            json!({"url": "${canary}/health", "header": {"x-version": "2.0"}}),
            fail,
        ),
        (
            json!({"url": "${canary}/json", "json": {"status": "ok"}}),
            pass,
        ),
        (
            json!({"url": "${canary}/json", "json": {"checks.db": "ok"}}),
            fail,
        ),
        (
            json!({"url": "${canary}/health", "json": {"status": "ok"}}),
            fail,
        ),
        (json!({"url": "${stable}/health"}), CheckStatus::Unknown),
        (json!({"url": "not a url"}), CheckStatus::Unknown),
        (
            json!({"url": "http://no-such-host.invalid/"}),
            CheckStatus::Unknown,
        ),
    ] {
        let result = ask("http", config.clone(), &context).await;
        assert_eq!(result.status, expected, "{config}: {}", result.message);
        assert!(result.at.0 > 0);
    }
    stop(&*driver, &spec).await;
    let gone = ask("http", json!({"url": "${canary}/health"}), &context).await;
    assert_eq!(gone.status, CheckStatus::Fail, "{}", gone.message);
}

#[tokio::test]
async fn silence_is_unknown_and_refusal_is_a_failure() {
    // It accepts and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("free");
    let address = silent.local_addr().expect("bound").to_string();
    let mut context = context(&format!("http://{address}"));
    context.timeout = Millis(300);
    let tcp = json!({"address": address});
    assert_eq!(
        ask("tcp", tcp.clone(), &context).await.status,
        CheckStatus::Pass
    );
    let http = json!({"url": "${canary}/health"});
    let unknown = ask("http", http.clone(), &context).await;
    assert_eq!(unknown.status, CheckStatus::Unknown, "{}", unknown.message);
    assert!(
        unknown.message.contains("within 300ms"),
        "{}",
        unknown.message
    );
    drop(silent);
    for (name, config) in [("tcp", tcp), ("http", http)] {
        let result = ask(name, config, &context).await;
        assert_eq!(
            result.status,
            CheckStatus::Fail,
            "{name}: {}",
            result.message
        );
        assert!(result.message.contains("refused") || result.message.contains("refuses"));
    }
    let nowhere = json!({"address": "no-such-host.invalid:1"});
    let result = ask("tcp", nowhere, &context).await;
    assert_eq!(result.status, CheckStatus::Unknown, "{}", result.message);
}

#[tokio::test]
async fn a_command_answers_with_its_exit_code() {
    let context = CheckContext {
        timeout: Millis(1_000),
        ..context("")
    };
    for (script, expected) in [
        ("test \"$ESCLUSA_SERVICE\" = shop", CheckStatus::Pass),
        ("echo two rows are missing; exit 1", CheckStatus::Fail),
        ("exit 75", CheckStatus::Unknown),
        ("no-such-command", CheckStatus::Unknown),
        ("kill -9 $$", CheckStatus::Unknown),
        ("sleep 1000", CheckStatus::Unknown),
    ] {
        let config = json!({"run": ["/bin/sh", "-c", script]});
        let result = ask("command", config, &context).await;
        assert_eq!(result.status, expected, "{script}: {}", result.message);
    }
    let config = json!({"run": ["/bin/sh", "-c", "echo first; echo two rows are missing; exit 1"]});
    let said = ask("command", config, &context).await.message;
    assert_eq!(said, "exit code 1: two rows are missing");
    let nothing = ask("command", json!({"run": []}), &context).await;
    assert_eq!(
        nothing.status,
        CheckStatus::Unknown,
        "no command is no pass"
    );
}
