//! What the judge says of real requests that a real proxy counted: harms that only a
//! comparison finds come back with their cause, and what is nobody's fault goes on.
//!
//! Several services share a control plane, so that their watches pass at the same time.

use crate::world::{
    ERRORS_ONLY, LONG, Shop, break_version, ends, events, phase, plane, url, version,
};
use esclusa_testkit::load::{Load, LoadConfig, LoadHandle};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;
use http::HeaderValue;
use serde_json::Value;

/// Half of the users until the judge decides.
const HALF: &str = "stages: [ { to: 50%, for: 10m }, { to: 100%, watch: 10m } ]\n";
/// Slow enough that a busy machine's own delays are small beside it.
const CALM: &str = "--latency 250ms";

struct Served {
    shop: Shop,
    /// The release of its stable version.
    stable: String,
    load: LoadHandle,
}

/// A service whose stable version serves `load`, which brings the judge a past.
async fn served(plane: &ControlPlane, name: &str, usual: &str, rate: f64) -> Served {
    let shop = Shop::new(name);
    let first = format!("{name}-v1");
    version(plane, &first, usual);
    let stable = shop.first(plane, &first).await;
    let load = shop.load(rate);
    until_sent(&load, 20.0 * rate).await;
    Served { shop, stable, load }
}

async fn until_sent(load: &LoadHandle, requests: f64) {
    let wanted = load.snapshot().sent + requests as u64;
    wait_until("past traffic", LONG, async || {
        (load.snapshot().sent >= wanted).then_some(())
    })
    .await
    .unwrap();
}

/// Releases a second version that behaves like this.
async fn released(plane: &ControlPlane, shop: &Shop, plan: &str, canary: &str) -> String {
    let second = format!("{}-v2", shop.name);
    version(plane, &second, canary);
    plane.release(&shop.plan(plan), &second).await
}

/// The labels of the causes that a recorded verdict names.
fn labels(verdict: &Value) -> Vec<&str> {
    let causes = verdict["causes"].as_array();
    let each = causes.into_iter().flatten();
    each.filter_map(|cause| cause["label"].as_str()).collect()
}

/// The release was returned by the judge; gives the verdict, which judging its recording
/// again says too.
pub(crate) async fn returned(plane: &ControlPlane, release: &str) -> Value {
    ends(plane, release, "rolled_back").await;
    let decided = events(plane, release, "return_decided").await;
    let decided = &decided[0]["payload"];
    assert_eq!(decided["cause"], "judge", "{decided:#}");
    let verdict = decided["evidence"]["verdict"].clone();

    let (code, lines) = replayed(plane, release, &[]);
    let first = lines.iter().find(|line| line["verdict"] == "ROLLBACK");
    let first = first.unwrap_or_else(|| panic!("{code}: {lines:#?}\n{verdict:#}"));
    assert_eq!(code, 20);
    assert_eq!(first["reason"], decided["evidence"]["code"], "{first:#}");
    assert_eq!(first["log_e"], verdict["log_e"], "{first:#}");
    assert_eq!(labels(first), labels(&verdict), "{first:#}");
    verdict
}

/// The command on this server: exit code and standard output.
fn command(plane: &ControlPlane, words: &[&str]) -> (i32, String) {
    let mut command = super::esclusa(&plane.work());
    command.args(["--server", plane.url()]).args(words);
    let done = tokio::task::block_in_place(|| command.output()).expect("runs");
    let (code, data, talk) = super::told(&done);
    assert!(code != 1 && code != 2, "{words:?}: {talk}");
    (code, data)
}

/// What the judge says of a stored release, with its own settings or others.
fn replayed(plane: &ControlPlane, release: &str, more: &[&str]) -> (i32, Vec<Value>) {
    let words = [&["judge", "replay", "--release", release], more].concat();
    let (code, data) = command(plane, &words);
    let lines = data
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    (code, lines.collect())
}

// CAN-03, CAN-14: a canary that never answers has no answers to compare.
async fn hanging(plane: &ControlPlane) {
    let Served { shop, load, .. } = served(plane, "hanging", "", 40.0).await;
    let release = released(plane, &shop, HALF, "--behaviour hanging").await;
    let verdict = returned(plane, &release).await;
    assert!(
        verdict["canary"]["requests"].as_u64().is_some(),
        "{verdict:#}"
    );
    drop(load);
}

// ALR-03: client errors are nobody's failure, and everybody's when only the canary has them.
async fn not_found(plane: &ControlPlane) {
    let Served { shop, load, .. } = served(plane, "lost", "", 40.0).await;
    let release = released(plane, &shop, HALF, "--behaviour not-found").await;
    let verdict = returned(plane, &release).await;
    assert_eq!(verdict["causes"][0]["metric"], "4xx", "{verdict:#}");
    let load = load.stop().await;
    assert!(load.by_version["lost-v2"].failed > 0, "{load}");
    // Another setting would not have caught it.
    let deaf = plane.work().join("deaf.yaml");
    std::fs::write(&deaf, "judge: { alpha: { rollback: 0.000001% } }\n").unwrap();
    let (code, lines) = replayed(plane, &release, &["--config", &deaf.display().to_string()]);
    assert_eq!(code, 10, "{lines:#?}");
    // The recording is the same one in a file.
    let file = plane.work().join("lost.jsonl").display().to_string();
    command(plane, &["release", "record", &release, "--out", &file]);
    let (code, words) = command(plane, &["judge", "explain", &file]);
    assert!(code == 20 && words.contains("4xx answers"), "{words}");
}

