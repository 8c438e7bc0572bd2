//! Changes by several people, whose work is not undone unseen.

use super::flags::Api;
use axum::http::StatusCode;
use serde_json::{Value, json};

const SET: &str = "/api/v1/flag-set";

fn override_of(tenant: &str, variant: &str) -> Value {
    json!({ "revision": 1, "reason": "pilot", "changes": [{
        "path": format!("/flags/api~1v2/environments/production/tenants/{tenant}"),
        "before": null, "after": variant }] })
}

async fn tenants(api: &Api) -> Value {
    let set = api.get(SET).await;
    set["flags"]["api/v2"]["environments"]["production"]["tenants"].clone()
}

// FLAG-05: what was decided since is not in the file, and stays.
#[tokio::test]
async fn a_file_that_is_applied_again_undoes_no_override() {
    let api = Api::start().await;
    let first = api.get(SET).await;
    let on = override_of("acme", "off");
    api.ask("patch", SET, StatusCode::OK, &on).await;
    let mut file = first.clone();
    file.as_object_mut().expect("a set").remove("revision");
    let again = json!({ "set": file, "dry_run": true });
    let again = api.ask("put", SET, StatusCode::OK, &again).await;
    assert_eq!(again["changes"], json!([]));
    let gone = json!({ "set": { "flags": { "api/v2": { "environments": null } } } });
    let gone = api.ask("put", SET, StatusCode::OK, &gone).await;
    assert_eq!(gone["changes"][0]["path"], "/flags/api~1v2/environments");
    // A list is no set, and an object does not say a thing twice.
    let list = json!({ "set": [] });
    let list = api.ask("put", SET, StatusCode::BAD_REQUEST, &list).await;
    assert_eq!(list["code"], "ESC-0740");
    let twice = r#"{"set": {"flags": {"a": {"type": "boolean"}, "a": {"type": "string"}}}}"#;
    let token = api.server.token("ana", &["operator"]).await;
    let twice = api.server.call("put", SET, Some(&token), twice).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST, "{}", twice.json);
    let message = twice.json["message"].as_str().unwrap_or_default();
    assert!(message.contains("/flags/a is written twice"), "{message}");
}

// FLAG-15: export, edit, apply, while somebody changes what was exported.
#[tokio::test]
async fn what_changed_since_an_export_is_not_set_back_unseen() {
    let api = Api::start().await;
    let default = |before: Value, after: &str| {
        json!({ "revision": 1, "reason": "too slow", "changes": [{
            "path": "/flags/api~1v2/default", "before": before, "after": after }] })
    };
    let mut file = api.get(SET).await;
    let off = default(json!("on"), "off");
    api.ask("patch", SET, StatusCode::OK, &off).await;
    file["flags"]["exec"]["message"] = json!("later");
    let put = json!({ "set": file });
    let refused = api.ask("put", SET, StatusCode::CONFLICT, &put).await;
    assert_eq!(
        (&refused["code"], &refused["details"][0]["path"]),
        (&json!("ESC-0741"), &json!("/flags/api~1v2/default"))
    );
    assert_eq!(
        refused["details"][0]["message"],
        "ops at revision 2 (too slow) made this \"off\", and the set says \"on\""
    );
    assert_eq!(refused["details"].as_array().map(Vec::len), Some(1));
    let forced = json!({ "set": file, "force": true, "dry_run": true });
    let forced = api.ask("put", SET, StatusCode::OK, &forced).await;
    assert_eq!(forced["changes"].as_array().map(Vec::len), Some(2));
    // As others did it: nothing to lose.
    file["flags"]["api/v2"]["default"] = json!("off");
    let put = json!({ "set": file });
    let put = api.ask("put", SET, StatusCode::OK, &put).await;
    assert_eq!(put["changes"][0]["path"], "/flags/exec/message");
}

// FLAG-05, FLAG-09: six pilots at once are six changes, each of which goes by itself.
#[tokio::test]
async fn overrides_of_several_tenants_do_not_collide() {
    let api = Api::start().await;
    for tenant in ["a", "b", "c"] {
        let on = override_of(tenant, "off");
        api.ask("patch", SET, StatusCode::OK, &on).await;
    }
    let revert = "/api/v1/flag-set/revert";
    let dry = json!({ "revision": 2, "dry_run": true });
    let dry = api.ask("post", revert, StatusCode::OK, &dry).await;
    let path = "/flags/api~1v2/environments/production/tenants/a";
    assert_eq!(
        (&dry["applied"], &dry["changes"]),
        (
            &json!(false),
            &json!([{ "path": path, "before": "off", "after": null }])
        )
    );
    let late = json!({ "revision": 2, "expected": 3 });
    api.ask("post", revert, StatusCode::CONFLICT, &late).await;
    let first = json!({ "revision": 2, "expected": 4 });
    api.ask("post", revert, StatusCode::OK, &first).await;
    assert_eq!(tenants(&api).await, json!({ "b": "off", "c": "off" }));
    // Twice is once too often, in the words of taking back.
    let again = json!({ "revision": 2 });
    let again = api.ask("post", revert, StatusCode::CONFLICT, &again).await;
    assert_eq!(
        again["details"][0]["message"],
        "revision 2 made this \"off\", and it is nothing now"
    );
    for revision in [3, 4] {
        let undo = json!({ "revision": revision });
        api.ask("post", revert, StatusCode::OK, &undo).await;
    }
    let set = api.get(SET).await;
    assert_eq!(
        set["flags"]["api/v2"],
        json!({ "type": "boolean", "default": "on" })
    );
}

// BLD-09: what needs a flag is named before it goes.
#[tokio::test]
async fn a_flag_goes_when_nothing_needs_it() {
    let api = Api::start().await;
    let why = json!({ "reason": "done" });
    let path = "/api/v1/flags/api%2Fv2/delete";
    let refused = api.ask("post", path, StatusCode::CONFLICT, &why).await;
    assert_eq!(
        (&refused["code"], &refused["details"]),
        (&json!("ESC-0751"), &json!(["/flags/exec"]))
    );
    for flag in ["exec", "api%2Fv2"] {
        let path = format!("/api/v1/flags/{flag}/delete");
        api.ask("post", &path, StatusCode::OK, &why).await;
    }
    api.ask("post", path, StatusCode::NOT_FOUND, &why).await;
    assert_eq!(api.get("/api/v1/flags").await["flags"], json!([]));
}
