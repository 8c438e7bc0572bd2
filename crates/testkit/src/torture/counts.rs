//! Whether every request of a release is accounted for: what its users saw beside what
//! the proxy counted and the report says.
//!
//! Pure. Each rule is an equation over counts, so that one request too many or too few
//! anywhere is a finding. The only thing that is ever allowed to be missing is what a
//! proxy that was killed had not written down yet, and that is named and bounded.

use crate::load::LoadReport;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Requests by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ends {
    /// All of them.
    pub requests: u64,
    /// Of these, failed ones.
    pub failed: u64,
}

/// What users saw. Every request that was sent is in exactly one place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Seen {
    /// Sent.
    pub sent: u64,
    /// Owed by the schedule and never sent.
    pub not_sent: u64,
    /// Replies of a version, by its name.
    pub versions: BTreeMap<String, Ends>,
    /// Replies that named no version: the proxy's own.
    pub unnamed: u64,
    /// No complete reply though a connection stood.
    pub broken: u64,
    /// No connection could be made, so no proxy has seen it.
    pub refused: u64,
}

impl Seen {
    /// What a load generator counted.
    #[must_use]
    pub fn of(load: &LoadReport) -> Self {
        let mut seen = Self {
            sent: load.sent,
            not_sent: load.not_sent,
            ..Self::default()
        };
        for (name, counts) in &load.by_version {
            if name.is_empty() {
                seen.unnamed += counts.ok + counts.failed;
            } else {
                let ends = seen.versions.entry(name.clone()).or_default();
                ends.requests += counts.ok + counts.failed;
                ends.failed += counts.failed;
            }
        }
        for (kind, n) in &load.transport {
            if kind == "connect" {
                seen.refused += n;
            } else {
                seen.broken += n;
            }
        }
        seen
    }

    /// Requests that reached a proxy, or may have.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.named() + self.unnamed + self.broken
    }

    fn named(&self) -> u64 {
        self.versions.values().map(|ends| ends.requests).sum()
    }

    /// Requests that ended badly for whoever sent them.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let named: u64 = self.versions.values().map(|ends| ends.failed).sum();
        named + self.unnamed + self.broken + self.refused
    }
}

/// What was counted of a release, by the version that each request was meant for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counted {
    /// By the version's name, or its digest where nobody names it.
    pub versions: BTreeMap<String, Ends>,
}

impl Counted {
    /// What a release's report says; nothing where it says that nothing is known.
    #[must_use]
    pub fn of_report(report: &Value) -> Option<Self> {
        let traffic = &report["traffic"];
        if !traffic["unknown_because"].is_null() {
            return None;
        }
        let mut counted = Self::default();
        for version in traffic["versions"].as_array()? {
            let name = version["name"].as_str().or(version["digest"].as_str())?;
            let ends = counted.versions.entry(name.to_owned()).or_default();
            ends.requests += version["requests"].as_u64()?;
            ends.failed += version["failures"].as_u64()?;
        }
        Some(counted)
    }

    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.versions.values().map(|ends| ends.requests).sum()
    }

    fn failed(&self) -> u64 {
        self.versions.values().map(|ends| ends.failed).sum()
    }

    fn of(&self, version: &str) -> Ends {
        self.versions.get(version).copied().unwrap_or_default()
    }
}

/// What was done to a release, as far as it excuses a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Excuses {
    /// Versions that answer with errors by plan.
    pub failing: Vec<String>,
    /// Versions of which a process was killed: the proxy answers for it meanwhile.
    pub killed: Vec<String>,
    /// Kills of the proxy, each with the replies of the second before it: what it may
    /// not have written down yet.
    pub proxy_kills: Vec<u64>,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Account {
    /// What does not add up, in words with numbers; empty when everything does.
    pub unexplained: Vec<String>,
    /// Requests that a killed proxy took with it.
    pub unaccounted: u64,
    /// How many of those could have been lost at most.
    pub at_risk: u64,
}

impl Account {
    /// Whether every request is explained.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unexplained.is_empty()
    }
}

