//! The end of a release under torture: its books, its two stories, and what everybody
//! has then.

use super::agreement::{compare, settled};
use super::counts::{Account, Counted, Excuses, Seen, reconcile};
use super::release::{Ran, Run};
use super::script::Whose;
use super::told::Told;
use super::watcher::now_us;
use super::world::{Blow, LONG};
use crate::wait_until;
use serde_json::Value;
use std::time::Duration;

impl Run<'_> {
    /// Compares everything that is known of the release.
    pub(super) async fn close(mut self, last: &Value, took: Duration) -> Ran {
        self.quiet().await;
        let text = |key: &str| last[key].as_str().unwrap_or_default().to_owned();
        let outcome = text("outcome");
        let (script, stable) = (&self.job.script, self.job.standing.kind);
        if !script.may_end(&outcome, stable, &self.granted, self.returned_by_proxy) {
            let reason = text("reason");
            self.wrong
                .push(format!("{outcome:?} is the wrong end: {reason}"));
        }
        let seen = self
            .traffic
            .as_ref()
            .map(|traffic| Seen::of(&traffic.report()))
            .unwrap_or_default();
        self.all_is_told().await;
        // A proxy that is killed later had nothing left to lose.
        let until_ms = now_us() / 1_000;
        let blows = self.world.blows(self.asked_at_us / 1_000, until_ms);
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
        let kinds = [
            (self.job.standing.kind, &stable),
            (self.job.script.kind, &canary),
        ];
        let failing = kinds
            .into_iter()
            .filter(|(kind, _)| kind.fails())
            .map(|(_, version)| version.clone())
            .collect();
        let kills = blows.iter().filter(|blow| blow.killed_proxy);
        Excuses {
            failing,
            killed: self.killed.iter().map(name).collect(),
            proxy_kills: kills
                .filter_map(|blow| {
                    let cut_us = self.world.watcher.before_last_cut(blow.at_ms * 1_000);
                    let traffic = self.traffic.as_ref()?;
                    Some(traffic.at_risk(blow.at_ms, cut_us.map(|cut| cut / 1_000)))
                })
                .collect(),
        }
    }

    /// Waits until the proxy has nothing left to tell of this release.
    async fn all_is_told(&mut self) {
        let mut told = Told::default();
        let told = wait_until("a proxy that has told all it counted", LONG, async || {
            let look = self.world.watcher.look().await?;
            told.look(&look.telling).then_some(())
        });
        if let Err(error) = told.await {
            self.wrong.push(error.to_string());
        }
    }

    /// What the report says now that all is told: nothing more comes.
    async fn books(&self, seen: &Seen, blows: &[Blow]) -> (Option<Counted>, Account) {
        let path = format!("/api/v1/releases/{}/report", self.release);
        let report = wait_until("the report", LONG, async || {
            let (status, report) = self.world.control.get(&path).await?;
            (status == 200).then_some(report)
        });
        let report = report.await.unwrap_or(Value::Null);
        // Nobody came, so nothing was counted.
        let nothing = || (seen.sent == 0).then(Counted::default);
        let Some(counted) = Counted::of_report(&report).or_else(nothing) else {
            let because = &report["traffic"]["unknown_because"];
            let said = format!("the report does not say what was counted: {because}");
            let account = Account {
                unexplained: vec![said],
                ..Account::default()
            };
            return (None, account);
        };
        let account = reconcile(seen, &counted, &self.excuses(blows));
        (Some(counted), account)
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
        // Nothing of it is left in front of users: everybody has one version.
        let gone = wait_until("a route without this release", LONG, async || {
            let share = self
                .world
                .watcher
                .last()?
                .shares
                .get(&self.release)
                .copied();
            (share.unwrap_or(0) == 0).then_some(())
        });
        if gone.await.is_err() {
            let said = "the proxy still shows a share of it after the end";
            self.wrong.push(said.into());
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
