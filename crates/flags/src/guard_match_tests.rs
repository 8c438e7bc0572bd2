//! Tests of guards: what they stand before, whom they ask for, what cannot slip by.

use crate::guard_match::{CompiledGuard, GuardDecision};
use crate::problem::ProblemCode;
use crate::request::RequestContext;
use crate::{FlagSet, Snapshot, validate};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::borrow::Cow;

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    host: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

impl RequestContext for Request<'_> {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = self.headers.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| Cow::Borrowed(*value))
    }
    fn method(&self) -> &str {
        self.method
    }
    fn path(&self) -> &str {
        self.path
    }
    fn host(&self) -> &str {
        self.host
    }
    fn tenant(&self) -> &str {
        ""
    }
}

fn set(guard: &Value) -> FlagSet {
    FlagSet::from_json(json!({
        "environments": ["production"],
        "flags": {
            "exec": { "type": "boolean", "message": "ExecReports not available",
                "environments": { "production": { "tenants": { "acme": "on" }, "users": { "ana": "on" } } } },
            "plan": { "type": "string", "variants": { "off": "", "a": "A", "b": "B" }, "default": "b" },
        },
        "guards": { "shop": guard.clone() },
    }))
    .expect("a set")
}

fn shop() -> Value {
    json!({
        "environment": "production",
        "tenant": [{ "header": "X-Tenant-Id" }, { "host": "{}.shop.example" }, { "path": "/t/{}/*" }, { "claim": "org" }],
        "user": [{ "claim": "sub" }],
        "claims": { "secret": "env:JWT" },
        "routes": [
            { "method": "POST", "path": "/modules/:id/execute", "flag": "exec" },
            { "method": "GET", "path": "/reports/exec/:configuration", "flag": "exec" },
            { "path": "/t/:tenant/beta/*", "flag": "exec", "mode": "fallback" },
            { "path": "/plan", "flag": "plan", "variant": "a", "status": 404, "retry-after": 5 },
            { "path": "/any-plan", "flag": "plan" },
        ],
    })
}

