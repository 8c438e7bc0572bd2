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
            "/api/v1/flags/exe",
            StatusCode::NOT_FOUND,
            &Value::Null,
        )
        .await;
    assert_eq!(missing["code"], "ESC-0742");
    assert_eq!(missing["help"], "did you mean exec?");
    let alias = "/api/v1/flags/reports/who";
    let alias = api
        .ask("get", alias, StatusCode::NOT_FOUND, &Value::Null)
        .await;
    assert_eq!(
        alias["help"],
        "reports is an alias, by which one kills exec: name its key here"
    );
    // Which of the three is missing, and what was meant.
    for (path, message) in [
        (
            "exe?variant=on&environment=production",
            "the flag set has no flag exe (did you mean exec?)",
        ),
        (
            "exec?variant=onn&environment=prod",
            "the flag set has no variant onn of exec (there are off, on), and no environment prod \
             (there are production)",
        ),
    ] {
        let path = format!("/api/v1/rollouts/{path}");
        let missing = api
            .ask("get", &path, StatusCode::NOT_FOUND, &Value::Null)
            .await;
        assert_eq!(missing["message"], message);
    }
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
    assert_eq!(wrong["details"][0]["variable"], "FEATURE_EXEC");
    let said = "variables of flags are not usable: FEATURE_EXEC: \"yes\" is neither true nor false";
    assert_eq!(wrong["message"], said);
    let variables = json!({ "variables": { "FEATURE_EXEC": "true", "HOME": "/root" } });
    let done = api.ask("post", path, StatusCode::OK, &variables).await;
    assert_eq!(done["applied"], true, "{done}");
}

// GRD-06: a guard of a service that is not there guards nothing, and that is said.
#[tokio::test]
async fn a_guard_of_an_unknown_service_is_told() {
    let api = Api::start().await;
    let guard = json!({ "service": "shpo", "environment": "production",
        "routes": [{ "path": "/reports/*", "flag": "exec" }] });
    let put =
        |dry_run: bool| json!({ "set": { "guards": { "reports": guard } }, "dry_run": dry_run });
    for dry_run in [true, false] {
        let path = "/api/v1/flag-set";
        let applied = api.ask("put", path, StatusCode::OK, &put(dry_run)).await;
        let told = &applied["guards"];
        assert_eq!(told[0]["kind"], "unknown-service", "{applied}");
        let said = "no service shpo is known (none is known yet): at the proxy it guards nothing";
        assert_eq!(told[0]["trouble"], said);
    }
    let path = "/api/v1/flag-set/status";
    let status = api.ask("get", path, StatusCode::OK, &Value::Null).await;
    assert_eq!(status["guards"][0]["service"], "shpo", "{status}");
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
    let all = json!({ "all": true });
    api.ask("post", path, StatusCode::OK, &all).await;
    let history = api.get("/api/v1/flags/exec/history").await;
    let history = history.as_array().cloned().unwrap_or_default();
    let kinds: Vec<&Value> = history.iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["killed", "lifted", "killed", "changed"]);
    // FLAG-15: what each of them was before, and what it is.
    let turned: Vec<&Value> = history[..3].iter().map(|entry| &entry["changes"]).collect();
    let exec = |before: bool| json!([{ "path": "/flags/exec/killed", "before": before, "after": !before }]);
    assert_eq!(turned, [&exec(false), &exec(true), &exec(false)]);
    let whole = api.get("/api/v1/flag-set/history?limit=1").await;
    assert_eq!(
        whole[0]["changes"],
        json!([{ "path": "/killed", "before": false, "after": true }])
    );
    let none = "/api/v1/flag-set/history?limit=0";
    let none = api
        .ask("get", none, StatusCode::BAD_REQUEST, &Value::Null)
        .await;
    assert_eq!(none["help"], "ask for 1 to 1,000: `--limit 50`");
}

// ROL-08, FLAG-13, FLAG-15: what a tester was given is in the record, and explained.
#[tokio::test]
async fn a_testers_token_is_recorded_and_explained() {
    let api = Api::start().await;
    let path = "/api/v1/flag-set/testers";
    let ask = |flag: &str, variant: &str, for_s: u64| json!({ "who": "ana", "variants": { flag: variant }, "for_s": for_s, "reason": "try" });
    for (asked, help) in [
        (ask("exe", "on", 60), "did you mean exec?"),
        (ask("exec", "onn", 60), "it has off, on"),
        (
            ask("exec", "on", 31 * 86_400),
            "give one for 1s to 30d, such as `--for 8h`, and another one when it runs out",
        ),
    ] {
        let refused = api.ask("post", path, StatusCode::BAD_REQUEST, &asked).await;
        assert_eq!(refused["help"], help, "{refused}");
    }
    let given = api
        .ask("post", path, StatusCode::OK, &ask("exec", "on", 60))
        .await;
    let entry = api.get("/api/v1/flags/exec/history?limit=1").await[0].clone();
    assert_eq!(
        (&entry["kind"], &entry["to"]),
        (&json!("tester-granted"), &json!("ana"))
    );
    assert_eq!(
        entry["grant"],
        json!({ "variants": { "exec": "on" }, "environment": "production",
                "until_us": given["until_us"] })
    );
    let explain = |flag: &str| format!("/api/v1/flags/{flag}/explain");
    let step = |why: &Value| {
        let steps = why["explanation"]["steps"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let tester = |step: &&Value| step["asked"] == "is there a tester token?";
        steps.iter().find(tester).map(|step| step["found"].clone())
    };
    // As an argument of its own, and as applications have it in the context.
    let named = json!({ "context": { "tenant": "umbrella" }, "tester": given["token"] });
    let within = json!({ "context": { "tenant": "umbrella",
                                      "x-esclusa-tester": given["token"] } });
    for asked in [named.clone(), within] {
        let why = api
            .ask("post", &explain("exec"), StatusCode::OK, &asked)
            .await;
        assert_eq!(step(&why), Some(json!("yes, for \"on\"")), "{why}");
        assert_eq!(why["explanation"]["variant"], "on");
    }
    let other = api
        .ask("post", &explain("api%2Fv2"), StatusCode::OK, &named)
        .await;
    assert_eq!(
        step(&other),
        Some(json!("yes, and not for this flag")),
        "{other}"
    );
    let forged = json!({ "tester": "esct1.e30.AA" });
    let forged = api
        .ask("post", &explain("exec"), StatusCode::BAD_REQUEST, &forged)
        .await;
    assert_eq!(
        forged["message"],
        "the tester's token was not given by this server, or has run out"
    );
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
        assert_eq!(
            refused.json["message"],
            "the token web asks a proxy for flags and opens nothing here"
        );
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
