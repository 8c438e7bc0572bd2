//! Flags over HTTP, without a proxy.

use super::Server;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// A set with everything that a test asks about.
fn reports() -> Value {
    json!({
        "environments": ["production"],
        "attributes": { "size": { "type": "string", "source": "tenant" } },
        "tenants": {
            "acme": { "attributes": { "size": "small" } },
            "umbrella": { "attributes": { "size": "large" } },
        },
        "flags": {
            "exec": {
                "type": "boolean", "aliases": ["reports"],
                "prerequisites": [{ "flag": "api/v2", "variant": "on" }],
                "lifetime": { "kind": "release", "expires": "2020-01-01" },
                "environments": { "production": {
                    "rules": [{ "when": "size == 'small'", "variant": "on" }] } },
            },
            "api/v2": { "type": "boolean", "default": "on" },
        },
    })
}

pub(super) struct Api {
    pub(super) server: Server,
    token: String,
}

impl Api {
    pub(super) async fn start() -> Self {
        let server = Server::start().await;
        let token = server.token("ops", &["operator"]).await;
        let api = Self { server, token };
        let put = json!({ "set": reports(), "reason": "first" });
        let put = api
            .ask("put", "/api/v1/flag-set", StatusCode::OK, &put)
            .await;
        assert_eq!(
            (&put["applied"], &put["revision"]),
            (&json!(true), &json!(1)),
            "{put}"
        );
        api
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        status: StatusCode,
        body: &Value,
    ) -> Value {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = self
            .server
            .call(method, path, Some(&self.token), &body)
            .await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.json);
        answer.json
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.ask("get", path, StatusCode::OK, &Value::Null).await
    }
}

// FLAG-13, FLAG-04, FLAG-06, BLD-09
#[tokio::test]
async fn flags_are_looked_at_one_by_one() {
    let api = Api::start().await;
    let all = api.get("/api/v1/flags").await;
    assert_eq!(all["flags"].as_array().map(Vec::len), Some(2));
    let stale = api.get("/api/v1/flags?stale=true").await;
    assert_eq!(stale["flags"][0]["key"], "exec");
    assert_eq!(stale["flags"].as_array().map(Vec::len), Some(1));
    let one = api.get("/api/v1/flags/api%2Fv2").await;
    assert_eq!(
        one["dependents"],
        json!([{ "flag": "exec", "path": ["exec", "api/v2"] }])
    );
    let who = api.get("/api/v1/flags/exec/who").await;
    assert_eq!(
        who["variants"],
        json!([
            { "variant": "off", "tenants": ["umbrella"] },
            { "variant": "on", "tenants": ["acme"] },
        ])
    );
    let asked = json!({ "context": { "tenant": "acme" } });
    let path = "/api/v1/flags/exec/explain";
    let why = api.ask("post", path, StatusCode::OK, &asked).await;
    assert_eq!(why["explanation"]["variant"], "on");
    assert_eq!(why["explanation"]["reason"], "TARGETING_MATCH");
    let text = why["text"].as_str().unwrap_or_default();
    assert!(
        text.starts_with("exec serves \"on\" = true in production at revision 1"),
        "{text}"
    );
    let missing = api
        .ask(
            "get",
            "/api/v1/flags/exce",
            StatusCode::NOT_FOUND,
            &Value::Null,
        )
        .await;
    assert_eq!(missing["code"], "ESC-0742");
    let nowhere = "/api/v1/flags/exec/who?environment=prod";
    let nowhere = api
        .ask("get", nowhere, StatusCode::NOT_FOUND, &Value::Null)
        .await;
    assert_eq!(nowhere["code"], "ESC-0743");
}

// FLAG-01, FLAG-05, FLAG-15
#[tokio::test]
async fn changes_say_what_was_and_what_is_wrong() {
    let api = Api::start().await;
    let path = "/flags/exec/environments/production/tenants";
    let change = |revision: u64, after: &str| {
        json!({ "revision": revision, "reason": "pilot",
                "changes": [{ "path": path, "before": null, "after": { "umbrella": after } }] })
    };
    let set = "/api/v1/flag-set";
    let wrong = api
        .ask("patch", set, StatusCode::BAD_REQUEST, &change(1, "onn"))
        .await;
    assert_eq!(wrong["code"], "ESC-0740");
    assert_eq!(wrong["details"][0]["path"], format!("{path}/umbrella"));
    let made = api
        .ask("patch", set, StatusCode::OK, &change(1, "on"))
        .await;
    // No proxy runs here: it is recorded, and that it is not in force is said.
    assert_eq!(
        (&made["revision"], &made["in_force"]),
        (&json!(2), &json!(false))
    );
    assert!(made["note"].is_string());
    let late = api
        .ask("patch", set, StatusCode::CONFLICT, &change(1, "off"))
        .await;
    assert_eq!(
        (&late["code"], &late["details"][0]["path"]),
        (&json!("ESC-0741"), &json!(path))
    );
    let stale = json!({ "set": {}, "revision": 1 });
    api.ask("put", set, StatusCode::CONFLICT, &stale).await;

    let history = api.get("/api/v1/flags/exec/history").await;
    assert_eq!(
        (&history[0]["actor"], &history[0]["reason"]),
        (&json!("ops"), &json!("pilot"))
    );
    assert_eq!(
        history[0]["changes"],
        json!([{ "path": path, "before": null, "after": { "umbrella": "on" } }])
    );
    let undo = json!({ "revision": 2 });
    let undone = api
        .ask("post", "/api/v1/flag-set/revert", StatusCode::OK, &undo)
        .await;
    assert_eq!(undone["changes"][0]["after"], Value::Null);
    assert_eq!(api.get(set).await["flags"], reports()["flags"]);
    let audit = api.get("/api/v1/audit/verify").await;
    assert_eq!(audit["intact"], true, "{audit}");
}

