//! Numbers that no proxy counts: a real Prometheus that reads both versions' processes,
//! and dies.

use crate::verdicts::returned;
use crate::world::{LONG, Shop, ends, events, phase, plane, program};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::process::built_binary;
use esclusa_testkit::{ports, wait_until};
use std::process::{Child, Command, Stdio};

/// Reads every process that has written where it answers into the folder of targets.
struct Prometheus {
    child: Child,
    url: String,
}

impl Prometheus {
    fn start(plane: &ControlPlane) -> Self {
        let folder = plane.work().join("prometheus");
        std::fs::create_dir_all(folder.join("targets")).expect("a folder");
        let config = "global: { scrape_interval: 500ms, scrape_timeout: 400ms }\n\
                      scrape_configs:\n- job_name: shop\n  file_sd_configs:\n  - files: [ 'targets/*.json' ]\n    \
                      refresh_interval: 1s\n";
        std::fs::write(folder.join("prometheus.yml"), config).expect("written");
        let address = format!("127.0.0.1:{}", ports::free_port().expect("a port"));
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let child = Command::new("prometheus")
            .current_dir(&folder)
            .arg("--config.file=prometheus.yml")
            .arg(format!("--web.listen-address={address}"))
            .arg("--storage.tsdb.path=data")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus runs; `make setup` installs it");
        let url = format!("http://{address}");
        Self { child, url }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A version that tells Prometheus where it answers, and has a queue of this depth.
fn version(plane: &ControlPlane, name: &str, queue: u32) {
    let app = built_binary("esclusa-demo-app").expect("the demo app is built");
    let targets = plane.work().join("prometheus/targets");
    let script = format!(
        "#!/bin/sh\nprintf '[{{\"targets\":[\"127.0.0.1:%s\"]}}]' \"$1\" > {targets}/{name}.new\n\
         mv {targets}/{name}.new {targets}/{name}.json\n\
         exec {app} --port \"$1\" --version-name {name} --queue-depth {queue}\n",
        app = app.display(),
        targets = targets.display(),
    );
    program(&plane.work().join("dist").join(name).join("start"), &script);
}

fn plan(shop: &Shop, prometheus: &Prometheus) -> String {
    let url = &prometheus.url;
    shop.plan(&format!(
        r#"judge:
  latency: {{ p50: off, p95: off, p99: off }}
  warm-up: {{ arm-s: 1s }}
  bake: {{ min-s: 5s }}
  blind: {{ hold: 20s, then: rollback }}
  series:
    - name: queue_depth
      source:
        prometheus: {{ url: "{url}", query: 'demo_queue_depth{{version="${{version}}"}}' }}
      every: 1s
      required: true
stages: [ {{ to: 50%, for: 40s }}, {{ to: 100%, watch: 2s }} ]
"#
    ))
}

// MET-10, MET-11, CAN-06, traps 3, 4 and 53.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_required_series_decides_and_its_loss_is_no_pass() {
    let mut plane = plane();
    let mut prometheus = Prometheus::start(&plane);
    version(&plane, "v1", 10);
    version(&plane, "v2", 10);
    version(&plane, "v3", 30);
    version(&plane, "v4", 10);
    let shop = Shop::new("queues");
    shop.first(&plane, "v1").await;
    let _load = shop.load(60.0);
    let plan = plan(&shop, &prometheus);

    // As good as stable's: proved, and promoted.
    let good = plane.release(&plan, "v2").await;
    ends(&plane, &good, "promoted").await;
    let left = events(&plane, &good, "advanced").await;
    let judged = left.iter().find_map(|event| {
        event["payload"]["evidence"]["verdict"]["log_ni"]["queue_depth"].as_f64()
    });
    assert!(judged.is_some_and(|log_ni| log_ni > 2.99), "{left:#?}");

    // Worse: back, and the series is named.
    let bad = plane.release(&plan, "v3").await;
    let view = ends(&plane, &bad, "rolled_back").await;
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("series `queue_depth` is worse"), "{view:#}");
    // Its recording holds the readings, and says the same.
    let evidence = returned(&plane, &bad).await;
    assert_eq!(evidence["causes"][0]["label"], "series", "{evidence:#}");
    assert_eq!(evidence["causes"][0]["metric"], "queue_depth");

    // Nobody tells any more: it holds and says why, also after a restart that remembers
    // what was read before; then the plan's rule sends everybody back.
    let blind = plane.release(&plan, "v4").await;
    phase(&plane, &blind, "stage 1").await;
    wait_until("requests beside readings", LONG, async || {
        (served(&plane, &blind).await >= 400).then_some(())
    })
    .await
    .expect("requests");
    prometheus.kill();
    let pairs = wait_until("a reason to hold", LONG, async || {
        lacking(&plane, &blind).await.filter(|pairs| *pairs >= 3)
    })
    .await
    .expect("it holds");
    plane.restart();
    plane.until_ready().await.expect("ready");
    let after = wait_until("the same after a restart", LONG, async || {
        lacking(&plane, &blind).await
    })
    .await
    .expect("it holds");
    assert_eq!(after, pairs, "what was read before is known");
    let view = ends(&plane, &blind, "rolled_back").await;
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("series `queue_depth` had no values"),
        "{view:#}"
    );
    assert!(reason.contains("unreachable"), "{view:#}");
    let returned = events(&plane, &blind, "return_decided").await;
    assert_eq!(returned[0]["payload"]["cause"], "blind", "{view:#}");
}

/// How many pairs there were when the judge says that nobody answers for the series.
async fn lacking(plane: &ControlPlane, release: &str) -> Option<u32> {
    let view = plane.show(release).await;
    let said = view["judged"].as_str()?;
    let (hold, rest) = said.split_once("series `queue_depth` lacks values: ")?;
    let known = hold == "HOLD: " && said.contains("unreachable");
    rest.split(' ').next()?.parse().ok().filter(|_| known)
}

/// Canary requests that the judge speaks of.
async fn served(plane: &ControlPlane, release: &str) -> u64 {
    let view = plane.show(release).await;
    let said = view["judged"].as_str().unwrap_or_default();
    let (_, rest) = said.split_once("canary failed ").unwrap_or_default();
    let of = rest.split([' ', ',']).nth(2);
    of.and_then(|n| n.parse().ok()).unwrap_or(0)
}
