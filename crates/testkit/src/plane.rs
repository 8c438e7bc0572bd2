//! The real control plane as a process, spoken to as a user's program would.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without its subject has nothing to go on with"
)]

use crate::TempDir;
use crate::wait_until;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest wait for `ready`.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running `esclusa serve --dev` with a data folder of its own. Dropping it stops the
/// control plane, its proxy and every version that it started.
pub struct ControlPlane {
    binary: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    url: String,
    more: Vec<String>,
    client: reqwest::Client,
}

impl ControlPlane {
    /// Starts one and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready: there is nothing to test then.
    #[must_use]
    pub fn start(binary: &Path) -> Self {
        Self::start_with(binary, &["--flags-listen", "off"])
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_with(binary: &Path, more: &[&str]) -> Self {
        let mut plane = Self {
            binary: binary.to_owned(),
            folder: TempDir::new("esclusa").expect("a temporary folder"),
            child: None,
            url: String::new(),
            more: more.iter().map(|&word| word.to_owned()).collect(),
            client: http_client(),
        };
        plane.spawn();
        plane
    }

    /// Starts one on a data folder that `prepare` makes ready; gives what that gave.
    ///
    /// # Errors
    /// That of `prepare`.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_on<T, E>(
        binary: &Path,
        prepare: impl FnOnce(&Path) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let mut plane = Self::kept_by_others(binary, 0);
        let prepared = prepare(&plane.data())?;
        plane.spawn();
        Ok((plane, prepared))
    }