fn decide(
    method: &str,
    path: &str,
    host: &str,
    headers: &[(&str, &str)],
    claims: &[(&str, &str)],
) -> (u16, String) {
    let set = set(&shop());
    let guard = CompiledGuard::compile("shop", &set.guards["shop"], &set).expect("valid");
    let snapshot = Snapshot::compile(&set, "production").expect("valid");
    let request = Request {
        method,
        path,
        host,
        headers,
    };
    let claim = |name: &str| {
        let found = claims.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    match guard.decide(&snapshot, &request, &claim) {
        GuardDecision::Unguarded => (0, String::new()),
        GuardDecision::Open { flag } => (200, flag.to_owned()),
        GuardDecision::Fallback { flag } => (299, flag.to_owned()),
        GuardDecision::Closed {
            status,
            retry_after,
            body,
            ..
        } => (status, format!("{retry_after} {body}")),
    }
}

// GRD-01: the answer's shape.
#[test]
fn a_closed_route_answers_as_agreed() {
    let closed = decide("POST", "/modules/7/execute", "", &[], &[]);
    let body = r#"60 {"error":"ExecReports not available","code":"FEATURE_DISABLED"}"#;
    assert_eq!(closed, (503, body.to_owned()));
    let (status, body) = decide("GET", "/plan", "", &[], &[]);
    assert_eq!(status, 404);
    assert_eq!(
        body,
        r#"5 {"error":"plan not available","code":"FEATURE_DISABLED"}"#
    );
    assert_eq!(decide("GET", "/any-plan", "", &[], &[]).0, 200);
}

// GRD-03: the tenant of the request, from each place; nobody else's when it is missing.
#[test]
fn the_tenant_is_the_requests_own() {
    let of = |path, host, headers: &[(&str, &str)], claims: &[(&str, &str)]| {
        decide("POST", path, host, headers, claims).0
    };
    let path = "/modules/7/execute";
    assert_eq!(of(path, "", &[("x-tenant-id", "acme")], &[]), 200);
    assert_eq!(of(path, "", &[("x-tenant-id", "other")], &[]), 503);
    assert_eq!(of(path, "acme.shop.example", &[], &[]), 200);
    assert_eq!(of(path, "x.acme.shop.example", &[], &[]), 503);
    assert_eq!(of(path, "", &[], &[("org", "acme")]), 200);
    assert_eq!(of(path, "", &[], &[("sub", "ana")]), 200);
    assert_eq!(of(path, "", &[("x-tenant-id", " ")], &[]), 503);
    assert_eq!(of("/t/acme/beta/x", "", &[], &[]), 200);
    assert_eq!(of("/t/other/beta", "", &[], &[]), 299);
    // The first that is there wins.
    assert_eq!(
        of(path, "acme.shop.example", &[("x-tenant-id", "other")], &[]),
        503
    );
}

// GRD-04: method and pattern, and no way around them.
#[test]
fn a_route_is_a_method_and_a_pattern() {
    for (method, path) in [
        ("POST", "/modules/7/execute"),
        ("POST", "/modules/7/execute/"),
        ("POST", "//modules//7/./execute"),
        ("POST", "/modules/x/../7/execute"),
        ("POST", "/modules/7/%65xecute"),
        ("POST", "/modules/7%2Fexecute"),
        ("POST", "/Modules/7/EXECUTE"),
        ("POST", "/modules/7/execute?x=1"),
        ("POST", "/modules/7/execute;x=1"),
        ("POST", "/modules\\7\\execute"),
        ("POST", "http://shop.example/modules/7/execute"),
        ("HEAD", "/reports/exec/1"),
        ("", "/reports/exec/1"),
    ] {
        assert_eq!(decide(method, path, "", &[], &[]).0, 503, "{method} {path}");
    }
    for (method, path) in [
        ("GET", "/modules/7/execute"),
        ("POST", "/modules/execute"),
        ("POST", "/modules/7/execute/more"),
        ("POST", "/reports/exec/1"),
        ("GET", "/"),
        ("GET", ""),
        ("GET", "%"),
        ("GET", "/../.."),
    ] {
        assert_eq!(decide(method, path, "", &[], &[]).0, 0, "{method} {path}");
    }
}

#[test]
fn what_is_wrong_with_a_guard_is_said_with_its_place() {
    let cases = [
        (
            "/environment",
            json!("prod"),
            ProblemCode::UnknownEnvironment,
        ),
        ("/routes/0/flag", json!("exex"), ProblemCode::UnknownFlag),
        ("/routes/3/variant", json!("c"), ProblemCode::UnknownVariant),
        ("/routes/0/path", json!("modules"), ProblemCode::BadValue),
        ("/routes/0/path", json!("/a*"), ProblemCode::BadValue),
        ("/routes/0/method", json!("post"), ProblemCode::BadValue),
        ("/routes/3/status", json!(200), ProblemCode::BadValue),
        (
            "/tenant/0",
            json!({ "header": "x y" }),
            ProblemCode::BadValue,
        ),
        (
            "/tenant/1",
            json!({ "host": "shop.example" }),
            ProblemCode::BadValue,
        ),
        (
            "/tenant/2",
            json!({ "path": "/t/:x" }),
            ProblemCode::BadValue,
        ),
        ("/claims", json!({}), ProblemCode::BadValue),
        ("/claims", Value::Null, ProblemCode::BadValue),
    ];
    assert_eq!(validate(&set(&shop())), []);
    for (place, value, code) in cases {
        let mut guard = shop();
        *guard.pointer_mut(place).expect("there") = value.clone();
        let found = validate(&set(&guard));
        assert!(
            found
                .iter()
                .any(|problem| problem.code == code && problem.path.starts_with("/guards/shop/")),
            "{place} {value}: {found:?}"
        );
    }
}

/// A path written in another way that lenient servers read alike.
fn respelled() -> impl Strategy<Value = String> {
    let slash = prop::sample::select(vec!["/", "//", "/./", "/x/../", "\\", "%2f", "%2F"]);
    let letter = (any::<bool>(), any::<bool>());
    let literal = |text: &'static str| {
        prop::collection::vec(letter, text.len()).prop_map(move |how| {
            let spelled = text.chars().zip(how).map(|(c, (upper, encoded))| {
                let c = if upper { c.to_ascii_uppercase() } else { c };
                if encoded {
                    format!("%{:02x}", c as u32)
                } else {
                    c.to_string()
                }
            });
            spelled.collect::<String>()
        })
    };
    let slashes = prop::collection::vec(slash, 3);
    (
        slashes,
        literal("modules"),
        "[a-z0-9]{1,4}",
        literal("execute"),
        prop::sample::select(vec!["", "/", "?a=b", ";v=1", "#x"]),
    )
        .prop_map(|(slashes, modules, id, execute, end)| {
            format!(
                "{}{modules}{}{id}{}{execute}{end}",
                slashes[0], slashes[1], slashes[2]
            )
        })
}

proptest! {
    // GRD-04: whatever way it is written, it is guarded.
    #[test]
    fn no_spelling_of_a_guarded_path_slips_by(path in respelled()) {
        prop_assert_eq!(decide("POST", &path, "", &[], &[]).0, 503, "{}", path);
    }

    #[test]
    fn any_path_is_decided(method in "[A-Z]{0,6}", path in ".{0,40}|[/%.a-z0-9]{0,40}", host in ".{0,12}") {
        let (status, _) = decide(&method, &path, &host, &[], &[]);
        prop_assert!([0, 200, 299, 404, 503].contains(&status));
    }
}
