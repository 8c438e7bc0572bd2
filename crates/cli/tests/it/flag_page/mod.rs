//! Flags on the page, in a real browser against a real server and proxy: what there is,
//! who has it and why, and changing it, for whoever may.

mod changed;
mod seen;

use super::access::Server;
use super::browser::Browser;
use serde_json::{Value, json};

/// Forty tenants, so that shares of them are whole numbers.
fn set() -> Value {
    let tenants: serde_json::Map<String, Value> =
        (0..40).map(|n| (format!("t{n:02}"), json!({}))).collect();
    json!({
        "environments": ["production", "staging"],
        "attributes": { "country": { "type": "string" } },
        "segments": { "team": { "keys": ["t07"], "of": "tenant" } },
        "tenants": tenants,
        "flags": {
            "reports-api": {
                "type": "boolean", "default": "on", "owner": "reports",
                "project": "reports", "aliases": ["reports"],
            },
            "exec-reports": {
                "type": "boolean", "owner": "reports", "project": "reports",
                "description": "Reports for executives",
                "lifetime": { "kind": "release", "expires": "2020-01-31" },
                "prerequisites": [{ "flag": "reports-api", "variant": "on" }],
                "environments": { "production": { "rules": [
                    { "share": { "of": "tenant", "basis-points": 2500 }, "variant": "on" },
                ] } },
            },
            "search": {
                "type": "boolean", "owner": "shop", "project": "shop",
                "environments": { "production": { "users": { "ana": "on" } } },
            },
            "mail": { "type": "boolean" },
        },
    })
}

/// A release that turns one flag for a part of the tenants, and waits there.
const PLAN: &str = "
esclusa: 1
service: shop
flags: { set: { mail: on }, of: tenant }
judge: { blind: { then: hold } }
stages: [ { to: 25%, for: 1h }, { to: 100%, watch: 1h } ]
";

struct Scene {
    server: Server,
    operator: String,
    viewer: String,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        let file = serde_json::to_string_pretty(&set()).expect("JSON");
        std::fs::write(server.path().join("flags.json"), file).expect("written");
        std::fs::write(server.path().join("esclusa.yaml"), PLAN).expect("written");
        let operator = server.token(&["ana", "--role", "operator"]);
        let viewer = server.token(&["eve", "--role", "viewer"]);
        let scene = Self {
            server,
            operator,
            viewer,
        };
        scene.does(&["flag", "apply", "flags.json", "--yes", "--reason", "first"]);
        scene
    }

    /// The command, as an operator; gives what it says.
    fn does(&self, args: &[&str]) -> String {
        let (code, said, talk) = self.server.remote(&self.operator, args);
        assert_eq!(code, 0, "{args:?}: {said}\n{talk}");
        said
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.does(&[args, &["--json"]].concat());
        serde_json::from_str(&said).expect("JSON")
    }

    /// The tenants that get a variant.
    fn tenants(&self, flag: &str, variant: &str) -> Vec<String> {
        let found = self.json(&["flag", "who", flag, "--environment", "production"]);
        let all = found["variants"].as_array().cloned().unwrap_or_default();
        let one = all.iter().find(|one| one["variant"] == variant);
        let ids = one.and_then(|one| one["tenants"].as_array().cloned());
        let ids = ids.unwrap_or_default();
        ids.iter()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect()
    }

    fn at(&self, address: &str) -> String {
        format!("{}/#/{address}", self.server.url)
    }
}

/// Nobody is shut out, on a desk and on a phone, and nothing is wider than the window.
fn fits_everybody(browser: &mut Browser, what: &str) {
    for (width, height) in [(360, 740), (1280, 900)] {
        browser.size(width, height);
        browser.is_for_everybody(&format!("{what}, {width} wide"));
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert_eq!(wide, width, "{what}");
    }
}