    /// Starts one whose proxy answers flags at a local port, on a data folder with these
    /// files, by name and content.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn with_flags(binary: &Path, port: u16, files: &[(&str, &str)]) -> Self {
        let mut plane = Self::kept_by_others(binary, 0);
        plane.more = vec!["--flags-listen".into(), format!("127.0.0.1:{port}")];
        std::fs::create_dir_all(plane.data()).expect("a data folder");
        for (name, content) in files {
            std::fs::write(plane.data().join(name), content).expect("written");
        }
        plane.spawn();
        plane
    }

    /// One that somebody else starts, listening on a local port; its data folder is
    /// ours. Dropping it stops the supervisors that are left there.
    ///
    /// # Panics
    /// When there is no folder for it.
    #[must_use]
    pub fn kept_by_others(binary: &Path, port: u16) -> Self {
        Self {
            binary: binary.to_owned(),
            folder: TempDir::new("esclusa").expect("a temporary folder"),
            child: None,
            url: format!("http://127.0.0.1:{port}"),
            more: vec!["--flags-listen".into(), "off".into()],
            client: http_client(),
        }
    }

    /// Waits until it can do its work.
    ///
    /// # Errors
    /// When it cannot in time.
    pub async fn until_ready(&self) -> Result<(), crate::WaitError> {
        wait_until("the control plane", READY_LIMIT, async || {
            let url = format!("{}/readyz", self.url);
            let answer = self.client.get(url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await
    }

    fn spawn(&mut self) {
        let mut child = Command::new(&self.binary)
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log_file())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.binary.display()));
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(rest) = line.strip_prefix("ready ") {
                    let url = rest
                        .split_whitespace()
                        .next()
                        .unwrap_or_default()
                        .to_owned();
                    let _ = sender.send(url);
                }
            }
        });
        self.child = Some(child);
        match receiver.recv_timeout(READY_LIMIT) {
            Ok(url) => self.url = url.trim_end_matches('/').to_owned(),
            Err(_) => panic!("serve did not become ready; its log:\n{}", self.log()),
        }
    }

    fn log_file(&self) -> Stdio {
        let path = self.folder.path().join("serve.log");
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_or_else(|_| Stdio::null(), Stdio::from)
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for plans, artifacts and scripts.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        let path = self.folder.path().join("work");
        std::fs::create_dir_all(&path).expect("a work folder");
        path
    }

    /// Base URL of its API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("serve.log")).unwrap_or_default()
    }

    /// Kills the control plane as a crash would, and nothing else.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Tells the control plane to read its settings again.
    ///
    /// # Panics
    /// When it does not run.
    pub fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Makes the control plane hang, and nothing else.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it run on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).expect("it hears");
    }

    /// Ends the control plane, its proxy, every supervisor and every version at once, as a
    /// power failure does.
    ///
    /// # Panics
    /// When something of it does not die.
    pub fn power_failure(&mut self) {
        let ended = crate::machine::power_failure(&self.data());
        assert!(ended > 0, "there was nothing to lose");
        self.kill();
    }

    /// Every living process of its data folder, the control plane itself left out.
    #[must_use]
    pub fn processes(&self) -> Vec<crate::machine::Belonging> {
        let own = self.child.as_ref().map(Child::id);
        let mut all = crate::machine::processes_of(&self.data());
        all.retain(|one| Some(one.pid.unsigned_abs()) != own);
        all
    }

    /// Starts it again on the same data.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn();
    }

    /// `GET path`: status and body.
    ///
    /// # Panics
    /// When nobody answers.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await;
        Self::read(answer, path).await
    }

    /// `POST path` with a JSON body: status and body.
    ///
    /// # Panics
    /// When nobody answers.
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self
            .client
            .post(format!("{}{path}", self.url))
            .json(&body)
            .send()
            .await;
        Self::read(answer, path).await
    }

    async fn read(answer: Result<reqwest::Response, reqwest::Error>, path: &str) -> (u16, Value) {
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// Starts a release of `version` by `plan`; gives its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn release(&self, plan: &str, version: &str) -> String {
        let (status, body) = self.try_release(plan, version, json!({})).await;
        assert!(status < 300, "the release was refused: {status} {body:#}");
        body["release"].as_str().expect("an id").to_owned()
    }

    /// Asks for a release; status and body.
    pub async fn try_release(&self, plan: &str, version: &str, more: Value) -> (u16, Value) {
        let mut body = json!({
            "plan_name": "esclusa.yaml",
            "plan": plan,
            "version": version,
            "base_dir": self.work(),
        });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        self.post("/api/v1/releases", body).await
    }

    /// A release as the API shows it.
    pub async fn show(&self, release: &str) -> Value {
        self.get(&format!("/api/v1/releases/{release}")).await.1
    }

    /// Asks something of a release: `pause`, `abort` ...
    pub async fn ask(&self, release: &str, verb: &str) -> (u16, Value) {
        self.post(&format!("/api/v1/releases/{release}/{verb}"), json!({}))
            .await
    }

    /// Waits until the release looks as wanted; gives how it then looks.
    ///
    /// # Panics
    /// With the release's state when `bound` passes first.
    pub async fn until(
        &self,
        release: &str,
        bound: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let found = wait_until("the release", bound, async || {
            let view = self.show(release).await;
            wanted(&view).then_some(view)
        })
        .await;
        match found {
            Ok(view) => view,
            Err(_) => panic!(
                "release {release} did not get there within {bound:?}: {:#}\n{}",
                self.show(release).await,
                self.log()
            ),
        }
    }

    /// Waits for the release's end; gives how it then looks.
    pub async fn outcome(&self, release: &str, bound: Duration) -> Value {
        self.until(release, bound, |view| view["outcome"].is_string())
            .await
    }

    /// A release's events.
    pub async fn events(&self, release: &str) -> Vec<Value> {
        let (_, body) = self
            .get(&format!("/api/v1/releases/{release}/events"))
            .await;
        body.as_array().cloned().unwrap_or_default()
    }
}

/// A client that knows the one TLS provider of this workspace.
pub(crate) fn http_client() -> reqwest::Client {
    // A second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.kill();
        stop_shims(&self.data().join("instances"));
    }
}

/// Tells every shim below `folder` to end, with what it supervises.
pub fn stop_shims(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        if path.join("status.json").exists() {
            let shim = esclusa_shim::ShimClient::new(&path);
            let _ = shim.stop(15, esclusa_model::Millis(2_000));
        }
        stop_shims(&path);
    }
}
