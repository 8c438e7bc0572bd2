//! Browsers that log in, pages that must not act for them, and limits.

use super::super::{ApiState, Door, router};
use super::{Answer, Server, answer};
use crate::auth::{Session, Who};
use crate::links::Front;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tower::ServiceExt as _;

const GUARDED: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:1, host: shop.example }
address: { url: 'http://127.0.0.1:9/${version}' }
requires:
  - sign-off:
      roles: [security]
      within: 1h
      not-by-author: true
      items: [the restore was rehearsed, the on-call person knows]
stages:
  - { to: 50%, for: 5m }
  - { to: 100%, watch: 10m }
";

// SEC-15
#[tokio::test]
async fn a_browser_logs_in_acts_and_logs_out() {
    let server = Server::start().await;
    let token = server.token_of("ana", &["operator"], Some("ana")).await;
    let (cookie, csrf) = server.session(&token).await;
    let (_, other) = server.session(&token).await;
    let me = server
        .ask("get", "/api/v1/me", &[("cookie", &cookie)], "")
        .await;
    let me = answer(me).await.json;
    assert_eq!(
        (&me["actor"], &me["person"], &me["csrf"]),
        (&json!("ana"), &json!("ana"), &json!(csrf))
    );
    let with_token = server.call("get", "/api/v1/me", Some(&token), "").await;
    assert_eq!(with_token.json.get("csrf"), None, "needs none");

    let pause = async |headers: &[(&str, &str)]| -> (u16, Value) {
        let path = "/api/v1/releases/0191/pause";
        let Answer { status, json } = answer(server.ask("post", path, headers, "{}").await).await;
        (status.as_u16(), json["code"].clone())
    };
    let cookie = ("cookie", cookie.as_str());
    let sent = ("x-esclusa-csrf", csrf.as_str());
    let host = ("host", "esclusa.example");
    let refused = (403, json!("ESC-0430"));
    let granted = (404, json!("ESC-0404"));
    assert_eq!(pause(&[cookie]).await, refused);
    assert_eq!(pause(&[cookie, ("x-esclusa-csrf", "")]).await, refused);
    assert_eq!(pause(&[cookie, ("x-esclusa-csrf", &other)]).await, refused);
    for foreign in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(
            pause(&[cookie, sent, host, foreign]).await,
            refused,
            "{foreign:?}"
        );
        // A program that sends its token is nobody's browser.
        let bearer = format!("Bearer {token}");
        assert_eq!(pause(&[("authorization", &bearer), foreign]).await, granted);
    }
    for own in [
        ("origin", "https://esclusa.example"),
        ("sec-fetch-site", "same-origin"),
    ] {
        assert_eq!(pause(&[cookie, sent, host, own]).await, granted, "{own:?}");
    }
    // A wrong token is not made good by a cookie.
    let wrong = pause(&[cookie, sent, ("authorization", "Bearer wrong")]).await;
    assert_eq!(wrong, (401, json!("ESC-0401")));

    let bare = server.ask("post", "/api/v1/logout", &[cookie], "").await;
    assert_eq!(bare.status(), StatusCode::FORBIDDEN);
    let out = server
        .ask("post", "/api/v1/logout", &[cookie, sent], "")
        .await;
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    let gone = out.headers()[header::SET_COOKIE].to_str().expect("text");
    assert!(
        gone.starts_with("esclusa_session=;") && gone.contains("Max-Age=0"),
        "{gone}"
    );
    assert_eq!(pause(&[cookie, sent]).await, (401, json!("ESC-0401")));
}

/// The cookie of a login that came in like this.
async fn set_cookie(server: &Server, token: &str, from: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::post("/api/v1/login").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "token": token }).to_string();
    let mut request = request.body(Body::from(body)).expect("a request");
    let from: SocketAddr = from.parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(from));
    let answered = server.router().oneshot(request).await.expect("an answer");
    assert_eq!(answered.status(), StatusCode::OK);
    let cookie = answered.headers()[header::SET_COOKIE].to_str();
    cookie.expect("text").to_owned()
}

#[tokio::test]
async fn a_cookie_that_came_over_https_stays_there() {
    let server = Server::start().await;
    let token = server.token("ana", &["viewer"]).await;
    let https = [("x-forwarded-proto", "https")];
    let cookie = set_cookie(&server, &token, "127.0.0.1:5", &https).await;
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200; Secure"),
        "{cookie}"
    );
    let plain = set_cookie(&server, &token, "127.0.0.1:5", &[]).await;
    assert!(
        plain.contains("; HttpOnly; ") && !plain.contains("Secure"),
        "{plain}"
    );
    // Anybody can say so from elsewhere.
    let said = set_cookie(&server, &token, "192.0.2.1:5", &https).await;
    assert!(!said.contains("Secure"), "{said}");
    let front = Front::public("https://esclusa.example").expect("an address");
    server.state.app.shared.links.stand_behind(front);
    let known = set_cookie(&server, &token, "192.0.2.1:5", &[]).await;
    assert!(known.contains("Secure"), "{known}");
}

