//! Everything off at once, on the worst of days: a thousand tenants with settings of their own,
//! messages that reach nobody, and a control plane that may be dead.

use super::Scene;
use crate::world::LONG;
use esclusa_testkit::{ports, wait_until};
use serde_json::{Map, Value, json};

const TENANTS: u64 = 1_000;

/// Every tenant has the feature by a setting of its own; other flags are on by default, by a
/// share and for one user.
fn set() -> Value {
    let ids: Vec<String> = (0..TENANTS).map(|n| format!("t{n:04}")).collect();
    let tenants: Map<String, Value> = ids.iter().map(|id| (id.clone(), json!({}))).collect();
    let own: Map<String, Value> = ids.iter().map(|id| (id.clone(), json!("on"))).collect();
    json!({
        "environments": ["production"],
        "tenants": tenants,
        "flags": {
            "exec": {
                "type": "boolean",
                "environments": { "production": { "tenants": own } },
            },
            "reports": { "type": "boolean", "default": "on" },
            "search": {
                "type": "boolean",
                "environments": { "production": {
                    "users": { "ana": "on" },
                    "rules": [{ "share": { "of": "tenant", "basis-points": 2500 }, "variant": "on" }],
                } },
            },
        },
    })
}

/// What everybody gets while nothing is killed.
fn assert_as_set(scene: &Scene) {
    let all = |variant: &str, count| vec![(variant.to_owned(), count)];
    assert_eq!(scene.counts("exec"), all("on", TENANTS));
    assert_eq!(scene.counts("reports"), all("on", TENANTS));
    let mut shared = scene.counts("search");
    shared.sort();
    let half = vec![("off".to_owned(), 750), ("on".to_owned(), 250)];
    assert_eq!(shared, half);
}

/// What an application is answered by the proxy itself.
async fn answered(http: &reqwest::Client, scene: &Scene, path: &str, context: &Value) -> Value {
    let url = format!(
        "http://127.0.0.1:{}/ofrep/v1/evaluate/flags{path}",
        scene.port
    );
    let sent = http.post(url).json(&json!({ "context": context })).send();
    let answer = sent.await.expect("the proxy answers");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

/// Nobody of a thousand has any flag at the proxy.
async fn assert_all_off(http: &reqwest::Client, scene: &Scene) {
    for n in 0..TENANTS {
        let whom = json!({ "targetingKey": "ana", "user": "ana", "tenant": format!("t{n:04}") });
        let answer = answered(http, scene, "", &whom).await;
        let flags = answer["flags"].as_array().expect("flags");
        assert_eq!(flags.len(), 3, "{answer:#}");
        for flag in flags {
            assert_eq!(flag["value"], false, "tenant {n}: {flag:#}");
            assert_eq!(flag["reason"], "DISABLED", "tenant {n}: {flag:#}");
        }
    }
}

/// The newest entries of the flags' history.
fn history(scene: &Scene) -> Vec<Value> {
    let found = scene.json(&["flag", "history", "--limit", "20"]);
    let entries = found.as_array().or_else(|| found["entries"].as_array());
    entries.cloned().unwrap_or_default()
}

// EMG-01, EMG-02, EMG-03, EMG-04, FLAG-15, trap 10: off for all tenants, exit 0 with a warning,
// an audit that says who, when and why, and everything as it was when it is lifted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_off_with_slack_and_then_the_control_plane_dead() {
    let nobody = ports::free_port().expect("a port");
    let slack = format!("http://127.0.0.1:{nobody}/services/T0/B0/x");
    let notify = format!(
        "channels:\n  - name: ops\n    slack: {{ url: 'cmd:echo {slack}' }}\n\
         rules: [ {{ channels: [ops] }} ]\n"
    );
    let mut scene = Scene::start(&set(), &[("notify.yaml", &notify)]);
    assert_as_set(&scene);
    let http = reqwest::Client::new();

    // The control plane is alive, Slack is not.
    let (code, said, talk) = scene.run(&["kill", "all", "--reason", "rehearsal"]);
    assert_eq!(code, 0, "{said}\n{talk}");
    assert!(said.contains("all flags: off for everybody"), "{said}");
    assert!(
        talk.contains("warning: ops has not been told yet"),
        "{talk}"
    );
    assert_all_off(&http, &scene).await;
    let newest = &history(&scene)[0];
    assert!(newest.to_string().contains("rehearsal"), "{newest:#}");
    scene.does(&["audit", "verify"]);
    // Tenants' own settings stood still: lifting gives each back what it had.
    let (code, said, talk) = scene.run(&["flag", "lift", "all", "--reason", "rehearsed"]);
    assert_eq!(code, 0, "{said}\n{talk}");
    assert_as_set(&scene);
    let context = json!({ "targetingKey": "u", "tenant": "t0007" });
    let one = answered(&http, &scene, "/exec", &context).await;
    assert_eq!(one["value"], true, "{one:#}");

    // Both are dead.
    scene.plane.kill();
    let (code, said, talk) = scene.run(&["kill", "all", "--reason", "the worst of days"]);
    assert_eq!(code, 0, "{said}\n{talk}");
    assert!(said.contains("all flags: off for everybody"), "{said}");
    assert!(talk.contains("nobody has been sent a message"), "{talk}");
    assert_all_off(&http, &scene).await;
    tokio::task::block_in_place(|| scene.plane.restart());
    assert_all_off(&http, &scene).await;
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let user = user.ok().flatten().expect("a user").name;
    // It is recorded as soon as the store is there.
    let recorded = wait_until("the record", LONG, async || {
        let mut entries = history(&scene).into_iter();
        entries.find(|entry| entry["reason"] == "the worst of days")
    });
    let found = recorded.await.expect("it is recorded");
    assert!(found.to_string().contains(&user), "{found:#}");
    scene.does(&["audit", "verify"]);
    scene.does(&["flag", "lift", "all", "--reason", "over"]);
    assert_as_set(&scene);
}

