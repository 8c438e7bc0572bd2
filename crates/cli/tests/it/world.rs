//! A control plane with demo versions to release, and load on them.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without its world has nothing to go on with"
)]

use esclusa_testkit::load::{Load, LoadConfig, LoadHandle};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::process::built_binary;
use esclusa_testkit::{ports, wait_until};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for anything; only a fault reaches it. On a busy machine a healthy version
/// may look like one that warms up, and be watched for the two minutes that may take.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// Stages that a person passes; the judge has no say before.
pub(crate) const BY_HAND: &str = "stages: [ { to: 50%, for: 10m }, { to: 100%, watch: 10m } ]\n";

/// The first version has nothing to be compared with.
pub(crate) const FIRST: &str = "stages: [ { to: 100%, watch: 1s } ]\n";

/// A judge that looks at errors only: the machine of a test is no place for comparing
/// milliseconds.
pub(crate) const ERRORS_ONLY: &str = "judge: { latency: { p50: off, p95: off, p99: off } }\n";

/// The program under test.
pub(crate) fn esclusa() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_esclusa"))
}

/// Starts a control plane.
pub(crate) fn plane() -> ControlPlane {
    ControlPlane::start(esclusa())
}

/// Writes a version: a folder with a `start` script that takes a port.
pub(crate) fn version(plane: &ControlPlane, name: &str, more: &str) {
    let app = built_binary("esclusa-demo-app").expect("the demo app is built");
    let app = app.display();
    let script = format!("#!/bin/sh\nexec {app} --port \"$1\" --version-name {name} {more}\n");
    program(&plane.work().join("dist").join(name).join("start"), &script);
}

/// Writes a file that can be run.
pub(crate) fn program(path: &Path, text: &str) {
    let folder = path.parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("created");
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("allowed");
}

/// One service behind a port of its own.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Shop {
    pub(crate) fn new(name: &str) -> Self {
        let port = ports::free_port().expect("a port");
        let name = name.to_owned();
        Self { name, port }
    }

    /// Service and route of a plan.
    pub(crate) fn head(&self) -> String {
        let Self { name, port } = self;
        format!("esclusa: 1\nservice: {name}\nroute: {{ listen: 127.0.0.1:{port} }}\n")
    }

    /// A plan for the versions that [`version`] writes.
    pub(crate) fn plan(&self, more: &str) -> String {
        let web = r#"artifact: ./dist/${version}
process:
  command: ["${dir}/start", "${port}"]
  ready: { http: /health, within: 2m }
  drain: 10s
"#;
        format!("{}{web}{more}", self.head())
    }

    /// Brings the first version.
    pub(crate) async fn first(&self, plane: &ControlPlane, version: &str) -> String {
        first(plane, &self.plan(FIRST), version).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What a load on this service looks like.
    pub(crate) fn load_config(&self, rate: f64) -> LoadConfig {
        LoadConfig {
            rate,
            users: 200,
            timeout: Duration::from_secs(30),
            ..LoadConfig::on(self.address())
        }
    }

    pub(crate) fn load(&self, rate: f64) -> LoadHandle {
        Load::start(self.load_config(rate)).expect("a load")
    }
}

/// Brings a first version by `plan`.
pub(crate) async fn first(plane: &ControlPlane, plan: &str, version: &str) -> String {
    let release = plane.release(plan, version).await;
    let view = plane.outcome(&release, LONG).await;
    assert_eq!(view["outcome"], "promoted", "{view:#}");
    release
}

/// Waits until the release is in this phase, and in a stage until its share is confirmed.
pub(crate) async fn phase(plane: &ControlPlane, release: &str, phase: &str) -> Value {
    let wanted = |view: &Value| {
        assert!(
            view["outcome"].is_null() || view["phase"] == phase,
            "over before {phase}: {view:#}"
        );
        view["phase"] == phase && (!phase.starts_with("stage") || view["share_confirmed"] == true)
    };
    plane.until(release, LONG, wanted).await
}

/// Asks something that must be granted.
pub(crate) async fn ask(plane: &ControlPlane, release: &str, verb: &str) {
    let (status, body) = plane.ask(release, verb).await;
    assert_eq!(status, 200, "{verb}: {body:#}");
}

/// Passes both stages of [`BY_HAND`] as a person does.
pub(crate) async fn promote(plane: &ControlPlane, release: &str) {
    phase(plane, release, "stage 1").await;
    ask(plane, release, "promote").await;
    phase(plane, release, "stage 2").await;
    ask(plane, release, "skip").await;
}

/// Waits for the end and expects this outcome.
pub(crate) async fn ends(plane: &ControlPlane, release: &str, outcome: &str) -> Value {
    let view = plane.outcome(release, LONG).await;
    assert_eq!(view["outcome"], outcome, "{view:#}\n{}", plane.log());
    view
}

/// The events of this kind, oldest first.
pub(crate) async fn events(plane: &ControlPlane, release: &str, kind: &str) -> Vec<Value> {
    let events = plane.events(release).await;
    events
        .into_iter()
        .filter(|event| event["kind"] == kind)
        .collect()
}

/// Where the release's web instance answers.
pub(crate) async fn url(plane: &ControlPlane, release: &str) -> String {
    let deployed = events(plane, release, "deployed").await;
    let instances = deployed
        .first()
        .map(|event| event["payload"]["instances"].clone());
    let web = instances
        .as_ref()
        .and_then(Value::as_array)
        .and_then(|all| all.iter().find_map(|instance| instance["url"].as_str()));
    web.unwrap_or_else(|| panic!("nothing is deployed: {deployed:#?}"))
        .to_owned()
}

/// The host and port of a URL.
pub(crate) fn address(url: &str) -> SocketAddr {
    let rest = url.trim_start_matches("http://").trim_end_matches('/');
    rest.parse().expect("an address")
}

/// Whether anybody listens there.
pub(crate) fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok()
}

/// Waits until somebody listens there.
pub(crate) async fn until_listens(address: SocketAddr) {
    wait_until("a listener", LONG, async || listens(address).then_some(()))
        .await
        .expect("a listener");
}

/// Makes a demo version answer this part of its requests with an error.
pub(crate) async fn break_version(url: &str, rate: f64) {
    let body = serde_json::json!({ "rate": rate }).to_string();
    let answer = reqwest::Client::new()
        .post(format!("{url}/__demo/fail"))
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// How many requests a demo version has answered, whoever asked.
pub(crate) async fn answered(url: &str) -> u64 {
    let address = address(url);
    let request = http::Request::get("/__demo/stats")
        .body("")
        .expect("a request");
    let stats = esclusa_testkit::fetch(address, request)
        .await
        .expect("an answer");
    let answers = stats.json()["answers"].clone();
    let answers = answers.as_object().cloned().unwrap_or_default();
    answers.values().filter_map(Value::as_u64).sum()
}

/// The lines of a file; none when there is no file.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The number in a file that a command wrote its process id to.
pub(crate) fn pid(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether a process runs, not merely waits to be buried.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

/// Processes of the demo app under this version name.
pub(crate) fn processes_named(name: &str) -> Vec<u32> {
    let wanted = format!("--version-name\0{name}\0");
    let all = std::fs::read_dir("/proc").expect("processes");
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&wanted) && runs(*pid)
        })
        .collect()
}

/// Writes the plan into the work folder, for the command line.
pub(crate) fn plan_file(plane: &ControlPlane, plan: &str) -> PathBuf {
    let path = plane.work().join("esclusa.yaml");
    std::fs::write(&path, plan).expect("written");
    path
}
