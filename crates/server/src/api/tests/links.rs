//! Links by which somebody approves or aborts.

use super::{PLAN, Server};
use crate::auth::{TokenAsk, Who};
use crate::links::{LinkAction, LinkAsk};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use esclusa_model::Millis;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

/// A page as a browser gets it.
async fn page(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body");
    let text = String::from_utf8(body.to_bytes().to_vec()).expect("text");
    (status, text)
}

impl Server {
    async fn link(&self, token: &str, id: &str, asked: Value) -> super::Answer {
        let path = format!("/api/v1/releases/{id}/links");
        self.call("post", &path, Some(token), &asked.to_string())
            .await
    }

    /// The path of a link that is given.
    async fn good_link(&self, token: &str, id: &str, asked: Value) -> String {
        let given = self.link(token, id, asked).await;
        assert_eq!(given.status, StatusCode::CREATED, "{}", given.json);
        given.json["url_path"].as_str().expect("a path").to_owned()
    }

    async fn open(&self, path: &str) -> (u16, String) {
        page(self.ask("get", path, &[], "").await).await
    }

    async fn use_link(&self, path: &str, form: &str) -> (u16, String) {
        page(self.ask("post", path, &[], form).await).await
    }

    async fn view(&self, token: &str, id: &str) -> Value {
        let path = format!("/api/v1/releases/{id}");
        self.call("get", &path, Some(token), "").await.json
    }

    async fn kinds(&self, token: &str, id: &str) -> Vec<(String, String)> {
        let path = format!("/api/v1/releases/{id}/events");
        let events = self.call("get", &path, Some(token), "").await.json;
        let events = events.as_array().expect("events").clone();
        let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let pairs = events
            .iter()
            .map(|event| (text(event, "kind"), text(event, "actor")));
        pairs.collect()
    }
}

// PIP-06
#[tokio::test]
async fn a_link_shows_what_it_does_and_acts_once() {
    let server = Server::start().await;
    let ops = server.token("ops", &["operator", "security"]).await;
    let id = server.release(&ops, PLAN).await;
    let asked = json!({ "action": "approve", "role": "security", "for": "ben@shop.example" });
    let given = server.link(&ops, &id, asked).await.json;
    assert_eq!(given["recorded_as"], "link.ben@shop.example");
    let path = given["url_path"].as_str().expect("a path");
    // Programs that read mail follow links: looking does nothing, however often.
    for _ in 0..3 {
        let answered = server.ask("get", path, &[], "").await;
        let policy = answered.headers()["content-security-policy"].to_str();
        let policy = policy.expect("text").to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"));
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answered.headers()[name], value, "{name}");
        }
        let (status, text) = page(answered).await;
        assert_eq!(status, 200);
        for said in [
            "shop",
            "2.4.1",
            "security",
            "link.ben@shop.example",
            "ops",
            "<form method",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
    let head = server.ask("head", path, &[], "").await;
    assert_eq!(head.status(), StatusCode::OK);
    let before = server.view(&ops, &id).await;
    assert_eq!(before["missing_sign_offs"], json!(["security"]));

    let (status, text) = server.use_link(path, "reason=looks+good%21").await;
    assert_eq!(status, 200, "{text}");
    let after = server.view(&ops, &id).await;
    assert_eq!(after["sign_offs"][0]["by"], "link.ben@shop.example");
    let comment = after["sign_offs"][0]["comment"].as_str().expect("words");
    assert_eq!(
        comment,
        "by a link that ops gave to ben@shop.example: looks good!"
    );
    for (status, text) in [server.use_link(path, "").await, server.open(path).await] {
        assert_eq!(status, 410);
        assert!(
            text.contains("was used") && text.contains("ESC-0435"),
            "{text}"
        );
    }
    // Also by a server that begins again.
    let store = &server.state.app.shared.store;
    let spent = store.spent(crate::clock::now()).await.expect("read");
    assert_eq!(spent.len(), 1, "{spent:?}");
}