// EMG-04, BLD-07: who has not heard of a kill that was asked of the proxy is named when the
// control plane is back, and while it is alive by the kill itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_not_heard_is_named_when_the_control_plane_is_back() {
    let mut scene = Scene::start(&set(), &[]);
    let http = reqwest::Client::builder().user_agent("old-sdk/1.0");
    let http = http.build().expect("a client");
    let whom = json!({ "targetingKey": "u", "tenant": "t0001" });
    let all = answered(&http, &scene, "", &whom).await;
    let stream = all["eventStreams"][0]["endpoint"]["requestUri"].as_str();
    let stream = stream.expect("an event stream");
    let url = format!("http://127.0.0.1:{}{stream}", scene.port);
    // It listens, and never asks again.
    let open = http.get(url).send().await.expect("it opens");
    assert_eq!(open.status(), 200);
    let listens = wait_until("the stream", LONG, async || {
        (scene.json(&["flag", "status"])["streams"] == 1).then_some(())
    });
    listens.await.expect("it is open");

    let (code, _, talk) = scene.run(&["kill", "exec", "--reason", "rehearsal"]);
    assert!(code == 0 && talk.contains("old-sdk/1.0"), "{code} {talk}");
    scene.does(&["flag", "lift", "exec", "--reason", "rehearsed"]);
    scene.plane.kill();
    let (code, _, talk) = scene.run(&["kill", "exec", "--reason", "alone"]);
    assert_eq!(code, 0, "{talk}");
    tokio::task::block_in_place(|| scene.plane.restart());
    let named = wait_until("its name", LONG, async || {
        let (_, said, _) = scene.run(&["flag", "status", "--json"]);
        let status: Value = serde_json::from_str(&said).ok()?;
        let behind = status["behind"].to_string();
        (status["kill_epoch"] == 3 && behind.contains("old-sdk/1.0")).then_some(())
    });
    named.await.expect("it is named");
    // It asks again, and is named no more.
    let all = answered(&http, &scene, "", &whom).await;
    assert_eq!(all["flags"][0]["value"], false, "{all:#}");
    let heard = wait_until("nobody", LONG, async || {
        // It ends with 1 while serve is still finding out what is in force.
        let (code, said, _) = scene.run(&["flag", "status", "--json"]);
        let status: Value = serde_json::from_str(&said).ok()?;
        (code == 0 && status["behind"] == json!([])).then_some(())
    });
    heard.await.expect("everybody has heard");
    drop(open);
}
