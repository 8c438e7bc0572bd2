//! A tester sees a feature before anybody else, at every door, and never what is killed.

use super::Scene;
use esclusa_testkit::plane::ControlPlane;
use serde_json::{Value, json};

fn set() -> Value {
    json!({
        "environments": ["production"],
        "flags": {
            "exec": { "type": "boolean" },
            "other": { "type": "boolean" },
        },
        "guards": { "web": {
            "environment": "production",
            "tenant": [{ "header": "x-tenant" }],
            "routes": [{ "path": "/exec", "flag": "exec" }],
        } },
    })
}

async fn asked(scene: &Scene, path: &str, headers: &[(&str, &str)], context: Value) -> Value {
    let url = format!(
        "http://127.0.0.1:{}/ofrep/v1/evaluate/flags{path}",
        scene.port
    );
    let mut sent = reqwest::Client::new()
        .post(url)
        .json(&json!({ "context": context }));
    for (name, value) in headers {
        sent = sent.header(*name, *value);
    }
    let answer = sent.send().await.expect("the proxy answers");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

/// Whether a web server's request may pass.
async fn passes(scene: &Scene, headers: &[(&str, &str)]) -> bool {
    let url = format!("http://127.0.0.1:{}/guard/web", scene.port);
    let mut sent = reqwest::Client::new()
        .get(url)
        .header("x-original-uri", "/exec")
        .header("x-original-method", "GET");
    for (name, value) in headers {
        sent = sent.header(*name, *value);
    }
    sent.send().await.expect("the proxy answers").status() == 200
}

// ROL-08, trap 26, GRD-03: the order of choice is the same at every door.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tester_is_shown_a_variant_at_every_door() {
    let scene = Scene::start(&set(), &[]);
    let give = [
        "flag", "tester", "ana", "--show", "exec=on", "--for", "1h", "--reason", "before",
    ];
    let given = scene.json(&give);
    let token = given["token"].as_str().expect("a token");
    let name = given["name"].as_str().expect("a name");
    assert_eq!(name, "x-esclusa-tester");
    let header = [(name, token)];
    let user = json!({ "targetingKey": "ana" });

    let plain = asked(&scene, "/exec", &[], user.clone()).await;
    assert_eq!(plain["value"], false, "{plain:#}");
    let shown = asked(&scene, "/exec", &header, user.clone()).await;
    assert_eq!(
        (&shown["value"], &shown["reason"]),
        (&json!(true), &json!("TARGETING_MATCH"))
    );
    let by_context = json!({ "targetingKey": "ana", name: token });
    let shown = asked(&scene, "/exec", &[], by_context.clone()).await;
    assert_eq!(shown["value"], true, "{shown:#}");
    for (headers, context) in [(&header[..], user.clone()), (&[], by_context)] {
        let all = asked(&scene, "", headers, context).await;
        let values: Vec<_> = all["flags"].as_array().expect("flags").iter().collect();
        let of = |key: &str| {
            let flag = values.iter().find(|flag| flag["key"] == key);
            flag.expect("it is there")["value"].clone()
        };
        assert_eq!((of("exec"), of("other")), (json!(true), json!(false)));
    }
    // Guards: also without the tenant that others have to name.
    let cookie = format!("a=b; {name}={token}");
    assert!(passes(&scene, &header).await);
    assert!(passes(&scene, &[("cookie", &cookie), ("x-tenant", "acme")]).await);
    assert!(!passes(&scene, &[]).await);
    assert!(!passes(&scene, &[("x-tenant", "acme")]).await);

    // Nobody makes a token of their own.
    let forged = format!("{}x", &token[..token.len() - 1]);
    assert!(!passes(&scene, &[(name, &forged)]).await);
    let shown = asked(&scene, "/exec", &[(name, &forged)], user.clone()).await;
    assert_eq!(shown["value"], false);
    // It is recorded who has one, and the token is in no record.
    let history = scene.json(&["flag", "history", "exec"]);
    let entry = &history[0];
    assert_eq!(
        (&entry["kind"], &entry["to"], &entry["reason"]),
        (&json!("tester-granted"), &json!("ana"), &json!("before"))
    );
    assert!(!history.to_string().contains(token));
    let said = scene.does(&["flag", "history", "exec"]);
    assert!(
        said.contains("granted exec=on to the tester ana in production until 20"),
        "{said}"
    );
    let why = scene.does(&["flag", "explain", "exec", "--tester", token]);
    assert!(
        why.contains("is there a tester token? yes, for \"on\""),
        "{why}"
    );
    scene.does(&["audit", "verify"]);
    // What cannot be shown is refused with the place.
    for (show, said) in [
        ("exe=on", "did you mean exec?"),
        ("exec=green", "exec has no variant green"),
    ] {
        let (code, _, talk) = scene.run(&["flag", "tester", "ana", "--show", show]);
        assert!(code == 2 && talk.contains(said), "{code} {talk}");
    }

    // A kill is above every tester, and the control plane is not asked.
    let mut scene = scene;
    ControlPlane::kill(&mut scene.plane);
    assert!(passes(&scene, &header).await);
    scene.does(&["kill", "exec", "--reason", "it hurts"]);
    assert!(!passes(&scene, &header).await);
    let shown = asked(&scene, "/exec", &header, user).await;
    assert_eq!(
        (&shown["value"], &shown["reason"]),
        (&json!(false), &json!("DISABLED"))
    );
    tokio::task::block_in_place(|| scene.plane.restart());
    let history = scene.json(&["flag", "history", "exec"]);
    assert!(
        history.to_string().contains("tester-granted"),
        "{history:#}"
    );
}
