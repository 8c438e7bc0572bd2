//! The example with six flags, as it stands in the repository: a fault that only users of a
//! feature meet, and a feature that is too heavy.

use super::Scene;
use crate::world::{FIRST, LONG, program};
use esclusa_testkit::{ports, wait_until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/exec-reports")
}

fn file(name: &str) -> String {
    std::fs::read_to_string(example().join(name)).expect("the example has it")
}

fn flags() -> Value {
    serde_json::from_str(&file("flags.json")).expect("JSON")
}

/// The example at work, with load on it.
struct Reports {
    scene: Scene,
    port: u16,
    load: Option<Child>,
}

impl Reports {
    /// Releases the service with a planted fault. Nothing fails as long as flags are off.
    fn start(flags: &Value, fault: &str) -> Self {
        let port = ports::free_port().expect("a port");
        let flags = flags
            .to_string()
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
        let scene = Scene::start(&serde_json::from_str(&flags).expect("JSON"), &[]);
        let app = example();
        let app = app.display();
        let script = format!("#!/bin/sh\nFAULTS=\"{fault}\" exec node {app}/src/main.js \"$1\"\n");
        program(&scene.plane.work().join("dist/1.0.0/start"), &script);
        let reports = Self {
            scene,
            port,
            load: None,
        };
        let (plan, _) = file("esclusa.yaml")
            .split_once("stages:")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("it has stages");
        reports.releases("esclusa.yaml", &format!("{plan}{FIRST}"), 0);
        reports
    }

    /// Runs a plan of the example to its end, with the ports of this test.
    fn releases(&self, name: &str, plan: &str, code: i32) {
        let plan = plan
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", self.port))
            .replace("127.0.0.1:8016", &format!("127.0.0.1:{}", self.scene.port));
        std::fs::write(self.scene.plane.work().join(name), plan).expect("written");
        let asked = [
            "release",
            "start",
            "--plan",
            name,
            "--wait",
            "--timeout",
            "10m",
        ];
        let version: &[&str] = match name {
            "esclusa.yaml" => &["--version", "1.0.0"],
            _ => &[],
        };
        let (ended, said, talk) = self.scene.run(&[&asked[..], version].concat());
        let log = self.scene.plane.log();
        assert_eq!(ended, code, "{said}\n{talk}\n{log}");
    }

    /// Requests of all tenants in turn, so many a second.
    fn load(&mut self, rate: u32) {
        let child = Command::new("node")
            .arg(example().join("load.js"))
            .arg(format!("http://127.0.0.1:{}", self.port))
            .arg(rate.to_string())
            .stdout(Stdio::null())
            .spawn();
        self.load = Some(child.expect("node starts"));
    }

    /// The newest decisions about kills, oldest first: who, and whether it killed.
    fn kills(&self) -> Vec<(String, bool)> {
        let found = self.scene.json(&["flag", "history", "--limit", "50"]);
        let entries = found.as_array().or_else(|| found["entries"].as_array());
        let kill = |entry: &Value| {
            let killed = match entry["kind"].as_str()? {
                "killed" => true,
                "lifted" => false,
                _ => return None,
            };
            Some((entry["actor"].as_str()?.to_owned(), killed))
        };
        let mut kills: Vec<_> = entries.expect("entries").iter().filter_map(kill).collect();
        kills.reverse();
        kills
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        if let Some(mut load) = self.load.take() {
            let _ = load.kill();
            let _ = load.wait();
        }
    }
}

