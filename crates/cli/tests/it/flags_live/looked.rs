//! What a change would do to those who ask, before it is made.

use super::Scene;
use serde_json::{Value, json};

fn set() -> Value {
    json!({
        "environments": ["production"],
        "attributes": { "country": { "type": "string" } },
        "flags": { "exec": { "type": "boolean" } },
    })
}

/// On for everybody from Spain.
fn change() -> Value {
    json!([{
        "path": "/flags/exec/environments",
        "before": null,
        "after": { "production": { "rules": [{ "when": "country == 'es'", "variant": "on" }] } },
    }])
}

async fn ask(scene: &Scene, flag: &str, context: Value) {
    let url = format!(
        "http://127.0.0.1:{}/ofrep/v1/evaluate/flags{flag}",
        scene.port
    );
    let sent = reqwest::Client::new()
        .post(url)
        .json(&json!({ "context": context }))
        .send();
    assert_eq!(sent.await.expect("answered").status(), 200);
}

async fn would_change(scene: &Scene, more: Value) -> (u16, Value) {
    let mut body = json!({ "environment": "production", "changes": change() });
    body.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("one").clone());
    scene
        .plane
        .post("/api/v1/flag-set/who-would-change", body)
        .await
}

// FLAG-13, BLD-08: the effect of a rule is known on real contexts before it is saved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_tried_on_those_who_asked_lately() {
    let scene = Scene::start(&set(), &[]);
    let recent = json!({ "recent": true });
    let (status, none) = would_change(&scene, recent.clone()).await;
    assert_eq!(
        (status, &none["asked"], &none["unknown"]),
        (200, &json!(0), &Value::Null)
    );
    for (user, country) in [("ana", "es"), ("eve", "fr"), ("luis", "es"), ("ana", "es")] {
        let context = json!({ "targetingKey": user, "country": country });
        ask(&scene, "/exec", context).await;
    }
    ask(
        &scene,
        "",
        json!({ "targetingKey": "joe", "country": "es" }),
    )
    .await;
    ask(&scene, "", json!({})).await;

    let (status, found) = would_change(&scene, recent.clone()).await;
    assert_eq!(status, 200, "{found:#}");
    assert_eq!(
        (&found["asked"], &found["contexts"]),
        (&json!(4), &json!(3)),
        "{found:#}"
    );
    let who = found["changed"].as_array().expect("a list").iter();
    let who: Vec<&str> = who
        .filter_map(|one| one["who"]["targetingKey"].as_str())
        .collect();
    assert_eq!(who, ["joe", "ana", "luis"], "the newest first");
    let both = json!({ "recent": true, "contexts": [] });
    assert_eq!(would_change(&scene, both).await.0, 400);

    // A misspelt name is no answer.
    let (code, said, _) = scene.run(&["flag", "explain", "exec"]);
    assert_eq!(code, 0, "{said}");
    let (code, said, _) = scene.run(&["flag", "explain", "exce"]);
    assert_eq!(code, 2, "{said}");

    // Nobody knows is not nobody asked.
    esclusa_testkit::plane::stop_shims(&scene.plane.data().join("instances"));
    let (status, unknown) = would_change(&scene, recent).await;
    assert_eq!((status, &unknown["asked"]), (200, &json!(0)), "{unknown:#}");
    assert!(unknown["unknown"].is_string(), "{unknown:#}");
}
