//! Guards: what is wrong with them, whose a request is, what they decide, what they cover.

use esclusa_flags::{
    CoverageOf, Endpoint, FlagSet, Guard, GuardRequest, Kills, PathPattern, ProblemCode, Snapshot,
    Units, Verdict, coverage, validate,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

fn set_with(guard: &Value) -> FlagSet {
    FlagSet::from_json(json!({
        "environments": ["production"],
        "flags": {
            "exec-reports": { "type": "boolean", "environments": { "production": {
                "tenants": { "acme": "on" }, "users": { "ana": "on" } } } },
            "safe-on": { "type": "boolean", "safe": "on" },
            "layout": { "type": "string", "variants": { "off": "old", "new": "new", "newer": "newer" },
                        "default": "new", "message": "The new layout is not available" },
        },
        "guards": { "reports": guard },
    }))
    .expect("a set")
}

fn guard() -> Value {
    json!({
        "service": "shop",
        "environment": "production",
        "tenant": [{ "header": "X-Tenant" }, { "host": "{}.shop.example" }],
        "user": [{ "claim": "sub" }],
        "claims": { "secret": "env:JWT_SECRET" },
        "routes": [
            { "method": "POST", "path": "/modules/:moduleId/execute", "flag": "exec-reports" },
            { "path": "/reports/*", "flag": "exec-reports", "mode": "fallback" },
            { "path": "/layout", "flag": "layout", "variant": "newer" },
            { "path": "/any-layout", "flag": "layout" },
            { "path": "/safe", "flag": "safe-on" },
        ],
    })
}

#[derive(Default)]
struct Request {
    host: &'static str,
    headers: BTreeMap<&'static str, &'static str>,
    claims: BTreeMap<&'static str, &'static str>,
}

impl GuardRequest for Request {
    fn host(&self) -> &str {
        self.host
    }
    fn path(&self) -> &str {
        "/"
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.get(name).map(|value| Cow::Borrowed(*value))
    }
    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.claims.get(name).map(|claim| Cow::Borrowed(*claim))
    }
}

fn problems(change: impl FnOnce(&mut Value)) -> Vec<(String, ProblemCode)> {
    let mut guard = guard();
    change(&mut guard);
    let found = validate(&set_with(&guard));
    let short = |path: String| path.replace("/guards/reports", "");
    found.into_iter().map(|p| (short(p.path), p.code)).collect()
}

fn wrong(path: &str, code: ProblemCode, change: impl FnOnce(&mut Value)) {
    assert_eq!(problems(change), [(path.to_owned(), code)]);
}

// GRD-04
#[test]
fn everything_wrong_with_a_guard_is_told_with_its_place() {
    use ProblemCode::{BadName, BadValue, Order, UnknownEnvironment, UnknownFlag, UnknownVariant};
    assert_eq!(problems(|_| {}), []);
    wrong("/environment", UnknownEnvironment, |g| {
        g["environment"] = json!("prod");
    });
    wrong("/service", BadName, |g| g["service"] = json!("a shop"));
    wrong("/routes", BadValue, |g| g["routes"] = json!([]));
    wrong("/routes/0/flag", UnknownFlag, |g| {
        g["routes"][0]["flag"] = json!("exec");
    });
    wrong("/routes/2/variant", UnknownVariant, |g| {
        g["routes"][2]["variant"] = json!("x");
    });
    wrong("/routes/0/path", BadValue, |g| {
        g["routes"][0]["path"] = json!("/a/*/b");
    });
    wrong("/routes/0/method", BadValue, |g| {
        g["routes"][0]["method"] = json!("post");
    });
    wrong("/routes/0/status", BadValue, |g| {
        g["routes"][0]["status"] = json!(200);
    });
    wrong("/tenant/0", BadValue, |g| {
        g["tenant"][0] = json!({ "header": "x tenant" });
    });
    wrong("/tenant/1", BadValue, |g| {
        g["tenant"][1] = json!({ "host": "shop.example" });
    });
    wrong("/tenant/1", BadValue, |g| {
        g["tenant"][1] = json!({ "path": "/{}/{}" });
    });
    wrong("/claims", BadValue, |g| g["claims"] = Value::Null);
    wrong("/claims", BadValue, |g| {
        g["claims"]["jwks-file"] = json!("/keys.json");
    });
    wrong("/claims", BadValue, |g| {
        g["claims"] = json!({ "issuer": "x" });
    });
    wrong("/claims", BadValue, |g| g["user"] = json!([]));
    wrong("/claims/secret", BadValue, |g| {
        g["claims"]["secret"] = json!("hunter2");
    });
    wrong("/routes/1", Order, |g| {
        g["routes"][0] = json!({ "path": "/*", "method": "GET", "flag": "exec-reports" });
        g["routes"][1]["method"] = json!("GET");
    });
}

