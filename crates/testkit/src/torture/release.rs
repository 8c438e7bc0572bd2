//! One release under torture, from the request to the closed books.

use super::counts::{Account, Counted, Seen};
use super::plans::{Gates, Shop};
use super::script::{Harm, Script, Timed, Verb, Whose};
use super::traffic::Traffic;
use super::watcher::now_us;
use super::world::{Blow, LONG, Standing, World};
use crate::{Random, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde_json::{Value, json};
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Pause between two looks at a release.
const LOOK: Duration = Duration::from_millis(30);

/// A release to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// Whose.
    pub shop: Shop,
    /// What everybody has now.
    pub standing: Standing,
    /// Which release of its service it is, from 1.
    pub number: u64,
    /// What happens to it.
    pub script: Script,
}

impl Job {
    /// The version's name; each is released once.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{}-{}", self.shop.name, self.number)
    }
}

/// When a release's load began, and whether it may end.
#[derive(Debug)]
pub struct Reins {
    /// Told when the load begins.
    pub began: watch::Sender<Option<Instant>>,
    /// The release waits at its last step until this is true.
    pub may_end: watch::Receiver<bool>,
}

impl Reins {
    /// For a release that nobody waits for.
    #[must_use]
    pub fn loose() -> Self {
        Self {
            began: watch::channel(None).0,
            may_end: watch::channel(true).1,
        }
    }
}

/// What came of a release.
#[derive(Debug, Clone, Serialize)]
pub struct Ran {
    /// The service.
    pub service: String,
    /// Which of its releases.
    pub number: u64,
    /// Its id.
    pub release: String,
    /// Its version.
    pub version: String,
    /// What was planned.
    pub script: Script,
    /// The same in words.
    pub planned: String,
    /// How it ended; empty when it did not.
    pub outcome: String,
    /// Why, in esclusa's words.
    pub reason: String,
    /// From request to end.
    pub took_ms: u64,
    /// What people asked and were granted.
    pub granted: Vec<Verb>,
    /// What was done to everybody meanwhile.
    pub blows: Vec<Blow>,
    /// What users saw.
    pub seen: Seen,
    /// What the report counts.
    pub counted: Option<Counted>,
    /// The comparison of both.
    pub account: Account,
    /// Read-backs in the log, and how many of them the witness saw too.
    pub read_backs: (usize, usize),
    /// Everything that is not as it must be; empty when all is well.
    pub wrong: Vec<String>,
}

impl Ran {
    /// What everybody has after it.
    #[must_use]
    pub fn standing(&self, before: &Standing) -> Standing {
        if self.outcome.starts_with("promoted") {
            Standing {
                release: self.release.clone(),
                version: self.version.clone(),
                kind: self.script.kind,
            }
        } else {
            before.clone()
        }
    }
}

/// A release under way.
pub(super) struct Run<'a> {
    pub(super) world: &'a World,
    pub(super) job: &'a Job,
    pub(super) reins: &'a mut Reins,
    pub(super) gates: Gates,
    pub(super) random: Random,
    pub(super) release: String,
    pub(super) asked_at_us: i64,
    pub(super) began: Option<Instant>,
    pub(super) traffic: Option<Traffic>,
    pub(super) asks: Vec<Timed<Verb>>,
    pub(super) harms: Vec<Timed<Harm>>,
    pub(super) granted: Vec<Verb>,
    pub(super) killed: Vec<Whose>,
    pub(super) returned_by_proxy: bool,
    pub(super) regretted: bool,
    pub(super) wrong: Vec<String>,
}

