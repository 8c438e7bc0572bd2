//! Exactly one scheduler acts, through promotion and rollback.

use crate::world::{
    BY_HAND, FIRST, Shop, ask, ends, first, lines, plane, program, promote, runs, version,
};
use esclusa_testkit::demo::VIOLATIONS_FILE;
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::process::built_binary;
use std::path::Path;
use std::time::Duration;

fn scheduler(plane: &ControlPlane, version: &str) {
    let app = built_binary("esclusa-demo-app").unwrap();
    let work = plane.work();
    let script = format!(
        "#!/bin/sh\nexec {} --kind singleton --version-name {version} --ticks {work}/ticks \
         --active-dir {work}/active --every 50ms\n",
        app.display(),
        work = work.display()
    );
    program(&work.join("dist").join(version).join("scheduler"), &script);
}

/// Which processes have their marker up and run.
fn active(folder: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("active-")?
                .parse()
                .ok()
        })
        .filter(|pid| runs(*pid))
        .collect()
}

/// The process of this version that runs and does nothing yet.
async fn stands_by(plane: &ControlPlane, version: &str) -> u32 {
    let found = esclusa_testkit::wait_until("the standby", Duration::from_secs(30), async || {
        lines(&plane.work().join("ticks")).iter().find_map(|line| {
            let rest = line.strip_prefix("track ")?;
            let pid = rest.strip_suffix(&format!(" {version} standby"))?;
            pid.parse().ok()
        })
    });
    let pid = found.await.expect("nobody of this version stands by");
    assert!(runs(pid), "{pid} ended");
    pid
}

/// One acts, it is of this version, and never were there two. Which process it is.
async fn one_acts(plane: &ControlPlane, version: &str) -> u32 {
    let work = plane.work();
    let found = esclusa_testkit::wait_until("the only one", Duration::from_secs(30), async || {
        let [pid] = active(&work.join("active"))[..] else {
            return None;
        };
        let ticks = lines(&work.join("ticks"));
        let last = ticks.iter().rev().find(|line| line.starts_with("tick "))?;
        last.starts_with(&format!("tick {pid} {version} "))
            .then_some(pid)
    });
    let Ok(pid) = found.await else {
        panic!("{version}: {:#?}", lines(&work.join("ticks")));
    };
    let violations = lines(&work.join("active").join(VIOLATIONS_FILE));
    assert!(violations.is_empty(), "{violations:#?}");
    pid
}

// TRF-18
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn singletons_are_handed_over() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    for name in ["v1", "v2"] {
        version(&plane, name, "");
        scheduler(&plane, name);
    }
    let plan = format!(
        "{}{}",
        shop.head(),
        r#"components:
  web:
    artifact: ./dist/${version}
    process: { command: ["${dir}/start", "${port}"], ready: { http: /health, within: 2m } }
  scheduler:
    artifact: ./dist/${version}
    kind: singleton
    process: { command: ["${dir}/scheduler"], track-signal: usr1, drain: 10s }
"#
    );
    first(&plane, &format!("{plan}{FIRST}"), "v1").await;
    one_acts(&plane, "v1").await;
    let load = shop.load(20.0);
    let release = plane.release(&format!("{plan}{BY_HAND}"), "v2").await;
    crate::world::phase(&plane, &release, "stage 1").await;
    // Told by its environment that it stands by, and by the signal when that ends.
    let waiting = stands_by(&plane, "v2").await;
    one_acts(&plane, "v1").await;
    promote(&plane, &release).await;
    ends(&plane, &release, "promoted_early").await;
    assert_eq!(one_acts(&plane, "v2").await, waiting, "it was told");
    ask(&plane, &release, "rollback").await;
    ends(&plane, &release, "rolled_back").await;
    one_acts(&plane, "v1").await;
    let load = load.stop().await;
    assert_eq!(load.failed, 0, "{load}");
}
