//! Two published versions of somebody else's server, as they are.

use crate::world::{Shop, ends, esclusa, first};
use esclusa_testkit::load::{Load, LoadConfig, RequestTemplate};
use esclusa_testkit::plane::ControlPlane;
use std::path::{Path, PathBuf};
use tokio::process::Command;

const VERSIONS: [&str; 2] = ["14.1.0", "14.1.1"];

/// The example's folder in the repository.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/http-server")
}

/// Installs a version once for all runs; gives its folder.
async fn installed(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("third-party");
    let folder = root.join(format!("http-server-{version}"));
    if folder.exists() {
        return folder;
    }
    // Installed beside it and renamed: half a folder is never taken for a whole one.
    let part = root.join(format!("http-server-{version}.{}", std::process::id()));
    std::fs::create_dir_all(&part).unwrap();
    let package = format!("http-server@{version}");
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(&part)
        .arg(&package)
        .output()
        .await
        .expect("npm is needed for this test (Node.js, see README)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm install {package}: {said}");
    if std::fs::rename(&part, &folder).is_err() {
        // Another run was first.
        std::fs::remove_dir_all(&part).unwrap();
    }
    folder
}

async fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from.join("."))
        .arg(to)
        .status();
    assert!(copied.await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_server_is_released_unmodified() {
    let plane = ControlPlane::start(esclusa());
    for version in VERSIONS {
        let dist = plane.work().join("dist").join(version);
        copy(&installed(version).await, &dist).await;
        copy(&example().join("site"), &dist.join("site")).await;
    }
    let shop = Shop::new("site");
    let plan = std::fs::read_to_string(example().join("esclusa.yaml")).unwrap();
    assert!(plan.contains("127.0.0.1:8080"));
    let plan = plan.replace("127.0.0.1:8080", &shop.address().to_string());
    first(&plane, &plan, VERSIONS[0]).await;
    let served = reqwest::get(format!("http://{}/", shop.address()))
        .await
        .unwrap();
    assert_eq!(served.status(), 200);

    let release = plane.release(&plan, VERSIONS[1]).await;
    let load = Load::start(LoadConfig {
        requests: vec![
            RequestTemplate::get("/"),
            RequestTemplate::get("/about.html"),
        ],
        ..shop.load_config(60.0)
    });
    let load = load.unwrap();
    ends(&plane, &release, "promoted").await;
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    let (_, report) = plane
        .get(&format!("/api/v1/releases/{release}/report"))
        .await;
    for version in VERSIONS {
        let versions = report["traffic"]["versions"].as_array().unwrap();
        let counts = versions
            .iter()
            .find(|entry| entry["name"] == version)
            .unwrap();
        assert!(counts["requests"].as_u64().unwrap() > 100, "{report:#}");
        assert_eq!(counts["failures"], 0, "{report:#}");
    }
}