/// Runs a release to its end and closes its books.
///
/// # Errors
/// When there is nothing to look at: the release cannot be asked for, or files cannot be
/// written.
pub async fn run(world: &World, job: &Job, reins: &mut Reins) -> io::Result<Ran> {
    let version = job.version();
    world.write_version(&version, job.script.kind)?;
    stable_answers(world, job).await?;
    next_second().await;
    let gates = Gates::of(&version);
    let plan = job.shop.plan(&gates, &job.script, &world.pace);
    let asked_at_us = now_us();
    let asked = Instant::now();
    let release = world
        .control
        .release(&job.shop.name, &version, &plan, LONG)
        .await?;
    let mut run = Run {
        world,
        job,
        reins,
        gates,
        random: Random::new(job.script.seed),
        release,
        asked_at_us,
        began: None,
        traffic: None,
        asks: job.script.asks.clone(),
        harms: job.script.harms.clone(),
        granted: Vec::new(),
        killed: Vec::new(),
        returned_by_proxy: false,
        regretted: false,
        wrong: Vec::new(),
    };
    let last = run.until_its_end(asked).await?;
    let took = asked.elapsed();
    Ok(run.close(&last, took).await)
}

impl Run<'_> {
    /// Follows the release, makes load, asks and harms as planned; gives its last view.
    async fn until_its_end(&mut self, asked: Instant) -> io::Result<Value> {
        let mut last = Value::Null;
        while asked.elapsed() < self.world.pace.deadline {
            if let Some(view) = self.world.control.show(&self.release).await {
                last = view;
                let phase = last["phase"].as_str().unwrap_or_default().to_owned();
                if self.is_over(&phase, &last) {
                    return Ok(last);
                }
                self.serve_users(&phase)?;
                self.ask_and_harm().await;
                self.people_decide(&last).await;
                self.let_it_end(&phase).await?;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.wrong.push(format!(
            "it is not over after {:?}: {} {}",
            self.world.pace.deadline, last["phase"], last["hold"]
        ));
        // Nothing waits for ever: the next one needs the service.
        self.ask(Verb::Abort).await;
        self.let_it_end("undoing").await?;
        Ok(last)
    }

    fn is_over(&self, phase: &str, view: &Value) -> bool {
        let regrets = self.job.script.regretted && !self.regretted;
        view["outcome"].is_string() && (phase == "ended" || phase == "promoted" && !regrets)
    }

    /// Load begins once the release has something to take back, so that its end waits
    /// for the books in both directions.
    fn serve_users(&mut self, phase: &str) -> io::Result<()> {
        let early = ["preparing", "preflight", "before"].contains(&phase);
        if self.began.is_some() || early {
            return Ok(());
        }
        let pace = &self.world.pace;
        self.traffic = Some(Traffic::start(
            self.job.shop.address(),
            pace.rate,
            pace.users,
            self.job.script.seed,
        )?);
        let now = Instant::now();
        self.began = Some(now);
        self.reins.began.send_replace(Some(now));
        Ok(())
    }

    /// Does what is due.
    async fn ask_and_harm(&mut self) {
        let Some(began) = self.began.filter(|_| self.traffic.is_some()) else {
            return;
        };
        while self
            .harms
            .first()
            .is_some_and(|harm| began.elapsed() >= harm.at())
        {
            let harm = self.harms.remove(0).what;
            self.harm(harm);
        }
        while self
            .asks
            .first()
            .is_some_and(|ask| began.elapsed() >= ask.at())
        {
            let ask = self.asks.remove(0).what;
            self.ask(ask).await;
        }
    }

    /// Asks until somebody answers; too late is an answer too.
    async fn ask(&mut self, verb: Verb) -> bool {
        let path = format!("/api/v1/releases/{}/{}", self.release, verb.as_str());
        let answer = wait_until("an answer", LONG, async || {
            let answer = self.world.control.post(&path, &json!({})).await?;
            (answer.0 != 503).then_some(answer)
        });
        match answer.await {
            Ok((200, _)) => {
                self.granted.push(verb);
                true
            }
            Ok((409, _)) => false,
            Ok((status, body)) => {
                let what = verb.as_str();
                self.wrong.push(format!("{what}: {status} {body}"));
                false
            }
            Err(error) => {
                self.wrong.push(format!("{}: {error}", verb.as_str()));
                false
            }
        }
    }

    fn harm(&mut self, harm: Harm) {
        let (Harm::Kill(whose) | Harm::Halt(whose, _) | Harm::KillShim(whose)) = harm;
        let (release, version) = match whose {
            Whose::Canary => (self.release.clone(), self.job.version()),
            Whose::Stable => {
                let standing = self.job.standing.clone();
                (standing.release, standing.version)
            }
        };
        // An instance is named by the random end of its release's id.
        let tail = release.get(release.len().saturating_sub(12)..);
        let tail = tail.unwrap_or(&release).to_owned();
        let all = self.world.control.instances(&self.job.shop.name);
        let found = all.into_iter().find(|instance| {
            let name = instance.dir.file_name().unwrap_or_default();
            name.to_string_lossy().ends_with(&tail)
        });
        let Some(instance) = found else {
            return;
        };
        let pid = Pid::from_raw(instance.pid);
        match harm {
            Harm::Kill(_) => {
                self.world.note(format!("{version} is killed"));
                self.killed.push(whose);
                // It may have ended by itself.
                let _ = kill(pid, Signal::SIGKILL);
            }
            Harm::Halt(_, ms) => {
                self.world.note(format!("{version} is halted for {ms} ms"));
                let _ = kill(pid, Signal::SIGSTOP);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    let _ = kill(pid, Signal::SIGCONT);
                });
            }
            Harm::KillShim(_) => {
                self.world.note(format!("the shim of {version} is killed"));
                let _ = kill(Pid::from_raw(instance.shim_pid), Signal::SIGKILL);
            }
        }
    }

    /// A share that a proxy took back waits for a person, who decides by the seed.
    async fn people_decide(&mut self, view: &Value) {
        let hold = view["hold"].as_str().unwrap_or_default();
        if !hold.starts_with("a proxy lost its controller") {
            return;
        }
        self.returned_by_proxy = true;
        let verb = if self.random.chance(0.5) {
            Verb::Resume
        } else {
            Verb::Abort
        };
        self.ask(verb).await;
    }

    /// Opens the gate that the release waits at, its users gone first.
    async fn let_it_end(&mut self, phase: &str) -> io::Result<()> {
        let work = self.world.control.work();
        match phase {
            "undoing" => {
                self.quiet().await;
                self.gates.open_undo(&work)?;
            }
            "after" if self.asks.is_empty() && self.harms.is_empty() => {
                if !*self.reins.may_end.borrow() {
                    return Ok(());
                }
                if !self.job.script.regretted {
                    self.quiet().await;
                }
                self.gates.open_after(&work)?;
            }
            "promoted" if self.job.script.regretted && !self.regretted => {
                self.regretted = self.ask(Verb::Rollback).await;
                if !self.regretted {
                    let said = "a promoted release cannot be rolled back while it is warm";
                    self.wrong.push(said.into());
                    self.regretted = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) async fn quiet(&mut self) {
        if let Some(traffic) = &mut self.traffic {
            traffic.stop().await;
        }
    }
}

/// Counts are kept by the second: the one before must not reach into this release's.
async fn next_second() {
    let into = now_us().rem_euclid(1_000_000).unsigned_abs();
    let left = Duration::from_micros(1_000_000 - into);
    tokio::time::sleep(left + Duration::from_millis(20)).await;
}

/// A stable version that was hurt is back before the next release begins.
async fn stable_answers(world: &World, job: &Job) -> io::Result<()> {
    let release = &job.standing.release;
    let tail = release.get(release.len().saturating_sub(12)..);
    let tail = tail.unwrap_or(release).to_owned();
    let found = wait_until("the stable version's process", LONG, async || {
        let all = world.control.instances(&job.shop.name);
        let instance = all.into_iter().find(|instance| {
            let name = instance.dir.file_name().unwrap_or_default();
            name.to_string_lossy().ends_with(&tail)
        })?;
        let port = std::fs::read_to_string(instance.dir.join("port")).ok()?;
        let port: u16 = port.trim().parse().ok()?;
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .ok()
            .map(drop)
    });
    found.await.map_err(io::Error::other)
}