#[test]
fn a_route_behind_another_guards_of_its_service_is_found_too() {
    let mut set = set_with(&guard());
    let mut second = set.guards["reports"].clone();
    second.routes.truncate(1);
    second.routes[0].method = None;
    set.guards.insert("zz".into(), second.clone());
    assert_eq!(validate(&set), [], "other methods still reach it");
    second.routes[0].method = Some("POST".into());
    set.guards.insert("zz".into(), second.clone());
    let found = validate(&set);
    assert_eq!((found.len(), &*found[0].path), (1, "/guards/zz/routes/0"));
    second.service = None;
    set.guards.insert("zz".into(), second);
    assert_eq!(validate(&set), []);
}

struct Asked {
    guard: Guard,
    flags: Snapshot,
}

impl Asked {
    fn new() -> Self {
        let set = set_with(&guard());
        Self {
            guard: Guard::compile("reports", &set.guards["reports"]).expect("a guard"),
            flags: Snapshot::compile(&set, "production").expect("a set"),
        }
    }

    fn verdict(&self, method: &str, path: &str, request: &Request) -> Verdict {
        let guarded = self.guard.find(method, path).expect("a route");
        guarded.decide(Some(&self.flags), &guarded.guard.units(request))
    }

    fn is_open(&self, path: &str, request: &Request) -> bool {
        self.verdict("POST", path, request) == Verdict::Open
    }
}

fn of(tenant: &'static str) -> Request {
    Request {
        headers: [("x-tenant", tenant)].into(),
        ..Request::default()
    }
}

const EXECUTE: &str = "/modules/7/execute";

// GRD-03: trap 22.
#[test]
fn a_request_is_decided_for_its_own_tenant_or_by_the_safe_value() {
    let asked = Asked::new();
    assert!(asked.is_open(EXECUTE, &of("acme")));
    assert!(!asked.is_open(EXECUTE, &of("umbrella")));
    let by_host = |host| Request {
        host,
        ..Request::default()
    };
    assert!(asked.is_open(EXECUTE, &by_host("acme.shop.example")));
    assert!(!asked.is_open(EXECUTE, &by_host("shop.example")));
    // The header comes first, whatever the host says.
    let mut both = by_host("acme.shop.example");
    both.headers.insert("x-tenant", "umbrella");
    assert!(!asked.is_open(EXECUTE, &both));
    // A user's override, but only where the tenant is known.
    let mut ana = of("umbrella");
    ana.claims.insert("sub", "ana");
    assert!(asked.is_open(EXECUTE, &ana));
    ana.headers.clear();
    assert!(!asked.is_open(EXECUTE, &ana));
    let guarded = asked.guard.find("POST", EXECUTE).expect("a route");
    let units = guarded.guard.units(&ana);
    assert!(units.lacks_tenant && units.tenant.is_none());
    assert!(asked.is_open("/safe", &Request::default()), "declared safe");
    assert!(!asked.is_open("/safe", &of("acme")));
}

// GRD-01, GRD-02
#[test]
fn who_is_kept_out_is_told_in_the_flags_words() {
    let mut asked = Asked::new();
    let closed = |message: &str| Verdict::Closed {
        status: 503,
        retry_after: 60,
        body: format!("{{\"error\":\"{message}\",\"code\":\"FEATURE_DISABLED\"}}"),
    };
    assert_eq!(
        asked.verdict("POST", EXECUTE, &of("x")),
        closed("Exec reports not available")
    );
    // One variant opens, or any but the off one.
    assert_eq!(
        asked.verdict("GET", "/layout", &of("x")),
        closed("The new layout is not available")
    );
    assert!(asked.is_open("/any-layout", &of("x")));
    let mut kills = Kills::default();
    kills.kill(None);
    asked.flags.merge_kills(&kills);
    for path in [EXECUTE, "/any-layout", "/safe"] {
        assert!(!asked.is_open(path, &of("acme")), "{path}");
        assert!(!asked.is_open(path, &Request::default()), "{path}");
    }
    // Without flags.
    let guarded = asked.guard.find("POST", EXECUTE).expect("a route");
    let verdict = guarded.decide(None, &Units::default());
    assert_eq!(verdict, closed("Exec reports not available"));
}

#[test]
fn a_route_is_found_by_method_and_path() {
    let asked = Asked::new();
    let flag = |method, path| {
        asked
            .guard
            .find(method, path)
            .map(|g| g.route.path.as_str())
    };
    assert_eq!(flag("GET", EXECUTE), None);
    assert_eq!(
        flag("POST", "/MODULES/7/execute/"),
        Some("/modules/:moduleId/execute")
    );
    assert_eq!(flag("HEAD", "/reports"), Some("/reports/*"));
    assert_eq!(flag("GET", "/other"), None);
    assert_eq!(flag("", "/reports/1?x=/other"), Some("/reports/*"));
}

