//! `esclusa serve` under torture: killed, halted and started again at any moment, always
//! at the same address.
//!
//! A question that nobody answers is nothing here, not an error: the control plane may
//! be dead, and whoever asks will ask again.

use crate::{TempDir, ports, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest wait for one answer; a control plane that is halted gives none.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a control plane that was asked to end may take.
const END: Duration = Duration::from_secs(30);

/// A control plane with a data folder of its own. Dropping it ends everything that it
/// started.
#[derive(Debug)]
pub struct Control {
    binary: PathBuf,
    folder: TempDir,
    port: u16,
    child: Mutex<Option<Child>>,
    client: reqwest::Client,
}

/// A process of a version, found by its supervisor's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its folder.
    pub dir: PathBuf,
    /// The process.
    pub pid: i32,
    /// Its supervisor.
    pub shim_pid: i32,
}

impl Control {
    /// A control plane that does not run yet.
    ///
    /// # Errors
    /// When there is no folder or no port for it.
    pub fn new(binary: &Path) -> io::Result<Self> {
        Ok(Self {
            binary: binary.to_owned(),
            folder: TempDir::new("torture")?,
            port: ports::free_port()?,
            child: Mutex::new(None),
            client: crate::plane::http_client(),
        })
    }

    /// Starts it; it may take a moment until it answers.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&self) -> io::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("serve.log"))?;
        let child = Command::new(&self.binary)
            .args(["serve", "--dev", "--flags-listen", "off", "--listen"])
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        *self.child() = Some(child);
        Ok(())
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it does not within `bound`, with the end of its log.
    pub async fn answers(&self, bound: Duration) -> io::Result<()> {
        let ready = wait_until("the control plane", bound, async || {
            let answer = self.get("/api/v1/services").await?;
            (answer.0 == 200).then_some(())
        });
        ready.await.map_err(|error| {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            io::Error::other(format!("{error}; its log ends with\n{}", tail.join("\n")))
        })
    }

    /// Kills it as a crash would, and nothing else.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            // One that is gone already has what it was meant to get.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end and waits; kills it when it does not.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn end(&self) -> io::Result<()> {
        self.signal(Signal::SIGTERM);
        let ended = wait_until("the end of the control plane", END, async || {
            match self.child().as_mut().map(Child::try_wait) {
                Some(Ok(None)) => None,
                Some(_) | None => Some(()),
            }
        });
        let ended = ended.await;
        self.kill();
        ended.map_err(io::Error::other)
    }

    /// Sends it a signal; one that does not run gets none.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child().as_ref().and_then(|child| pid(child.id()));
        if let Some(pid) = pid {
            // It may end at any moment.
            let _ = kill(pid, signal);
        }
    }

    /// Whether its process ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.child().as_mut().map(Child::try_wait) {
            Some(Ok(status)) => status.is_some(),
            Some(Err(_)) => true,
            None => false,
        }
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for plans, artifacts and scripts.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The folder that holds both, and the log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the folder where it is, to be looked at.
    pub fn keep(&mut self) {
        self.folder.keep();
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("serve.log")).unwrap_or_default()
    }

    /// `GET path`: status and body, or nothing when nobody answers.
    pub async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        read(self.client.get(url)).await
    }

    /// `POST path`: status and body, or nothing when nobody answers. Whether it took
    /// effect is then unknown.
    pub async fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        read(self.client.post(url).json(body)).await
    }

    /// A release as the API shows it.
    pub async fn show(&self, release: &str) -> Option<Value> {
        let (status, view) = self.get(&format!("/api/v1/releases/{release}")).await?;
        (status == 200).then_some(view)
    }

    /// A service as the API shows it.
    pub async fn service(&self, name: &str) -> Option<Value> {
        let (status, view) = self.get(&format!("/api/v1/services/{name}")).await?;
        (status == 200).then_some(view)
    }

    /// All events of a release.
    pub async fn events(&self, release: &str) -> Option<Vec<Value>> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all
                .last()
                .map_or(0, |e| e["position"].as_u64().unwrap_or(0));
            let path = format!("/api/v1/releases/{release}/events?after={after}");
            let (status, page) = self.get(&path).await?;
            let page = page.as_array().filter(|_| status == 200)?;
            if page.is_empty() {
                return Some(all);
            }
            all.extend(page.iter().cloned());
        }
    }

    /// Asks for a release until somebody has taken it; gives its id. A request whose
    /// answer was lost may have taken effect, so that is looked at first.
    ///
    /// # Errors
    /// When it is refused, or nobody answers within `bound`.
    pub async fn release(
        &self,
        service: &str,
        version: &str,
        plan: &str,
        bound: Duration,
    ) -> io::Result<String> {
        let body = json!({
            "plan_name": "esclusa.yaml",
            "plan": plan,
            "version": version,
            "base_dir": self.work(),
        });
        let asked = wait_until("a release", bound, async || {
            if let Some(view) = self.service(service).await
                && view["release"]["version"] == version
            {
                return Some(Ok(view["release"]["release"].clone()));
            }
            match self.post("/api/v1/releases", &body).await? {
                (status, answer) if status < 300 => Some(Ok(answer["release"].clone())),
                // Not now, or asked for just before.
                (409 | 503, _) => None,
                (status, answer) => Some(Err(format!("{status}: {answer}"))),
            }
        });
        let id = asked.await.map_err(io::Error::other)?;
        let id = id.map_err(|why| io::Error::other(format!("{version} was refused: {why}")))?;
        id.as_str()
            .map(str::to_owned)
            .ok_or_else(|| io::Error::other(format!("{version} got no id: {id}")))
    }

    /// The processes of a service's versions that have a supervisor's folder, newest
    /// release last.
    #[must_use]
    pub fn instances(&self, service: &str) -> Vec<Instance> {
        let mut found = Vec::new();
        find_instances(&self.data().join("instances").join(service), &mut found);
        found.sort_by(|a: &Instance, b| a.dir.cmp(&b.dir));
        found
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.kill();
        crate::plane::stop_shims(&self.data().join("instances"));
    }
}

fn pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().map(Pid::from_raw)
}

async fn read(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let answer = request.timeout(ANSWER).send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some((status, body))
}

fn find_instances(folder: &Path, found: &mut Vec<Instance>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for dir in entries.flatten().map(|entry| entry.path()) {
        if !dir.is_dir() {
            continue;
        }
        // A release's steps have supervisors too; theirs have no port.
        if dir.join("port").exists()
            && let Ok(text) = std::fs::read_to_string(dir.join("status.json"))
            && let Ok(status) = serde_json::from_str::<Value>(&text)
            && let (Some(pid), Some(shim_pid)) =
                (number(&status["pid"]), number(&status["shim_pid"]))
        {
            found.push(Instance {
                dir: dir.clone(),
                pid,
                shim_pid,
            });
        }
        find_instances(&dir, found);
    }
}

fn number(value: &Value) -> Option<i32> {
    i32::try_from(value.as_i64()?).ok()
}
