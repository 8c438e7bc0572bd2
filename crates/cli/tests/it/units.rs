//! The units that are shipped, on a machine that a real systemd runs: restarts and a
//! power failure under load.
//!
//! Where no systemd can be run, the same is shown by `reboot` and `survival` without it.

use crate::care::{instance, only, serves, until_served};
use crate::world::{ERRORS_ONLY, LONG, Shop, ends, esclusa, phase, version};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::systemd::Machine;
use esclusa_testkit::{ports, wait_until};

/// A machine, or a word on why there is none.
fn machine() -> Option<Machine> {
    match Machine::new() {
        Ok(machine) => Some(machine),
        Err(why) => {
            eprintln!("not shown with systemd on this machine: {why}");
            None
        }
    }
}

/// A shipped unit, for this binary and this data folder.
fn unit(name: &str, plane: &ControlPlane, more: &str) -> String {
    let path = format!(
        "{}/../../packaging/systemd/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).expect("the unit");
    let own = ["User=", "StateDirectory", "AmbientCapabilities="];
    let lines = text
        .lines()
        .filter(|line| !own.iter().any(|own| line.starts_with(own)));
    lines
        .map(|line| match line.strip_prefix("ExecStart=") {
            Some(command) => {
                let command = command
                    .replace("/usr/bin/esclusa", &esclusa().display().to_string())
                    .replace("/var/lib/esclusa", &plane.data().display().to_string());
                format!("ExecStart={command} {more}\n")
            }
            None => format!("{line}\n"),
        })
        .collect()
}

fn main_pid(machine: &Machine, unit: &str) -> String {
    machine
        .systemctl(&["show", "--property=MainPID", "--value", unit])
        .expect("it answers")
}

// Mission 6, RBK-06, TRF-10: traps 13, 16 and 37.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shipped_units_survive_a_restart_and_a_power_failure() {
    let Some(mut machine) = machine() else { return };
    let port = ports::free_port().expect("a port");
    let plane = ControlPlane::kept_by_others(esclusa(), port);
    let shop = Shop::new("shop");
    version(&plane, "unit-v1", "");
    version(&plane, "unit-v2", "");
    let serve = unit(
        "esclusa.service",
        &plane,
        &format!("--dev --listen 127.0.0.1:{port}"),
    );
    machine.enable("esclusa.service", &serve);
    machine.enable(
        "esclusa-proxy.service",
        &unit("esclusa-proxy.service", &plane, ""),
    );
    machine.boot().await;
    plane
        .until_ready()
        .await
        .unwrap_or_else(|why| panic!("{why}\n{}", machine.console()));
    shop.first(&plane, "unit-v1").await;
    let (_, ready) = plane.get("/readyz").await;
    assert_eq!(ready["proxy_kept_by"], "others", "{ready:#}");
    assert_eq!(ready["warnings"], serde_json::json!([]), "{ready:#}");

    let plan = shop.plan(&format!(
        "{ERRORS_ONLY}stages: [ {{ to: 25%, for: 40s }}, {{ to: 100%, watch: 5s }} ]\n"
    ));
    let release = plane.release(&plan, "unit-v2").await;
    let load = shop.load(60.0);
    phase(&plane, &release, "stage 1").await;

    // A restart of the control plane: nothing that serves users is touched.
    let before = (only("unit-v1").await, only("unit-v2").await);
    let units = || ["esclusa.service", "esclusa-proxy.service"].map(|u| main_pid(&machine, u));
    let [serve_before, proxy_before] = units();
    machine
        .systemctl(&["restart", "esclusa.service"])
        .expect("restarted");
    let [serve_after, proxy_after] = units();
    assert_ne!(serve_before, serve_after);
    assert_eq!(proxy_before, proxy_after);
    assert_eq!((only("unit-v1").await, only("unit-v2").await), before);
    plane.until_ready().await.expect("ready");
    phase(&plane, &release, "stage 1").await;
    let so_far = load.snapshot();
    assert_eq!((so_far.failed, so_far.not_sent), (0, 0), "{so_far}");

    // A power failure: units alone bring everything back.
    machine.power_failure();
    assert!(!serves(&shop, "unit-v1").await);
    machine.boot().await;
    until_served(&shop, "unit-v1").await;
    plane
        .until_ready()
        .await
        .unwrap_or_else(|why| panic!("{why}\n{}", machine.console()));
    let alive = load.snapshot();
    let both = wait_until("both versions", LONG, async || {
        let now = load.snapshot();
        let more = |version| now.requests_of(version) > alive.requests_of(version) + 10;
        (more("unit-v1") && more("unit-v2")).then_some(now)
    });
    let since = both.await.unwrap();
    ends(&plane, &release, "promoted").await;
    let load = load.stop().await;
    assert_eq!(
        load.failed, since.failed,
        "failures after the recovery: {load}"
    );
    assert!(load.by_version["unit-v2"].last_sent_ms > load.by_version["unit-v1"].last_sent_ms);
}

// A unit as many are written, without a word on how it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_would_end_versions_is_warned_of_and_does_not() {
    let Some(mut machine) = machine() else { return };
    let port = ports::free_port().expect("a port");
    let plane = ControlPlane::kept_by_others(esclusa(), port);
    let shop = Shop::new("shop");
    version(&plane, "plain-v1", "");
    let command = format!(
        "{} serve --dev --listen 127.0.0.1:{port} --data {}",
        esclusa().display(),
        plane.data().display()
    );
    machine.enable(
        "plain.service",
        &format!("[Service]\nExecStart={command}\n"),
    );
    machine.boot().await;
    plane
        .until_ready()
        .await
        .unwrap_or_else(|why| panic!("{why}\n{}", machine.console()));
    shop.first(&plane, "plain-v1").await;
    let (_, ready) = plane.get("/readyz").await;
    let warnings = ready["warnings"].to_string();
    assert!(
        warnings.contains("set KillMode=process") && warnings.contains("OOMPolicy=continue"),
        "{ready:#}"
    );
    let (version, proxy) = (only("plain-v1").await, ready["proxy_pid"].clone());
    machine
        .systemctl(&["restart", "plain.service"])
        .expect("restarted");
    plane.until_ready().await.expect("ready");
    assert_eq!(only("plain-v1").await, version);
    instance(&plane, "stable", |one| one["state"] == "up").await;
    let (_, ready) = plane.get("/readyz").await;
    assert_eq!(ready["proxy_pid"], proxy, "{ready:#}");
    assert!(serves(&shop, "plain-v1").await);
}