// ROL-06, RBK-02: a flag that fails one of twenty uses is given back at a small ring, by the
// judge, with its variant named; nobody's version moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_that_fails_is_given_back_at_a_small_ring() {
    let mut reports = Reports::start(&flags(), "exec-reports=5%");
    reports.load(150);
    reports.releases("rollout.yaml", &file("rollout.yaml"), 3);
    let scene = &reports.scene;
    let (_, all) = scene.plane.get("/api/v1/releases").await;
    let of_flags = |release: &&Value| release["flags"].is_string();
    let release = all.as_array().and_then(|all| all.iter().find(of_flags));
    let release = release.expect("the rollout");
    assert_eq!(release["outcome"], "rolled_back", "{release:#}");
    let turned = release["flags"].as_str().expect("text");
    assert!(turned.contains("execReportsEnabled on"), "{turned}");
    let because = release["reason"].as_str().expect("a reason");
    assert!(because.contains("the error rate is worse"), "{because}");
    let stages = release["stages"].as_array().expect("stages");
    // Two people of the team, and no tenant, had it before.
    let team = (
        &stages[0]["reached"]["tenants"],
        &stages[0]["reached"]["people"],
    );
    assert_eq!(team, (&json!(0), &json!(2)), "{stages:#?}");
    let left = |stage: &&Value| stage["left_because"] == because;
    let stage = stages.iter().find(left).expect("it was left for that");
    assert!(stage["to"] == "5%" || stage["to"] == "25%", "{stage:#}");
    let tenants = [("5%", 50), ("25%", 250)].map(|(to, n)| (json!(to), json!(n)));
    let reached = (stage["to"].clone(), stage["reached"]["tenants"].clone());
    assert!(tenants.contains(&reached), "{reached:?}");

    // Nobody has it, nothing of it is left in the set, and the version serves everybody.
    assert_eq!(
        scene.counts("execReportsEnabled"),
        [("off".to_owned(), 1_000)]
    );
    assert_eq!(scene.json(&["flag", "status"])["revision"], 1);
    assert_eq!(reports.kills(), []);
    let (_, service) = scene.plane.get("/api/v1/services/reports").await;
    let instances = service["instances"].as_array().expect("instances");
    assert!(!instances.is_empty(), "{service:#}");
    for one in instances {
        assert_eq!(
            (&one["version"], &one["role"]),
            (&json!("1.0.0"), &json!("stable"))
        );
    }
    assert_eq!(release["stable"]["name"], "1.0.0", "{release:#}");
}

// RBK-03, RBK-07, RBK-23, BLD-09: a feature that is too heavy is off by itself, and stays off when it was
// tried again and is as heavy as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heavy_feature_is_turned_off_by_a_rule_that_does_not_flap() {
    let mut set = flags();
    set["standing-rules"] = json!({ "council-is-heavy": {
        "service": "reports",
        "routes": ["POST /reports/master/:configurationId/generate"],
        "when": { "p95": { "above-ms": 1000 } },
        "over-s": 10, "at-least": 30, "cool-down-s": 10,
        "lift-after-s": 10, "lifts-a-day": 1,
        "kill": { "flags": ["councilSynthesisEnabled"] },
    } });
    for name in [
        "execReportsEnabled",
        "masterReportsEnabled",
        "reportsApiEnabled",
        "consolidationEnabled",
        "councilSynthesisEnabled",
    ] {
        set["flags"][name]["default"] = json!("on");
    }
    let mut reports = Reports::start(&set, "council=3000ms");
    reports.load(80);
    let rule = |killed: bool| ("standing-rule".to_owned(), killed);
    let waited = wait_until("the rule's second act", LONG, async || {
        (reports.kills().len() >= 3).then_some(())
    });
    waited.await.expect("it acts");
    // Longer than its window and its pause together.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(reports.kills(), [rule(true), rule(false), rule(true)]);
    let rules = reports.scene.json(&["flag", "rules"]);
    let all = rules.as_array().expect("a list");
    let heavy = all.iter().find(|one| one["name"] == "council-is-heavy");
    assert_eq!(heavy.expect("it is shown")["killed"], true, "{rules:#}");
    // What it is a part of goes on for everybody.
    let everybody = |variant: &str| [(variant.to_owned(), 1_000)];
    assert_eq!(
        reports.scene.counts("councilSynthesisEnabled"),
        everybody("off")
    );
    assert_eq!(
        reports.scene.counts("masterReportsEnabled"),
        everybody("on")
    );
}
