//! Several web components are one release: a user meets all of them in one version.

use crate::world::{Shop, ask, ends, first, phase, plane, program, promote};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::process::built_binary;
use std::collections::BTreeMap;

fn component(plane: &ControlPlane, component: &str, version: &str) {
    let app = built_binary("esclusa-demo-app").unwrap();
    let app = app.display();
    let script =
        format!("#!/bin/sh\nexec {app} --port \"$1\" --version-name {component}-{version}\n");
    let folder = plane.work().join(component).join(version);
    program(&folder.join("start"), &script);
}

fn plan(shop: &Shop, stages: &str) -> String {
    let part = |name: &str, route: &str| {
        format!(
            r#"  {name}:
    {route}
    artifact: ./{name}/${{version}}
    process: {{ command: ["${{dir}}/start", "${{port}}"], ready: {{ http: /health, within: 2m }} }}
"#
        )
    };
    let Shop { name, port } = shop;
    format!(
        "esclusa: 1\nservice: {name}\n\
         route: {{ listen: 127.0.0.1:{port}, sticky: [header:x-tenant-id] }}\n\
         components:\n{}{}\
         requires: [ {{ http: {{ url: \"${{canary.api}}/health\" }} }} ]\n{stages}",
        part("site", "kind: web"),
        part("api", "route: { path: /api }"),
    )
}

/// Which versions each tenant meets at the site and at the api.
async fn met(shop: &Shop) -> BTreeMap<(String, String), u32> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut seen = BTreeMap::new();
    for n in 0..60 {
        let version = async |path: &str| {
            let answer = client
                .get(format!("http://127.0.0.1:{}{path}", shop.port))
                .header("x-tenant-id", format!("tenant-{n}"))
                .send()
                .await
                .unwrap();
            let header = answer.headers()["x-demo-version"].to_str();
            header.unwrap().to_owned()
        };
        let pair = (version("/cart").await, version("/api/items").await);
        *seen.entry(pair).or_default() += 1;
    }
    seen
}

// TRF-18
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_meets_all_components_in_one_version() {
    let (plane, shop) = (plane(), Shop::new("parts"));
    for version in ["v1", "v2"] {
        component(&plane, "site", version);
        component(&plane, "api", version);
    }
    let plain = plan(&shop, "stages: [ { to: 100%, watch: 1s } ]\n");
    first(&plane, &plain, "v1").await;
    let pair = |v: &str| (format!("site-{v}"), format!("api-{v}"));
    assert_eq!(met(&shop).await, BTreeMap::from([(pair("v1"), 60)]));

    let halves = "stages: [ { to: 50%, for: 10m }, { to: 100%, watch: 10m } ]\n";
    let release = plane.release(&plan(&shop, halves), "v2").await;
    phase(&plane, &release, "stage 1").await;
    plane
        .until(&release, crate::world::LONG, |view| {
            view["share_confirmed"] == true
        })
        .await;
    let seen = met(&shop).await;
    assert!(seen.keys().eq([&pair("v1"), &pair("v2")]), "{seen:?}");
    promote(&plane, &release).await;
    ends(&plane, &release, "promoted_early").await;
    assert_eq!(met(&shop).await, BTreeMap::from([(pair("v2"), 60)]));
    ask(&plane, &release, "rollback").await;
    ends(&plane, &release, "rolled_back").await;
    assert_eq!(met(&shop).await, BTreeMap::from([(pair("v1"), 60)]));
}