/// Compares what was seen with what was counted.
#[must_use]
pub fn reconcile(seen: &Seen, counted: &Counted, excuses: &Excuses) -> Account {
    let mut account = Account {
        at_risk: excuses.proxy_kills.iter().sum(),
        ..Account::default()
    };
    if excuses.proxy_kills.is_empty() {
        exact(seen, counted, &mut account);
    } else {
        bounded(seen, counted, &mut account);
    }
    whole(seen, &mut account);
    excused(seen, counted, excuses, &mut account);
    account
}

/// The client's own book: everything that was owed was sent, and ended once.
fn whole(seen: &Seen, account: &mut Account) {
    let ended = seen.reached() + seen.refused;
    if ended != seen.sent {
        let said = format!("{} requests were sent and {ended} ended", seen.sent);
        account.unexplained.push(said);
    }
    if seen.not_sent > 0 {
        let said = format!("{} requests were owed and never sent", seen.not_sent);
        account.unexplained.push(said);
    }
}

/// Nobody lost anything: all counts are equal.
fn exact(seen: &Seen, counted: &Counted, account: &mut Account) {
    let mut say = |said: String| account.unexplained.push(said);
    if seen.reached() != counted.requests() {
        say(format!(
            "users had {} requests with a proxy, {} were counted",
            seen.reached(),
            counted.requests()
        ));
    }
    for (name, here, there) in versions(seen, counted) {
        // What nobody answered was counted for the version that should have.
        let more = there.requests.checked_sub(here.requests);
        let failed = there.failed.checked_sub(here.failed);
        match (more, failed) {
            (Some(more), Some(failed)) if failed <= more => {}
            _ => say(format!(
                "{name}: users had {} replies, {} of them failed; counted were {} and {}",
                here.requests, here.failed, there.requests, there.failed
            )),
        }
    }
    let unanswered = seen.unnamed + seen.broken;
    let named_failed: u64 = seen.versions.values().map(|ends| ends.failed).sum();
    let charged = counted.failed().saturating_sub(named_failed);
    // A client that gave up is counted, but no failure of a version.
    if charged > unanswered || charged < seen.unnamed {
        say(format!(
            "{} requests got no version's reply, {charged} were charged to versions",
            unanswered
        ));
    }
}

/// A killed proxy may have taken its last second with it, and nothing else.
fn bounded(seen: &Seen, counted: &Counted, account: &mut Account) {
    let lost = seen.reached().saturating_sub(counted.requests());
    let more = counted.requests().saturating_sub(seen.reached());
    account.unaccounted = lost;
    if lost > account.at_risk + seen.broken {
        account.unexplained.push(format!(
            "{lost} requests are missing, and the killed proxy can have taken {} at most",
            account.at_risk + seen.broken
        ));
    }
    if more > 0 {
        account.unexplained.push(format!(
            "{more} more requests were counted than users ever had with a proxy"
        ));
    }
    let unanswered = seen.unnamed + seen.broken;
    for (name, here, there) in versions(seen, counted) {
        let least = here.requests.saturating_sub(account.at_risk);
        let most = here.requests + unanswered;
        if there.requests < least || there.requests > most {
            account.unexplained.push(format!(
                "{name}: users had {} replies, {} were counted, {least} to {most} can be right",
                here.requests, there.requests
            ));
        }
    }
}

/// No request may fail without a reason that was planted.
fn excused(seen: &Seen, counted: &Counted, excuses: &Excuses, account: &mut Account) {
    let mut say = |said: String| account.unexplained.push(said);
    let proxy_killed = !excuses.proxy_kills.is_empty();
    for (name, ends) in &seen.versions {
        if ends.failed > 0 && !excuses.failing.contains(name) {
            say(format!(
                "{name} answered {} requests with an error and is a good version",
                ends.failed
            ));
        }
    }
    if seen.unnamed > 0 && excuses.killed.is_empty() {
        say(format!(
            "the proxy itself answered {} requests though no version was killed",
            seen.unnamed
        ));
    }
    if seen.broken > 0 && !proxy_killed && excuses.killed.is_empty() {
        say(format!("{} replies broke off", seen.broken));
    }
    if seen.refused > 0 && !proxy_killed {
        say(format!("{} connections were refused", seen.refused));
    }
    for (name, there) in &counted.versions {
        let planted = excuses.failing.contains(name) || excuses.killed.contains(name);
        if there.failed > 0 && !planted && !proxy_killed {
            say(format!(
                "{} failures were charged to {name}, which nobody touched",
                there.failed
            ));
        }
    }
}

