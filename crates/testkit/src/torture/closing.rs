//! The end of a release under torture: its books, its two stories, and what everybody
//! has then.

use super::agreement::{compare, settled};
use super::counts::{Account, Counted, Excuses, Seen, reconcile};
use super::release::{Ran, Run};
use super::script::{Kind, Whose};
use super::watcher::now_us;
use super::world::{Blow, LONG};
use crate::wait_until;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Longest wait for the last slices of a release.
const BOOKS: Duration = Duration::from_secs(60);
/// For so long the counts must stay as they are before a loss is believed.
const SETTLED: Duration = Duration::from_millis(2_500);

impl Run<'_> {
    /// Compares everything that is known of the release.
    pub(super) async fn close(mut self, last: &Value, took: Duration) -> Ran {
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
            Kind::Failing { .. } => vec![canary.clone()],
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
