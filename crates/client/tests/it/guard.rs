//! The guard before an axum router.

use crate::stub::{Stub, becomes};
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use esclusa_client::{Client, Config, Context, Feature, Guard, Route, RouteError};
use esclusa_flags::GuardedRoute;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn execute(headers: HeaderMap, Extension(feature): Extension<Feature>) -> String {
    let header = headers["x-esclusa-flag"].to_str().expect("text").to_owned();
    assert_eq!(header == "on", feature.is_on);
    assert_eq!(&*feature.flag, "exec");
    format!("base, {header}")
}

fn app(client: Client) -> Router {
    let guard = Guard::new(client)
        .tenant_header("x-tenant-id")
        .expect("a name")
        .route(Route::fallback("POST", "/modules/:id/execute", "exec").expect("a route"))
        .route(
            Route::block("GET", "/reports/exec/:id", "api")
                .expect("a route")
                .feature("Reports API")
                .retry_after(7),
        )
        .route(
            Route::block("", "/color", "color")
                .expect("a route")
                .variant("v"),
        )
        .route(
            Route::block("", "/open", "api")
                .expect("a route")
                .safe(true),
        )
        .route(Route::block("", "/text", "color").expect("a route"));
    let plain = async |headers: HeaderMap| format!("{:?}", headers.get("x-esclusa-flag"));
    Router::new()
        .route("/modules/{id}/execute", post(execute))
        .route("/reports/exec/{id}", get("report"))
        .route("/color", get("color"))
        .route("/open", get("open"))
        .route("/text", get("text"))
        .route("/free", get(plain))
        .layer(guard.layer())
}

async fn ask(app: &Router, method: &str, path: &str, tenants: &[&str]) -> (u16, String) {
    let answer = answer(app, method, path, tenants).await;
    let status = answer.status().as_u16();
    let body = answer
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

async fn answer(app: &Router, method: &str, path: &str, tenants: &[&str]) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for tenant in tenants {
        request = request.header("x-tenant-id", *tenant);
    }
    let request = request.header("x-esclusa-flag", "on").body(Body::empty());
    let asked = app.clone().oneshot(request.expect("a request")).await;
    asked.expect("it never fails")
}

// GRD-01, GRD-02, GRD-05: closed is this answer; a fallback runs the handler all the same.
#[tokio::test]
async fn a_flag_opens_and_closes_routes() {
    let flags = [
        ("exec", json!(false)),
        ("api", json!(false)),
        ("color", json!("red")),
    ];
    let stub = Stub::start(&flags).await;
    let client = stub.client().await;
    let app = app(client);
    let acme = &["acme"];
    let closed = answer(&app, "GET", "/reports/exec/7", acme).await;
    assert_eq!(closed.status(), 503);
    assert_eq!(closed.headers()["retry-after"], "7");
    assert_eq!(closed.headers()["content-type"], "application/json");
    assert_eq!(closed.headers()["x-esclusa-flag"], "off");
    let body = closed
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(
        &body[..],
        br#"{"error":"Reports API not available","code":"FEATURE_DISABLED"}"#
    );
    for path in [
        "//reports/exec/7",
        "/reports/%65xec/7",
        "/reports/exec/x%2F..%2F7",
    ] {
        assert_eq!(ask(&app, "GET", path, acme).await.0, 503, "{path}");
    }
    assert_eq!(ask(&app, "HEAD", "/reports/exec/7", acme).await.0, 503);
    assert_eq!(ask(&app, "POST", "/reports/exec/7", acme).await.0, 405);
    let base = ask(&app, "POST", "/modules/7/execute", acme).await;
    assert_eq!(base, (200, "base, off".to_owned()));
    let context = json!({ "targetingKey": "acme", "tenant": "acme" });
    assert!(
        stub.world()
            .asked
            .iter()
            .all(|(_, asked)| *asked == context)
    );

    stub.set("exec", json!(true));
    stub.set("api", json!(true));
    stub.tell();
    let report = async || ask(&app, "GET", "/reports/exec/7", acme).await;
    becomes((200, "report".to_owned()), report).await;
    let base = async || ask(&app, "POST", "/modules/7/execute", acme).await;
    becomes((200, "base, on".to_owned()), base).await;
    // A variant opens by its name; what is neither true nor false opens nothing.
    assert_eq!(ask(&app, "GET", "/color", acme).await.0, 200);
    assert_eq!(ask(&app, "GET", "/text", acme).await.0, 503);
    // No route of the guard: what the client says of flags is gone all the same.
    assert_eq!(ask(&app, "GET", "/free", acme).await.1, "None");
}