#[tokio::test]
async fn logins_are_limited_and_come_from_our_page() {
    let server = Server::start().await;
    let token = server.token("ana", &["viewer"]).await;
    let body = |token: &str| json!({ "token": token }).to_string();
    let foreign = [("sec-fetch-site", "cross-site")];
    let refused = server
        .ask("post", "/api/v1/login", &foreign, &body(&token))
        .await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(!refused.headers().contains_key(header::SET_COOKIE));
    let mut last = StatusCode::OK;
    for _ in 0..12 {
        let wrong = server
            .send("post", "/api/v1/login", None, &body("wrong"))
            .await;
        assert!(!wrong.headers().contains_key(header::SET_COOKIE));
        last = wrong.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    server.session(&token).await;
    let unknown = json!({ "token": token, "to": "https://evil.example" }).to_string();
    let unknown = server.call("post", "/api/v1/login", None, &unknown).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

// SEC-15
#[tokio::test]
async fn a_session_outlives_the_server_and_not_its_token() {
    let server = Server::start().await;
    let token = server.token("ana", &["viewer"]).await;
    let (cookie, _) = server.session(&token).await;
    let again = ApiState::new(
        server.state.app.clone(),
        Door::Token,
        server.state.proxy.clone(),
        server.state.ending.clone(),
    );
    let me = async || {
        let request = Request::get("/api/v1/me").header("cookie", &cookie);
        let request = request.body(Body::empty()).expect("a request");
        let answered = router(again.clone()).oneshot(request).await;
        answered.expect("an answer").status()
    };
    assert_eq!(me().await, StatusCode::OK);
    let value = cookie.trim_start_matches("esclusa_session=");
    let keys = &server.state.app.shared.keys;
    assert!(Session::read(keys, value, crate::clock::now()).is_some());
    again.auth.revoke("ana").await.expect("revoked");
    assert_eq!(me().await, StatusCode::UNAUTHORIZED);
}

impl Server {
    /// Whoever this is has no requests left for an hour, however slow this machine is.
    pub(super) fn has_asked_much(&self, who: &Who) {
        let later = crate::clock::now().0 + 3_600_000_000;
        while self.state.auth.rate.take(who.clone(), later) {}
    }
}

// SEC-15
#[tokio::test]
async fn whoever_asks_too_often_is_told_and_can_still_take_back() {
    let server = Server::start().await;
    let busy = server.token("busy", &["operator"]).await;
    let calm = server.token("calm", &["viewer"]).await;
    let told = server.send("get", "/api/v1/me", Some(&busy), "").await;
    assert_eq!(told.status(), StatusCode::OK);
    server.has_asked_much(&Who::Caller("busy".into()));
    let told = server.send("get", "/api/v1/me", Some(&busy), "").await;
    assert_eq!(told.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(told.headers()[header::RETRY_AFTER], "1");
    assert_eq!(answer(told).await.json["code"], "ESC-0431");
    for path in [
        "/api/v1/releases/0191/abort",
        "/api/v1/releases/0191/rollback",
        "/api/v1/services/shop/kill",
        "/api/v1/kill",
    ] {
        let answered = server.send("post", path, Some(&busy), "").await;
        assert_ne!(answered.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    let other = server.call("get", "/api/v1/me", Some(&calm), "").await;
    assert_eq!(other.status, StatusCode::OK);
}

// CHK-10, CHK-12
#[tokio::test]
async fn a_sign_off_is_somebody_else_s_and_confirms_every_item() {
    let server = Server::start().await;
    let author = server
        .token_of("ana-ci", &["operator", "security"], Some("ana"))
        .await;
    let phone = server
        .token_of("ana-phone", &["security"], Some("ana"))
        .await;
    let ben = server.token("ben", &["security"]).await;
    let id = server.release(&author, GUARDED).await;
    let path = format!("/api/v1/releases/{id}/sign-offs");
    let done = |done: bool| json!({ "item": "the on-call person knows", "done": done });
    let rehearsed = json!({
        "item": "the restore was rehearsed", "done": true, "note": "in 4 minutes"
    });
    let sign = async |token: &str, items: Value| {
        let body = json!({ "role": "security", "comment": "fine", "items": items });
        let answer = server
            .call("post", &path, Some(token), &body.to_string())
            .await;
        let text = |name: &str| answer.json[name].as_str().unwrap_or_default().to_owned();
        (answer.status.as_u16(), text("code"), text("message"))
    };
    let all = json!([rehearsed, done(true)]);
    for own in [&author, &phone] {
        let (status, code, message) = sign(own, all.clone()).await;
        assert_eq!((status, code.as_str()), (403, "ESC-0432"), "{message}");
    }
    for missing in [
        json!([]),
        json!([done(true)]),
        json!([rehearsed, done(false)]),
    ] {
        let (status, code, message) = sign(&ben, missing.clone()).await;
        assert_eq!((status, code.as_str()), (400, "ESC-0433"), "{missing}");
        let named = if missing.as_array().is_some_and(|items| items.len() == 2) {
            "the on-call person knows"
        } else {
            "the restore was rehearsed"
        };
        assert!(message.contains(named), "{message}");
    }
    let view = async || {
        let path = format!("/api/v1/releases/{id}");
        server.call("get", &path, Some(&ben), "").await.json
    };
    let before = view().await;
    assert_eq!(before["requested_person"], "ana");
    assert_eq!(before["sign_offs"][0]["by"], Value::Null);
    assert_eq!(before["sign_offs"][0]["not_by_author"], true);
    assert_eq!(before["sign_offs"][0]["items"][1]["done"], false);
    let (status, _, message) = sign(&ben, all).await;
    assert_eq!(status, 200, "{message}");
    let after = view().await;
    assert_eq!(after["missing_sign_offs"], json!([]));
    assert_eq!(after["sign_offs"][0]["by"], "ben");
    let items = json!([
        { "item": "the restore was rehearsed", "done": true, "note": "in 4 minutes" },
        { "item": "the on-call person knows", "done": true, "note": "" },
    ]);
    assert_eq!(after["sign_offs"][0]["items"], items);
    let report = format!("/api/v1/releases/{id}/report");
    let report = server.call("get", &report, Some(&ben), "").await.json;
    assert_eq!(report["sign_offs"][0]["items"], items, "{report:#}");
}