#[tokio::test]
async fn links_that_are_forged_expired_or_too_late_do_nothing() {
    let server = Server::start().await;
    let ops = server.token("ops", &["operator", "security"]).await;
    let id = server.release(&ops, PLAN).await;
    let asked = json!({ "action": "abort", "for": "ben" });
    let path = server.good_link(&ops, &id, asked.clone()).await;
    let mut forged = path.clone();
    let last = if forged.pop() == Some('0') { '1' } else { '0' };
    forged.push(last);
    for method in ["get", "post"] {
        let (status, text) = page(server.ask(method, &forged, &[], "").await).await;
        assert_eq!(status, 403, "{method}");
        assert!(
            text.contains("ESC-0434") && text.contains("Next step"),
            "{text}"
        );
    }
    let ask = LinkAsk {
        release: id.parse().expect("an id"),
        action: LinkAction::Abort,
        role: None,
        label: "ben".into(),
        by: "ops".into(),
        hands: Vec::new(),
        lasts: Millis(1_000),
    };
    let long_ago = esclusa_model::Timestamp(1);
    let old = server.state.app.shared.links.issue(&ask, long_ago);
    let (status, text) = server.use_link(&old.expect("given").path, "").await;
    assert_eq!(status, 410);
    assert!(text.contains("too old"), "{text}");
    let kinds = server.kinds(&ops, &id).await;
    assert!(
        !kinds.iter().any(|(kind, _)| kind == "return_decided"),
        "{kinds:?}"
    );

    // Two links, one release: the second comes too late.
    let second = server.good_link(&ops, &id, asked).await;
    assert_eq!(server.use_link(&path, "reason=no").await.0, 200);
    let (status, text) = server.use_link(&second, "").await;
    // It goes back already, which is what was asked for, or is over by now.
    assert!(status == 200 || status == 410, "{status} {text}");
    let kinds = server.kinds(&ops, &id).await;
    let returns = kinds.iter().filter(|(kind, _)| kind == "return_decided");
    let by: Vec<&str> = returns.map(|(_, by)| by.as_str()).collect();
    assert_eq!(by, ["link.ben"]);
    // Guessing is limited like guessing tokens.
    let mut last = 0;
    for n in 0..12 {
        last = server.open(&format!("/l/e30.{n}")).await.0;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn a_link_is_given_by_whoever_may_do_what_it_does() {
    let server = Server::start().await;
    let ops = server.token("ops", &["operator"]).await;
    let lead = server.token("lead", &["approver", "security"]).await;
    let id = server.release(&ops, PLAN).await;
    let role = json!({ "action": "approve", "role": "security" });
    let go_on = json!({ "action": "approve" });
    for (token, asked, status, code) in [
        (&lead, role.clone(), 403, "ESC-0403"),
        (&ops, role, 403, "ESC-0403"),
        (&ops, go_on.clone(), 409, "ESC-0303"),
        (
            &ops,
            json!({ "action": "abort", "role": "security" }),
            400,
            "ESC-0436",
        ),
        (
            &ops,
            json!({ "action": "abort", "for": "a b" }),
            400,
            "ESC-0436",
        ),
        (
            &ops,
            json!({ "action": "abort", "valid_for_s": 604_801 }),
            400,
            "ESC-0436",
        ),
        (&ops, json!({ "action": "promote" }), 400, "ESC-0408"),
    ] {
        let refused = server.link(token, &id, asked.clone()).await;
        let got = (refused.status.as_u16(), refused.json["code"].as_str());
        assert_eq!(got, (status, Some(code)), "{asked}: {}", refused.json);
    }
    // Once it waits for a person, a link lets it go on, and only then.
    let pause = format!("/api/v1/releases/{id}/pause");
    assert_eq!(
        server.call("post", &pause, Some(&ops), "").await.status,
        StatusCode::OK
    );
    let path = server.good_link(&ops, &id, go_on).await;
    assert_eq!(server.use_link(&path, "reason=again").await.0, 200);
    assert_eq!(server.view(&ops, &id).await["paused_by"], Value::Null);
    let resumed = server.kinds(&ops, &id).await;
    assert!(
        resumed.contains(&("resumed".into(), "link.ops".into())),
        "{resumed:?}"
    );
}

const GUARDED: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:1, host: shop.example }
address: { url: 'http://127.0.0.1:9/${version}' }
requires:
  - sign-off: { roles: [security], within: 1h, not-by-author: true, items: [a <b> c, d] }
stages: [ { to: 50%, for: 5m }, { to: 100%, watch: 10m } ]
";

// CHK-10, CHK-12, PIP-06
#[tokio::test]
async fn a_link_is_no_way_around_the_author_or_the_checklist() {
    let server = Server::start().await;
    let author = server
        .token_of("ana", &["operator", "security"], Some("ana.m"))
        .await;
    let ops = server.token("ops", &["operator", "security"]).await;
    let phone = server
        .token_of("ana-phone", &["viewer"], Some("ana.m"))
        .await;
    let id = server.release(&author, GUARDED).await;
    // Known once it was used.
    server.view(&phone, &id).await;
    let asked = |to: &str| json!({ "action": "approve", "role": "security", "for": to });
    for (token, to) in [
        (&author, "ben"),
        (&ops, "ana"),
        (&ops, "ana.m"),
        (&ops, "ana-phone"),
    ] {
        let refused = server.link(token, &id, asked(to)).await;
        let got = (refused.status.as_u16(), refused.json["code"].as_str());
        assert_eq!(got, (403, Some("ESC-0432")), "{to}");
    }
    // Also one that was given before anybody looked.
    let ask = LinkAsk {
        release: id.parse().expect("an id"),
        action: LinkAction::Approve,
        role: Some("security".into()),
        label: "ben".into(),
        by: "ana".into(),
        hands: vec!["ana".into(), "ben".into()],
        lasts: Millis(60_000),
    };
    let given = server
        .state
        .app
        .shared
        .links
        .issue(&ask, crate::clock::now());
    let given = given.expect("given").path;
    let (status, text) = server.use_link(&given, "item-0=on&item-1=on").await;
    assert_eq!(status, 403);
    assert!(text.contains("ESC-0432"), "{text}");

    let path = server.good_link(&ops, &id, asked("ben")).await;
    let (_, text) = server.open(&path).await;
    assert!(
        text.contains("a &lt;b&gt; c") && !text.contains("<b>"),
        "{text}"
    );
    assert_eq!(text.matches("<input type=\"checkbox\"").count(), 2);
    assert_eq!(text.matches(" required>").count(), 2);
    // What was refused does not use it up.
    let (status, text) = server.use_link(&path, "item-0=on").await;
    assert_eq!(status, 400);
    assert!(
        text.contains("ESC-0433") && text.contains("&quot;d&quot;"),
        "{text}"
    );
    let (status, text) = server.use_link(&path, "item-0=on&item-1=on&reason=").await;
    assert_eq!(status, 200, "{text}");
    let view = server.view(&ops, &id).await;
    assert_eq!(view["sign_offs"][0]["by"], "link.ben");
    assert_eq!(view["sign_offs"][0]["items"][0]["done"], true);
}

// RBK-06: a way back does not wait for a store that is gone.
#[tokio::test]
async fn an_abort_by_link_works_without_a_store_and_once() {
    let server = Server::start().await;
    let ops = server.token("ops", &["operator"]).await;
    let id = server.release(&ops, PLAN).await;
    let path = server
        .good_link(&ops, &id, json!({ "action": "abort" }))
        .await;
    let (file, away) = (server.data().join("esclusa.db"), server.data().join("away"));
    std::fs::rename(&file, &away).expect("moved");
    let store = &server.state.app.shared.store;
    let lost = store.put_setting("any", &1, crate::clock::now()).await;
    assert!(lost.is_err(), "nothing can be written");
    let (status, text) = server.open(&path).await;
    assert_eq!(status, 200, "{text}");
    let (status, text) = server.use_link(&path, "reason=now").await;
    assert_eq!(status, 200, "{text}");
    let services = server.state.app.services().await;
    let release = services[0].release.as_ref().expect("under way");
    let why = release.returning_because.as_deref().unwrap_or_default();
    assert!(why.contains("by a link that ops gave to ops: now"), "{why}");
    assert_eq!(server.use_link(&path, "").await.0, 410);
    // What raises waits for the record, so that it cannot happen twice.
    let spent = &server.state.app.shared.spent;
    let later = esclusa_model::Timestamp(crate::clock::now().0 + 60_000_000);
    assert!(spent.first("link/other", later).await.is_err());
    std::fs::rename(&away, &file).expect("moved back");
    let kept = tokio::time::timeout(super::LIMIT, async {
        while store
            .spent(crate::clock::now())
            .await
            .expect("read")
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    });
    assert!(kept.await.is_ok(), "it is remembered for good");
}

#[tokio::test]
async fn what_people_ask_by_link_is_counted_and_an_abort_is_not() {
    let server = Server::start().await;
    let ops = server.token("ops", &["operator", "security"]).await;
    let id = server.release(&ops, PLAN).await;
    let role = json!({ "action": "approve", "role": "security" });
    let approve = server.good_link(&ops, &id, role).await;
    let abort = server
        .good_link(&ops, &id, json!({ "action": "abort" }))
        .await;
    assert_eq!(server.open(&approve).await.0, 200);
    server.has_asked_much(&Who::Address(None));
    assert_eq!(server.open(&approve).await.0, 429);
    assert_eq!(server.use_link(&approve, "").await.0, 429);
    assert_eq!(server.open(&abort).await.0, 200);
    assert_eq!(server.use_link(&abort, "").await.0, 200);
    let token = TokenAsk {
        name: "link.ops".into(),
        roles: vec!["viewer".into()],
        ..TokenAsk::default()
    };
    let taken = server
        .state
        .auth
        .create(&token)
        .await
        .expect_err("reserved");
    assert_eq!(taken.code, "ESC-0416");
}