#[tokio::test]
async fn what_would_change_is_said_before_it_is_done() {
    let api = Api::start().await;
    let part = json!({ "flags": { "new": { "type": "boolean" } } });
    let set = "/api/v1/flag-set";
    let dry = json!({ "set": part, "dry_run": true });
    let dry = api.ask("put", set, StatusCode::OK, &dry).await;
    assert_eq!(
        (&dry["applied"], &dry["revision"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(dry["changes"][0]["path"], "/flags/new");
    // Nothing but a whole set takes flags away.
    let put = api
        .ask("put", set, StatusCode::OK, &json!({ "set": part }))
        .await;
    assert_eq!(put["changes"].as_array().map(Vec::len), Some(1));
    let whole = json!({ "set": part, "replace": true, "dry_run": true });
    let whole = api.ask("put", set, StatusCode::OK, &whole).await;
    assert!(
        whole["changes"].as_array().is_some_and(|all| all.len() > 2),
        "{whole}"
    );

    let asked = json!({ "changes": [{
        "path": "/flags/exec/environments/production/rules/0",
        "before": null, "after": null }] });
    let path = "/api/v1/flag-set/who-would-change";
    // Rules are one field: their order is part of their meaning.
    api.ask("post", path, StatusCode::BAD_REQUEST, &asked).await;
    let rules = reports()["flags"]["exec"]["environments"]["production"]["rules"].clone();
    let asked = json!({ "changes": [{
        "path": "/flags/exec/environments/production/rules",
        "before": rules, "after": null }] });
    let found = api.ask("post", path, StatusCode::OK, &asked).await;
    assert_eq!(
        (&found["asked"], &found["contexts"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(found["changed"][0]["who"], json!({ "tenant": "acme" }));
    assert_eq!(found["changed"][0]["after"]["variant"], "off");
    let variables = json!({ "variables": { "FEATURE_EXEC": "yes" } });
    let path = "/api/v1/flag-set/import-env";
    let wrong = api
        .ask("post", path, StatusCode::BAD_REQUEST, &variables)
        .await;
    assert_eq!(wrong["details"][0]["path"], "/FEATURE_EXEC");
    let variables = json!({ "variables": { "FEATURE_EXEC": "true", "HOME": "/root" } });
    let done = api.ask("post", path, StatusCode::OK, &variables).await;
    assert_eq!(done["applied"], true, "{done}");
}

// EMG-01, BLD-07: by alias, for everybody, and told apart from what is not done.
#[tokio::test]
async fn features_are_killed_and_opened_again() {
    let api = Api::start().await;
    let path = "/api/v1/flag-set/kill";
    let by = |names: &[&str]| json!({ "names": names, "reason": "errors" });
    let unknown = api
        .ask("post", path, StatusCode::NOT_FOUND, &by(&["reprots"]))
        .await;
    assert!(
        unknown["help"]
            .as_str()
            .is_some_and(|help| help.contains("reports")),
        "{unknown}"
    );
    api.ask("post", path, StatusCode::BAD_REQUEST, &json!({}))
        .await;
    let done = api
        .ask("post", path, StatusCode::OK, &by(&["reports"]))
        .await;
    assert_eq!(
        (&done["flags"], &done["in_force"]),
        (&json!(["exec"]), &json!(false))
    );
    assert_eq!(done["recorded"], true);
    let asked = json!({ "context": { "tenant": "acme" } });
    let why = api
        .ask("post", "/api/v1/flags/exec/explain", StatusCode::OK, &asked)
        .await;
    assert_eq!(why["explanation"]["reason"], "DISABLED");
    let lifted = api
        .ask(
            "post",
            "/api/v1/flag-set/lift",
            StatusCode::OK,
            &by(&["exec"]),
        )
        .await;
    assert_eq!(lifted["epoch"], 2);
    let kinds: Vec<Value> = api
        .get("/api/v1/flags/exec/history")
        .await
        .as_array()
        .map(|all| all.iter().map(|entry| entry["kind"].clone()).collect())
        .unwrap_or_default();
    assert_eq!(kinds, ["lifted", "killed", "changed"]);
}

#[tokio::test]
async fn tokens_of_flags_open_nothing_else() {
    let api = Api::start().await;
    let admin = api.server.token("root", &["admin"]).await;
    let make = |environment: &str| {
        json!({ "name": "web", "flags": { "kind": "client", "environment": environment } })
            .to_string()
    };
    let path = "/api/v1/tokens";
    let nowhere = api
        .server
        .call("post", path, Some(&admin), &make("prod"))
        .await;
    assert_eq!(nowhere.json["code"], "ESC-0743");
    let made = api
        .server
        .call("post", path, Some(&admin), &make("production"))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let token = made.json["token"].as_str().expect("a token");
    for path in ["/api/v1/me", "/api/v1/flags"] {
        let refused = api.server.call("get", path, Some(token), "").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let login = json!({ "token": token }).to_string();
    let refused = api.server.call("post", "/api/v1/login", None, &login).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let both = json!({ "name": "x", "roles": ["viewer"],
                       "flags": { "kind": "server", "environment": "production" } });
    let both = api
        .server
        .call("post", path, Some(&admin), &both.to_string())
        .await;
    assert_eq!(both.json["code"], "ESC-0416");
    let none = api
        .server
        .call("post", path, Some(&admin), "{\"name\":\"x\"}")
        .await;
    assert_eq!(none.json["code"], "ESC-0416");
}
