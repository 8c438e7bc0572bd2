//! The steps of the example for GitHub Actions, run as they stand there.

use crate::world::{ERRORS_ONLY, FIRST, Shop, program, version};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::process::built_binary;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const SHA: &str = "4f0c2d9b8a7e6f5d4c3b2a190817263544536271";

/// Nothing asked is no pass.
const ASKED: &str = "requires: [ { command: { run: [\"true\"] } } ]\n";

/// One step of the job that runs a command.
#[derive(Debug)]
struct Step {
    name: String,
    run: String,
    always: bool,
}

fn example() -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/github-actions/release.yml");
    let text = std::fs::read_to_string(path).expect("read");
    serde_saphyr::from_str(&text).expect("YAML")
}

fn steps(workflow: &Value) -> Vec<Step> {
    let steps = workflow["jobs"]["release"]["steps"]
        .as_array()
        .expect("steps");
    let own = steps.iter().filter_map(|step| {
        Some(Step {
            run: step["run"].as_str()?.to_owned(),
            name: step["name"].as_str()?.to_owned(),
            always: step["if"] == "always()",
        })
    });
    own.collect()
}

/// Runs the job's commands; the first that failed, and the names of those that ran.
fn run_job(plane: &ControlPlane, url: &str) -> (Option<(String, i32)>, Vec<String>) {
    let work = plane.work();
    let bin = work.join("bin");
    std::fs::create_dir_all(&bin).expect("created");
    let link = bin.join("esclusa");
    if !link.exists() {
        std::os::unix::fs::symlink(crate::world::esclusa(), link).expect("linked");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let (mut failed, mut ran) = (None, Vec::new());
    for step in steps(&example()) {
        if failed.is_some() && !step.always {
            continue;
        }
        let command = step.run.replace("${{ github.sha }}", SHA);
        assert!(!command.contains("${{"), "{command}");
        let output = Command::new("bash")
            .args(["-e", "-c", &command])
            .current_dir(&work)
            .env_clear()
            .env("HOME", &work)
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("ESCLUSA_SERVER", url)
            .env("GITHUB_STEP_SUMMARY", work.join("summary.md"))
            .output()
            .expect("bash runs");
        ran.push(step.name.clone());
        if !output.status.success() && failed.is_none() {
            failed = Some((step.name, output.status.code().unwrap_or(-1)));
        }
    }
    (failed, ran)
}

fn build_script(plane: &ControlPlane, more: &str) {
    let app = built_binary("esclusa-demo-app").expect("built");
    let script = format!(
        "#!/bin/sh\nset -eu\nmkdir -p \"dist/$1\"\n\
         printf '#!/bin/sh\\nexec {} --port \"$1\" --version-name new {more}\\n' > \"dist/$1/start\"\n\
         chmod +x \"dist/$1/start\"\n",
        app.display()
    );
    program(&plane.work().join("build.sh"), &script);
}

fn plan_path(plane: &ControlPlane) -> PathBuf {
    plane.work().join("esclusa.yaml")
}

// PIP-01, PIP-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_steps_of_the_example_release_and_keep_a_report() {
    let (plane, shop) = (crate::world::plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    shop.first(&plane, "v1").await;
    let quick = "stages: [ { to: 50%, for: 1s }, { to: 100%, watch: 1s } ]\n";
    std::fs::write(
        plan_path(&plane),
        shop.plan(&format!("{ERRORS_ONLY}{ASKED}{quick}")),
    )
    .expect("written");
    build_script(&plane, "");
    let load = shop.load(40.0);
    let url = plane.url().to_owned();
    let (failed, ran) = tokio::task::block_in_place(|| run_job(&plane, &url));
    load.stop().await;
    assert_eq!(failed, None, "{}", plane.log());
    assert_eq!(ran.len(), steps(&example()).len());
    let report = std::fs::read_to_string(plane.work().join("release.json")).expect("kept");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(
        (&report["verdict"], &report["version"]["name"]),
        (&"proceed".into(), &SHA.into())
    );
    let summary = std::fs::read_to_string(plane.work().join("summary.md")).expect("said");
    assert!(summary.contains("promoted"), "{summary}");
}

// PIP-10: a pipeline sees by the code that it came back, and keeps the report all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_does_not_start_fails_the_job_and_is_reported() {
    let (plane, shop) = (crate::world::plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    shop.first(&plane, "v1").await;
    std::fs::write(plan_path(&plane), shop.plan(&format!("{ASKED}{FIRST}"))).expect("written");
    let script = "#!/bin/sh\nmkdir -p \"dist/$1\"\nprintf '#!/bin/sh\\nexit 7\\n' > \"dist/$1/start\"\n\
                  chmod +x \"dist/$1/start\"\n";
    program(&plane.work().join("build.sh"), script);
    let url = plane.url().to_owned();
    let (failed, ran) = tokio::task::block_in_place(|| run_job(&plane, &url));
    assert_eq!(failed, Some(("Release".to_owned(), 6)), "{}", plane.log());
    assert_eq!(ran.last().map(String::as_str), Some("Say how it ended"));
    let report = std::fs::read_to_string(plane.work().join("release.json")).expect("kept");
    assert!(report.contains("refused"), "{report}");
}

// PIP-01: only what touches the service begins a release.
#[test]
fn a_push_elsewhere_begins_nothing() {
    let workflow = example();
    let paths = workflow["on"]["push"]["paths"]
        .as_array()
        .expect("a filter");
    assert!(!paths.is_empty());
    assert_eq!(workflow["on"]["push"]["branches"][0], "main");
}