/// One of twelve tenants that are all heavy.
fn tenant(shop: &Shop, number: usize) -> LoadHandle {
    let name = HeaderValue::try_from(format!("tenant-{number}")).unwrap();
    let mut requests = LoadConfig::on(shop.address()).requests;
    for request in &mut requests {
        request.headers.insert("x-tenant-id", name.clone());
    }
    let config = LoadConfig {
        requests,
        users: 1,
        seed: number as u64,
        ..shop.load_config(4.0)
    };
    Load::start(config).expect("a load")
}

// CAN-04: the failures of one user are the canary's where stable served that user well.
async fn one_tenant(plane: &ControlPlane) {
    let shop = Shop::new("tenants");
    let sticky = |stages: &str| {
        let plan = shop.plan(stages);
        plan.replace(
            "listen: ",
            "sticky: ['header:x-tenant-id', cookie], listen: ",
        )
    };
    version(plane, "tenants-v1", "");
    version(plane, "tenants-v2", "--behaviour one-person");
    crate::world::first(plane, &sticky(crate::world::FIRST), "tenants-v1").await;
    let others = shop.load(20.0);
    let tenants: Vec<LoadHandle> = (0..12).map(|number| tenant(&shop, number)).collect();
    until_sent(&others, 400.0).await;
    let release = plane.release(&sticky(HALF), "tenants-v2").await;
    let verdict = returned(plane, &release).await;
    assert!(labels(&verdict).contains(&"errors"), "{verdict:#}");
    // Everybody else was served well, by both versions, before and after.
    let mut failed = Vec::new();
    for load in tenants {
        failed.push(load.stop().await.failed);
    }
    let one = failed.iter().filter(|failed| **failed > 0).count();
    assert_eq!((one, others.stop().await.failed), (1, 0), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harms_without_a_5xx_for_everybody_come_back() {
    let plane = plane();
    tokio::join!(hanging(&plane), not_found(&plane), one_tenant(&plane));
}

// CAN-09: what a dependency does to both versions holds the release, and is not its fault.
async fn shared_fault(plane: &ControlPlane) {
    let Served { shop, stable, load } = served(plane, "shared", "", 60.0).await;
    let stages = "stages: [ { to: 50%, for: 40s }, { to: 100%, watch: 2s } ]\n";
    let release = released(plane, &shop, &format!("{ERRORS_ONLY}{stages}"), "").await;
    phase(plane, &release, "stage 1").await;
    let stable = url(plane, &stable).await;
    let canary = url(plane, &release).await;
    until_sent(&load, 300.0).await;
    for version in [&stable, &canary] {
        break_version(version, 0.3).await;
    }
    let held = wait_until("the cause", LONG, async || {
        let judged = events(plane, &release, "judged").await;
        judged.into_iter().find_map(|event| {
            let verdict = event["payload"]["verdict"].clone();
            labels(&verdict)
                .contains(&"shared_dependency")
                .then_some(verdict)
        })
    });
    let held = held.await.unwrap_or_else(|_| panic!("{}", plane.log()));
    assert_eq!(held["decision"], "HOLD", "{held:#}");
    for version in [&stable, &canary] {
        break_version(version, 0.0).await;
    }
    ends(plane, &release, "promoted").await;
    let load = load.stop().await;
    assert!(load.by_version["shared-v1"].failed > 0, "{load}");
    assert!(load.by_version["shared-v2"].failed > 0, "{load}");
}

// CAN-06, CAN-16: little traffic proves little, and the release says how little.
async fn one_request_a_second(plane: &ControlPlane) {
    let Served { shop, load, .. } = served(plane, "quiet", "", 1.0).await;
    let plan = "judge: { floor: { min-requests: 20 }, bake: { min-requests: 20 } }\n\
                stages: [ { to: 50%, for: 30s }, { to: 100%, watch: 2s } ]\n";
    let release = released(plane, &shop, plan, "").await;
    ends(plane, &release, "promoted").await;
    let advanced = events(plane, &release, "advanced").await;
    let why = |event: &Value| {
        event["payload"]["why"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let proved = advanced
        .iter()
        .map(why)
        .find(|why| why.contains("proved: "));
    let proved = proved.unwrap_or_else(|| panic!("{advanced:#?}"));
    assert!(!proved.contains("proved: nothing"), "{proved}");
    drop(load);
    // What was counted says what the next release can see.
    let file = crate::world::plan_file(plane, &shop.plan(plan))
        .display()
        .to_string();
    let (code, data) = command(plane, &["plan", "show", &file, "--json"]);
    let shown: Value = serde_json::from_str(&data).expect("JSON");
    let power = &shown["power"];
    let rps = power["traffic"]["rps"]
        .as_f64()
        .unwrap_or_else(|| panic!("{power:#}"));
    assert!(code == 0 && (0.3..3.0).contains(&rps), "{power:#}");
    assert_eq!(power["stages"][0]["lacks"]["kind"], "requests", "{power:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_the_canarys_fault_goes_on() {
    let plane = plane();
    tokio::join!(shared_fault(&plane), one_request_a_second(&plane));
}

// CAN-05: two requests of a hundred are slow, and no mean or median shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thin_tail_comes_back_as_a_tail() {
    let plane = plane();
    let Served { shop, load, .. } = served(&plane, "tail", CALM, 160.0).await;
    let canary = format!("{CALM} --behaviour tail --slow-factor 8");
    let release = released(&plane, &shop, HALF, &canary).await;
    let verdict = returned(&plane, &release).await;
    assert_eq!(labels(&verdict).first(), Some(&"tail"), "{verdict:#}");
    assert_eq!(load.stop().await.failed, 0);
}
