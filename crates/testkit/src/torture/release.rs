//! One release under torture, from the request to the closed books.

use super::agreement::{compare, settled};
use super::counts::{Account, Counted, Excuses, Seen, reconcile};
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
/// Longest wait for the last slices of a release.
const BOOKS: Duration = Duration::from_secs(60);
/// For so long the counts must stay as they are before a loss is believed.
const SETTLED: Duration = Duration::from_millis(2_500);

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
            }
        } else {
            before.clone()
        }
    }
}

/// A release under way.
struct Run<'a> {
    world: &'a World,
    job: &'a Job,
    reins: &'a mut Reins,
    gates: Gates,
    random: Random,
    release: String,
    asked_at_us: i64,
    began: Option<Instant>,
    traffic: Option<Traffic>,
    asks: Vec<Timed<Verb>>,
    harms: Vec<Timed<Harm>>,
    granted: Vec<Verb>,
    killed: Vec<Whose>,
    returned_by_proxy: bool,
    regretted: bool,
    wrong: Vec<String>,
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
    let last = run.to_its_end(asked).await?;
    let took = asked.elapsed();
    Ok(run.close(&last, took).await)
}

impl Run<'_> {
    /// Follows the release, makes load, asks and harms as planned; gives its last view.
    async fn to_its_end(&mut self, asked: Instant) -> io::Result<Value> {
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

    async fn quiet(&mut self) {
        if let Some(traffic) = &mut self.traffic {
            traffic.stop().await;
        }
    }

    /// Compares everything that is known of the release.
    async fn close(mut self, last: &Value, took: Duration) -> Ran {
        self.quiet().await;
        let text = |key: &str| last[key].as_str().unwrap_or_default().to_owned();
        let outcome = text("outcome");
        if !self
            .job
            .script
            .may_end(&outcome, &self.granted, self.returned_by_proxy)
        {
            let reason = text("reason");
            self.wrong
                .push(format!("{outcome:?} is the wrong end: {reason}"));
        }
        let until_ms = now_us() / 1_000;
        let blows = self.world.blows(self.asked_at_us / 1_000, until_ms);
        let seen = self
            .traffic
            .as_ref()
            .map(|traffic| Seen::of(&traffic.report()))
            .unwrap_or_default();
        let (counted, account) = self.books(&seen, &blows).await;
        self.wrong.extend(account.unexplained.clone());
        let read_backs = self.stories().await;
        self.everybody_has(&outcome).await;
        Ran {
            service: self.job.shop.name.clone(),
            number: self.job.number,
            release: self.release,
            version: self.job.version(),
            planned: self.job.script.to_string(),
            script: self.job.script.clone(),
            reason: text("reason"),
            outcome,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            granted: self.granted,
            blows,
            seen,
            counted,
            account,
            read_backs,
            wrong: self.wrong,
        }
    }

    fn excuses(&self, blows: &[Blow]) -> Excuses {
        let (stable, canary) = (self.job.standing.version.clone(), self.job.version());
        let name = |whose: &Whose| match whose {
            Whose::Stable => stable.clone(),
            Whose::Canary => canary.clone(),
        };
        let failing = match self.job.script.kind {
            super::script::Kind::Failing { .. } => vec![canary.clone()],
            _ => Vec::new(),
        };
        let kills = blows.iter().filter(|blow| blow.killed_proxy);
        Excuses {
            failing,
            killed: self.killed.iter().map(name).collect(),
            proxy_kills: kills
                .filter_map(|blow| Some(self.traffic.as_ref()?.at_risk(blow.at_ms)))
                .collect(),
        }
    }

    /// The report once all slices are in: at once where all adds up, else when nothing
    /// comes any more.
    async fn books(&self, seen: &Seen, blows: &[Blow]) -> (Option<Counted>, Account) {
        let excuses = self.excuses(blows);
        let path = format!("/api/v1/releases/{}/report", self.release);
        let mut newest: Option<(Counted, Instant)> = None;
        let closed = wait_until("the last slices", BOOKS, async || {
            let (status, report) = self.world.control.get(&path).await?;
            let counted = Counted::of_report(&report).filter(|_| status == 200);
            // Nobody came, so nothing was counted.
            let counted = counted.or_else(|| (seen.sent == 0).then(Counted::default))?;
            let since = match &newest {
                Some((known, since)) if *known == counted => *since,
                _ => Instant::now(),
            };
            newest = Some((counted.clone(), since));
            let account = reconcile(seen, &counted, &excuses);
            let settled = excuses.proxy_kills.is_empty() || since.elapsed() >= SETTLED;
            (account.is_clean() && settled).then_some((counted, account))
        });
        match closed.await {
            Ok((counted, account)) => (Some(counted), account),
            Err(_) => {
                let counted = newest.map(|(counted, _)| counted);
                let mut account = match &counted {
                    Some(counted) => reconcile(seen, counted, &excuses),
                    None => Account::default(),
                };
                if counted.is_none() {
                    let said = "the report does not say what was counted";
                    account.unexplained.push(said.into());
                }
                (counted, account)
            }
        }
    }

    /// The log against what the witness saw.
    async fn stories(&mut self) -> (usize, usize) {
        let events = wait_until("the log", LONG, async || {
            self.world.control.events(&self.release).await
        });
        let events = match events.await {
            Ok(events) => events,
            Err(error) => {
                self.wrong.push(error.to_string());
                return (0, 0);
            }
        };
        let shown = self.world.watcher.shown(&self.release, self.asked_at_us);
        let agreement = compare(&events, &settled(&shown), &self.world.pace.stages);
        let read_backs = events
            .iter()
            .filter(|event| event["kind"] == "dial_confirmed")
            .count();
        self.wrong.extend(agreement.contradictions);
        if let Some(last) = shown
            .last()
            .filter(|shown| shown.share.is_some_and(|s| s > 0))
        {
            let said = format!("the proxy shows {last:?} after the end");
            self.wrong.push(said);
        }
        (read_backs, agreement.read_backs_seen)
    }

    /// Everybody has what the outcome says, as the service tells it.
    async fn everybody_has(&mut self, outcome: &str) {
        let wanted = if outcome.starts_with("promoted") {
            self.job.version()
        } else {
            self.job.standing.version.clone()
        };
        let has = wait_until("the stable version", LONG, async || {
            let view = self.world.control.service(&self.job.shop.name).await?;
            (view["stable"]["name"] == wanted).then_some(())
        });
        if has.await.is_err() {
            self.wrong
                .push(format!("everybody should have {wanted} and has not"));
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
