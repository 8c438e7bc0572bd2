//! Standing rules at work: what the proxies count and checks find goes in, kills and their
//! lifting come out, for as long as the program runs.
//!
//! What is decided stands in [`esclusa_engine::standing`]; here is only who tells it what,
//! and who carries it out. A rule that cannot see says so and does nothing.

mod board;
mod state;

use super::{FlagEvent, Flags};
use crate::clock;
use crate::dataplane::Counted;
pub(super) use board::StandingBoard;
pub use board::StandingView;
use esclusa_drivers::check::{self, CheckContext};
use esclusa_engine::{Finding, Health, StandingAct, Watched, standing};
use esclusa_flags::{FlagSet, KillTargets, StandingRule, Symptom};
use esclusa_model::{Actor, CheckStatus, Millis, Timestamp};
use esclusa_plan::Placeholders;
use esclusa_wire::FlagKill;
use serde_json::json;
use state::{kill_standing, reason_of};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};

/// How often rules are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time for one health check.
const CHECK_LIMIT: Millis = Millis::from_secs(5);
/// Decisions about kills that are looked back to.
const KNOWN_KILLS: usize = 1_000;

/// Who acts when a standing rule does.
pub(super) fn actor() -> Actor {
    #[expect(clippy::expect_used, reason = "two words and a dash are a valid name")]
    Actor::new("standing-rule").expect("a valid name")
}

/// One rule at work.
struct Post {
    rule: StandingRule,
    watched: Watched,
    /// The decision about its features up to which nothing that was seen counts.
    anew_since: Option<Timestamp>,
    /// When its health was asked for last.
    asked_at: Option<Timestamp>,
    /// Whether an act or a check of it is under way.
    acting: bool,
    checking: bool,
}

/// What comes back from work that runs beside the loop.
enum Done {
    Checked(String, Health),
    Acted(String),
}

struct Watch {
    flags: Arc<Flags>,
    posts: BTreeMap<String, Post>,
    /// Kills and liftings, oldest first, as far as they are recorded.
    kills: Vec<FlagKill>,
    /// The recorded kills that `kills` was read for.
    read_for: Option<esclusa_flags::Kills>,
    done: mpsc::Sender<Done>,
    board: watch::Sender<StandingBoard>,
}

/// Watches until the program ends.
pub(super) async fn keep(flags: Arc<Flags>, board: watch::Sender<StandingBoard>) {
    let mut slices = flags.dataplane.slices();
    let (done, mut finished) = mpsc::channel(64);
    let mut all = Watch {
        flags,
        posts: BTreeMap::new(),
        kills: Vec::new(),
        read_for: None,
        done,
        board,
    };
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            counted = slices.recv() => match counted {
                Ok(counted) => all.count(&counted),
                // What was missed says nothing; the window has that much less.
                Err(broadcast::error::RecvError::Lagged(missed)) =>
                    tracing::warn!(missed, "Standing rules did not see all slices"),
                Err(broadcast::error::RecvError::Closed) => return,
            },
            Some(done) = finished.recv() => all.finished(done),
            _ = tick.tick() => all.look().await,
        }
    }
}

impl Watch {
    fn count(&mut self, counted: &Counted) {
        let slice = &counted.1.slice;
        for post in self.posts.values_mut() {
            if post.rule.service == slice.service.as_str() {
                for cell in &slice.cells {
                    post.watched.count(&post.rule, slice.second, cell);
                }
            }
        }
    }

    fn finished(&mut self, done: Done) {
        match done {
            Done::Checked(name, health) => {
                if let Some(post) = self.posts.get_mut(&name) {
                    post.checking = false;
                    post.watched.checked(health, clock::now());
                }
            }
            Done::Acted(name) => {
                if let Some(post) = self.posts.get_mut(&name) {
                    post.acting = false;
                }
            }
        }
    }

    async fn look(&mut self) {
        match self.look_at_rules().await {
            Ok(views) => self.board.send_modify(|board| board.looked(views)),
            Err(why) => self.board.send_modify(|board| board.failed(why)),
        }
    }

    async fn look_at_rules(&mut self) -> Result<Vec<StandingView>, String> {
        let ledger = self.flags.ledger().map_err(|error| error.to_string())?;
        self.take_up(&ledger.set);
        if self.read_for.as_ref() != Some(&ledger.kills) {
            // What cannot be read now is read at the next look.
            let entries = self.flags.history(None, KNOWN_KILLS).await;
            let entries = entries.map_err(|error| error.to_string())?;
            let kills = entries.into_iter().filter_map(|entry| match entry.event {
                FlagEvent::Killed(kill) => Some(kill),
                FlagEvent::Changed(_) | FlagEvent::Granted(_) => None,
            });
            self.kills = kills.collect();
            self.read_for = Some(ledger.kills.clone());
        }
        let (mut known, in_force) = {
            let live = self.flags.live();
            (live.unrecorded.clone(), live.kills.clone())
        };
        known.extend(self.kills.iter().cloned());
        let (now, epoch) = (clock::now(), in_force.epoch());
        let mut views = Vec::new();
        for (name, post) in &mut self.posts {
            let stands = kill_standing(name, &post.rule, &known, &in_force, now);
            if stands.changed_at != post.anew_since {
                // Before it was turned, the application was another one.
                post.watched.begin_anew();
                post.anew_since = stands.changed_at;
            }
            if post.rule.paused {
                post.watched.begin_anew();
                views.push(StandingView::paused(name, &post.rule, stands));
                continue;
            }
            let finding = standing(&post.rule, &post.watched, stands, now);
            views.push(StandingView::new(name, &post.rule, &finding, stands));
            if let Finding::Act(act) = finding
                && !post.acting
            {
                post.acting = true;
                let (flags, done) = (Arc::clone(&self.flags), self.done.clone());
                tokio::spawn(carry_out(
                    flags,
                    name.clone(),
                    post.rule.clone(),
                    (act, epoch),
                    done,
                ));
            }
            ask_health(name, post, now, &self.done);
        }
        Ok(views)
    }