// GRD-06
#[test]
fn coverage_names_what_is_open_and_what_stands_idle() {
    let endpoint = |method: &str, path: &str| Endpoint {
        method: method.into(),
        path: path.into(),
    };
    let endpoints = [
        endpoint("POST", "/modules/{moduleId}/execute"),
        endpoint("GET", "/modules/{moduleId}/execute"),
        endpoint("GET", "/reports/{id}.{format}"),
        endpoint("GET", "/layout"),
        endpoint("GET", "/{page}"),
    ];
    let none = BTreeSet::new();
    let of = |service| CoverageOf {
        service: Some(service),
        below: None,
        missing_services: &none,
    };
    let found = coverage(&set_with(&guard()), of("shop"), &endpoints).expect("guards");
    let guarded: Vec<_> = found
        .guarded
        .iter()
        .map(|g| (&*g.endpoint.path, &*g.flag))
        .collect();
    assert_eq!(
        guarded,
        [
            ("/modules/{moduleId}/execute", "exec-reports"),
            ("/reports/{id}.{format}", "exec-reports"),
            ("/layout", "layout"),
        ]
    );
    assert_eq!(
        found.unguarded,
        [endpoints[1].clone(), endpoints[4].clone()]
    );
    let idle: Vec<_> = found.idle.iter().map(|i| (i.route, &*i.path)).collect();
    assert_eq!(idle, [(3, "/any-layout"), (4, "/safe")]);
    let other = coverage(&set_with(&guard()), of("other"), &endpoints).expect("guards");
    assert_eq!(
        (other.guarded.len(), other.unguarded.len(), other.idle.len()),
        (0, 5, 0)
    );
    // Below a path nothing else is spoken of, and a guard of no service guards nothing.
    let below = |path| PathPattern::below(path).expect("a path");
    let missing = BTreeSet::from(["shop".to_owned()]);
    let found = |path, missing_services| {
        let below = below(path);
        let of = CoverageOf {
            service: None,
            below: Some(&below),
            missing_services,
        };
        let found = coverage(&set_with(&guard()), of, &endpoints).expect("guards");
        let idle: Vec<String> = found.idle.into_iter().map(|idle| idle.path).collect();
        let open = found.unguarded.len();
        (found.guarded.len(), open, idle, found.of_nothing.len())
    };
    let idle = |paths: &[&str]| -> Vec<String> { paths.iter().map(|p| (*p).into()).collect() };
    assert_eq!(found("/reports", &none), (1, 0, idle(&[]), 0));
    assert_eq!(found("safe", &none), (0, 0, idle(&["/safe"]), 0));
    assert_eq!(found("/Modules/{id}/", &none), (1, 1, idle(&[]), 0));
    assert_eq!(found("/", &none).1, 2);
    assert_eq!(found("/reports", &missing), (0, 1, idle(&[]), 1));
    assert_eq!(found("/elsewhere", &missing), (0, 0, idle(&[]), 0));
    assert!(PathPattern::below("/a?b").is_err());
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
    (
        prop::collection::vec(slash, 3),
        literal("modules"),
        "[a-z0-9]{1,4}",
        literal("execute"),
        prop::sample::select(vec!["", "/", "?a=b", ";v=1", "#x"]),
        prop::sample::select(vec!["", "http://shop.example"]),
    )
        .prop_map(|(slashes, modules, id, execute, end, host)| {
            // A host ends at a slash of the usual kind.
            let first = if host.is_empty() { slashes[0] } else { "/" };
            format!(
                "{host}{first}{modules}{}{id}{}{execute}{end}",
                slashes[1], slashes[2]
            )
        })
}

proptest! {
    // GRD-04: whatever way it is written, it is guarded.
    #[test]
    fn no_spelling_of_a_guarded_path_slips_by(path in respelled()) {
        let asked = Asked::new();
        let found = asked.guard.find("POST", &path).map(|guarded| guarded.route.path.clone());
        prop_assert_eq!(found.as_deref(), Some("/modules/:moduleId/execute"), "{}", path);
    }

    #[test]
    fn any_path_is_decided(method in "[A-Z]{0,6}", path in ".{0,40}|[/%.a-z0-9]{0,40}") {
        let asked = Asked::new();
        if let Some(guarded) = asked.guard.find(&method, &path) {
            let verdict = guarded.decide(None, &Units::default());
            prop_assert!(verdict != Verdict::Open, "{:?}", verdict);
        }
    }
}