// GRD-03: nobody's request gets the safe value, and nobody is asked about.
#[tokio::test]
async fn a_request_without_a_tenant_is_nobodys() {
    let stub = Stub::start(&[("exec", json!(true)), ("api", json!(true))]).await;
    let app = app(stub.client().await);
    let long = "x".repeat(513);
    for tenants in [
        &[][..],
        &[""],
        &["  "],
        &["acme", "other"],
        &[long.as_str()],
        &["caf\u{e9}"],
    ] {
        assert_eq!(
            ask(&app, "GET", "/reports/exec/7", tenants).await.0,
            503,
            "{tenants:?}"
        );
        assert_eq!(
            ask(&app, "GET", "/open", tenants).await.0,
            200,
            "{tenants:?}"
        );
        let base = ask(&app, "POST", "/modules/7/execute", tenants).await;
        assert_eq!(base, (200, "base, off".to_owned()));
    }
    assert_eq!(stub.asked(), 0);
}

#[tokio::test]
async fn a_dead_server_closes_what_is_not_safe() {
    let dead = Config::new("http://127.0.0.1:1").expect("an address");
    let app = app(Client::start(dead).expect("it starts"));
    assert_eq!(ask(&app, "GET", "/reports/exec/7", &["acme"]).await.0, 503);
    assert_eq!(ask(&app, "GET", "/open", &["acme"]).await.0, 200);
}

#[tokio::test]
async fn the_unit_may_come_from_anywhere() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let guard = Guard::new(stub.client().await)
        .unit(|parts| {
            parts
                .uri
                .query()
                .map(|query| Context::of(query).with("age", 3))
        })
        .route(Route::block("GET", "/*", "a").expect("a route"));
    let app = Router::new().route("/x", get("x")).layer(guard.layer());
    assert_eq!(ask(&app, "GET", "/x?ana", &[]).await.0, 200);
    assert_eq!(ask(&app, "GET", "/x", &[]).await.0, 503);
    let context = json!({ "targetingKey": "ana", "age": 3 });
    assert_eq!(stub.world().asked[0], ("a".to_owned(), context));
}

#[test]
fn what_is_no_route_is_refused() {
    let refused = |route: Result<Route, RouteError>| route.expect_err("refused");
    let path = RouteError::Path("path pattern \"x\" must begin with /".to_owned());
    assert_eq!(refused(Route::block("GET", "x", "a")), path);
    let method = RouteError::Method("get".to_owned());
    assert_eq!(refused(Route::block("get", "/x", "a")), method);
    let good = Route::block("GET", "/x", "a").expect("a route");
    assert_eq!(refused(good.status(200)), RouteError::Status(200));
}

// GRD-04: a route as the flag set has it.
#[tokio::test]
async fn a_definition_of_the_flag_set_is_a_route() {
    let defined: Value = json!({
        "method": "GET", "path": "/x/:id", "flag": "a", "status": 404, "retry-after": 3,
    });
    let defined: GuardedRoute = serde_json::from_value(defined).expect("a route");
    let route = Route::try_from(&defined).expect("a route");
    let stub = Stub::start(&[("a", json!(false))]).await;
    let guard = Guard::new(stub.client().await).unit(|_| Some(Context::of("ana")));
    let app = Router::new().route("/x/{id}", get("x"));
    let app = app.layer(guard.route(route).layer());
    let closed = answer(&app, "GET", "/x/1", &[]).await;
    assert_eq!(closed.status(), 404);
    assert_eq!(closed.headers()["retry-after"], "3");
}