fn versions<'a>(
    seen: &'a Seen,
    counted: &'a Counted,
) -> impl Iterator<Item = (&'a str, Ends, Ends)> {
    let names: std::collections::BTreeSet<&str> = seen
        .versions
        .keys()
        .chain(counted.versions.keys())
        .map(String::as_str)
        .collect();
    names.into_iter().map(|name| {
        let here = seen.versions.get(name).copied().unwrap_or_default();
        (name, here, counted.of(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ends(requests: u64, failed: u64) -> Ends {
        Ends { requests, failed }
    }

    fn versions_of(list: &[(&str, u64, u64)]) -> BTreeMap<String, Ends> {
        list.iter()
            .map(|(name, requests, failed)| ((*name).to_owned(), ends(*requests, *failed)))
            .collect()
    }

    fn seen(list: &[(&str, u64, u64)], unnamed: u64, broken: u64) -> Seen {
        let versions = versions_of(list);
        let named: u64 = versions.values().map(|ends| ends.requests).sum();
        Seen {
            sent: named + unnamed + broken,
            versions,
            unnamed,
            broken,
            ..Seen::default()
        }
    }

    fn counted(list: &[(&str, u64, u64)]) -> Counted {
        Counted {
            versions: versions_of(list),
        }
    }

    fn killed(name: &str) -> Excuses {
        Excuses {
            killed: vec![name.to_owned()],
            ..Excuses::default()
        }
    }

    #[test]
    fn equal_books_are_clean() {
        let account = reconcile(
            &seen(&[("v1", 900, 0), ("v2", 100, 0)], 0, 0),
            &counted(&[("v1", 900, 0), ("v2", 100, 0)]),
            &Excuses::default(),
        );
        assert_eq!(account, Account::default());
    }

    /// The planted miscounts: one request more or less anywhere is a finding.
    #[test]
    fn one_request_too_many_or_too_few_is_found() {
        let here = seen(&[("v1", 900, 0), ("v2", 100, 0)], 0, 0);
        for there in [
            [("v1", 899, 0), ("v2", 100, 0)],
            [("v1", 901, 0), ("v2", 100, 0)],
            [("v1", 900, 0), ("v2", 99, 0)],
            // The sum is right and the split is not.
            [("v1", 901, 0), ("v2", 99, 0)],
            [("v1", 900, 0), ("v2", 100, 1)],
            [("v1", 900, 1), ("v2", 100, 0)],
        ] {
            let account = reconcile(&here, &counted(&there), &Excuses::default());
            assert!(!account.is_clean(), "{there:?}");
        }
        let stranger = counted(&[("v1", 900, 0), ("v2", 100, 0), ("v0", 1, 0)]);
        assert!(!reconcile(&here, &stranger, &Excuses::default()).is_clean());
        // Also a client that loses one.
        let mut lost = here.clone();
        lost.sent += 1;
        let right = counted(&[("v1", 900, 0), ("v2", 100, 0)]);
        assert!(!reconcile(&lost, &right, &Excuses::default()).is_clean());
        let mut owed = here;
        owed.not_sent = 1;
        assert!(!reconcile(&owed, &right, &Excuses::default()).is_clean());
    }

    #[test]
    fn a_failing_version_is_excused_to_the_last_failure() {
        let failing = Excuses {
            failing: vec!["v2".into()],
            ..Excuses::default()
        };
        let here = seen(&[("v1", 900, 0), ("v2", 100, 60)], 0, 0);
        let right = counted(&[("v1", 900, 0), ("v2", 100, 60)]);
        assert!(reconcile(&here, &right, &failing).is_clean());
        assert!(!reconcile(&here, &right, &Excuses::default()).is_clean());
        for wrong in [59, 61] {
            let wrong = counted(&[("v1", 900, 0), ("v2", 100, wrong)]);
            assert!(!reconcile(&here, &wrong, &failing).is_clean());
        }
    }

    #[test]
    fn a_killed_version_has_what_the_proxy_answered_for_it() {
        let here = seen(&[("v1", 900, 0), ("v2", 80, 0)], 20, 0);
        let right = counted(&[("v1", 900, 0), ("v2", 100, 20)]);
        assert!(reconcile(&here, &right, &killed("v2")).is_clean());
        // Nobody killed it.
        assert!(!reconcile(&here, &right, &Excuses::default()).is_clean());
        // Charged to the one that was not killed.
        let wrong = counted(&[("v1", 920, 20), ("v2", 80, 0)]);
        assert!(!reconcile(&here, &wrong, &killed("v2")).is_clean());
        // One of them was not charged at all.
        let wrong = counted(&[("v1", 900, 0), ("v2", 100, 19)]);
        assert!(!reconcile(&here, &wrong, &killed("v2")).is_clean());
    }

    #[test]
    fn a_killed_proxy_takes_a_slice_and_no_more() {
        let killed = Excuses {
            proxy_kills: vec![50],
            ..Excuses::default()
        };
        let mut here = seen(&[("v1", 900, 0), ("v2", 100, 0)], 0, 3);
        here.sent += 7;
        here.refused = 7;
        let account = reconcile(&here, &counted(&[("v1", 860, 0), ("v2", 95, 0)]), &killed);
        assert_eq!((account.is_clean(), account.unaccounted), (true, 48));
        let account = reconcile(&here, &counted(&[("v1", 850, 0), ("v2", 99, 0)]), &killed);
        assert!(!account.is_clean(), "54 of at most 53");
        let account = reconcile(&here, &counted(&[("v1", 900, 0), ("v2", 104, 0)]), &killed);
        assert!(!account.is_clean(), "counted what nobody sent");
        let account = reconcile(&here, &counted(&[("v1", 960, 0), ("v2", 40, 0)]), &killed);
        assert!(!account.is_clean(), "the sum is right and the split is not");
        // Without a kill nobody may be refused.
        here.broken = 0;
        here.sent -= 3;
        let right = counted(&[("v1", 900, 0), ("v2", 100, 0)]);
        assert!(!reconcile(&here, &right, &Excuses::default()).is_clean());
    }

    #[test]
    fn a_report_is_read_and_unknown_is_not_zero() {
        let report = json!({ "traffic": { "versions": [
            { "digest": "sha256:1", "name": "v1", "requests": 5, "failures": 0, "p95_ms": null },
            { "digest": "sha256:2", "name": null, "requests": 2, "failures": 1, "p95_ms": 1.0 },
        ], "unknown_because": null } });
        let read = Counted::of_report(&report);
        assert_eq!(read, Some(counted(&[("v1", 5, 0), ("sha256:2", 2, 1)])));
        let unknown = json!({ "traffic": { "versions": [], "unknown_because": "no disk" } });
        assert_eq!(Counted::of_report(&unknown), None);
    }

    #[test]
    fn a_load_report_is_read() {
        let mut load = LoadReport {
            sent: 20,
            ..LoadReport::default()
        };
        let version = |ok, failed| crate::load::VersionReport {
            ok,
            failed,
            ..crate::load::VersionReport::default()
        };
        load.by_version.insert("v1".into(), version(10, 1));
        load.by_version.insert(String::new(), version(0, 4));
        load.transport.insert("connect".into(), 2);
        load.transport.insert("reset".into(), 3);
        let seen = Seen::of(&load);
        assert_eq!((seen.reached(), seen.failed()), (18, 10));
        assert_eq!(seen.versions["v1"], ends(11, 1));
        assert_eq!((seen.unnamed, seen.broken, seen.refused), (4, 3, 2));
    }
}
