//! What a guard costs a request that a proxy carries: twenty guarded routes, a tenant by a
//! header, a flag that half of the tenants have.

use crate::measure::{Cost, alone};
use esclusa_flags::{FlagSet, Guard, GuardRequest, Snapshot, Verdict};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::hint::black_box;

const ROUTES: usize = 20;

struct Request {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    tenant: &'static str,
}

impl GuardRequest for Request {
    fn host(&self) -> &str {
        "shop.example"
    }
    fn path(&self) -> &str {
        self.path
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "x-tenant").then_some(Cow::Borrowed(self.tenant))
    }
    fn claim(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

const REQUESTS: [Request; 3] = [
    Request {
        name: "fits no route",
        method: "GET",
        path: "/catalogue/items/4711?page=2",
        tenant: "on",
    },
    Request {
        name: "fits the last, its flag is on",
        method: "POST",
        path: "/reports/19/generate",
        tenant: "on",
    },
    Request {
        name: "fits the last, its flag is off",
        method: "POST",
        path: "/reports/19/generate",
        tenant: "off",
    },
];

fn set() -> Value {
    let routes: Vec<Value> = (0..ROUTES)
        .map(|n| json!({ "method": "POST", "path": format!("/reports/{n}/:what"), "flag": "exec" }))
        .collect();
    json!({
        "environments": ["production"],
        "flags": { "exec": { "type": "boolean", "environments": { "production": {
            "tenants": { "on": "on", "off": "off" },
            "rules": [{ "share": { "of": "tenant", "basis-points": 5000 }, "variant": "on" }],
        } } } },
        "guards": { "shop": { "environment": "production",
            "tenant": [{ "header": "x-tenant" }], "routes": routes } },
    })
}

/// One request after the other.
pub(crate) fn measured(runs: usize) -> Result<Vec<(&'static str, Cost)>, String> {
    let set = FlagSet::from_json(set()).map_err(|error| error.to_string())?;
    let snapshot = Snapshot::compile(&set, "production").map_err(|e| format!("{e:?}"))?;
    let definition = set.guards.get("shop").ok_or("there is no guard")?;
    let guard = Guard::compile("shop", definition).map_err(|e| format!("{e:?}"))?;
    let decide = |request: &Request| {
        let found = guard.find(request.method, request.path)?;
        Some(found.decide(Some(&snapshot), &guard.units(request)))
    };
    // What is measured must be what it is called.
    let decided = REQUESTS.each_ref().map(decide);
    let [None, Some(Verdict::Open), Some(Verdict::Closed { .. })] = decided else {
        return Err(format!("the guard decides otherwise: {decided:?}"));
    };
    let cost = |request: &'static Request| {
        let mut side = |times: u32| {
            for _ in 0..times {
                black_box(decide(black_box(request)));
            }
        };
        (request.name, alone(runs, 8, &mut side))
    };
    Ok(REQUESTS.iter().map(cost).collect())
}