    /// Rules that are new or changed begin with nothing seen.
    fn take_up(&mut self, set: &FlagSet) {
        self.posts
            .retain(|name, post| set.standing_rules.get(name) == Some(&post.rule));
        for (name, rule) in &set.standing_rules {
            self.posts.entry(name.clone()).or_insert_with(|| Post {
                rule: rule.clone(),
                watched: Watched::default(),
                anew_since: None,
                asked_at: None,
                acting: false,
                checking: false,
            });
        }
    }
}

async fn carry_out(
    flags: Arc<Flags>,
    name: String,
    rule: StandingRule,
    (act, known): (StandingAct, u64),
    done: mpsc::Sender<Done>,
) {
    let targets = match &rule.kill {
        KillTargets::All => None,
        KillTargets::Flags(keys) => Some(keys.clone()),
    };
    match act {
        StandingAct::Kill { because } => {
            let reason = reason_of(&name, &because);
            let killed = flags.kill(targets, &reason, &actor()).await;
            match killed.in_force {
                Ok(()) => {
                    tracing::warn!(rule = name, because, "A standing rule turned features off");
                }
                Err(error) => {
                    tracing::error!(
                        rule = name,
                        because,
                        error,
                        "A standing rule's kill is not in force yet"
                    );
                }
            }
        }
        StandingAct::Lift { because } => {
            let reason = reason_of(&name, &because);
            // What a person killed since is not the rule's to lift.
            let lifted = flags
                .lift_known(targets, &reason, &actor(), Some(known))
                .await;
            match lifted {
                Ok(lifted) if lifted.flags.as_ref().is_some_and(Vec::is_empty) => {}
                Ok(_) => tracing::info!(rule = name, because, "A standing rule lifted its kill"),
                Err(error) => {
                    tracing::warn!(rule = name, %error, "A standing rule cannot lift its kill");
                }
            }
        }
    }
    // Nobody listens when the program ends.
    let _ = done.send(Done::Acted(name)).await;
}

/// Has the health of a rule's service asked for, when it is time.
fn ask_health(name: &str, post: &mut Post, now: Timestamp, done: &mpsc::Sender<Done>) {
    let Symptom::Unhealthy { url, every_s, .. } = &post.rule.when else {
        return;
    };
    let pause = Millis::from_secs((*every_s).into());
    let due = post.asked_at.is_none_or(|at| now.since(at) >= pause);
    if post.checking || !due {
        return;
    }
    post.checking = true;
    post.asked_at = Some(now);
    let (name, url, done) = (name.to_owned(), url.clone(), done.clone());
    tokio::spawn(async move {
        let health = healthy(&url, CHECK_LIMIT).await;
        let _ = done.send(Done::Checked(name, health)).await;
    });
}

/// A service that does not answer in time is not healthy: its users wait as long.
async fn healthy(url: &str, within: Millis) -> Health {
    let Ok(question) = check::check("http", &json!({ "url": url })) else {
        return Health::Unknown;
    };
    let context = CheckContext {
        placeholders: Placeholders::new(),
        env: BTreeMap::new(),
        cwd: PathBuf::new(),
        // Ours comes first.
        timeout: Millis(within.0.saturating_mul(2)),
    };
    let limit = Duration::from_millis(within.0);
    match tokio::time::timeout(limit, question.ask(&context)).await {
        Err(_) => Health::Unhealthy,
        Ok(result) => match result.status {
            CheckStatus::Pass => Health::Healthy,
            CheckStatus::Fail => Health::Unhealthy,
            CheckStatus::Unknown => Health::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    // RBK-04: a service that takes a request and never answers is as bad as one that is gone.
    #[tokio::test]
    async fn a_service_that_hangs_is_unhealthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/health", listener.local_addr().expect("bound"));
        let (shut, open) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let (held, _) = listener.accept().await.expect("asked");
            let _ = open.await;
            drop(held);
            let (mut answers, _) = listener.accept().await.expect("asked");
            let mut question = [0; 1024];
            let _ = answers.read(&mut question).await.expect("read");
            let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            answers.write_all(ok).await.expect("answered");
        });
        assert_eq!(healthy(&url, Millis(200)).await, Health::Unhealthy);
        shut.send(()).expect("it goes on");
        assert_eq!(healthy(&url, CHECK_LIMIT).await, Health::Healthy);
        server.await.expect("ends");
        // Nobody is there any more.
        assert_eq!(healthy(&url, CHECK_LIMIT).await, Health::Unhealthy);
        assert_eq!(healthy("nonsense", CHECK_LIMIT).await, Health::Unknown);
    }
}
