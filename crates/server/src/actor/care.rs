//! What is known of a service's instances, and when each is to be started again.
//!
//! A stable instance that ended is started again, at once and then with growing pauses.
//! A canary that ended by itself is evidence: it is left as it is, and the engine is
//! told. One that went with its machine or its supervisor speaks for nothing and is
//! started again like any other. Decides nothing about a release and touches nothing;
//! `tend` does what this file says.

use crate::backoff::Backoff;
use crate::clock;
use crate::view::InstanceView;
use crate::world::{Kept, Role};
use esclusa_drivers::run::Pulse;
use esclusa_model::{InstanceId, Millis, ReleaseId, VersionName};
use esclusa_release::InstanceRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A canary that was taken away so often without ending is not healthy either.
const CANARY_STARTS: u32 = 5;

/// How one instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has looked yet, or nobody could tell.
    Unseen,
    /// Its process runs.
    Up {
        /// Where it answers.
        url: Option<String>,
    },
    /// It is gone, and is started again then.
    Down { next: Instant },
    /// It is being started.
    Starting,
    /// It is gone for good.
    Lost,
    /// There is no process here to look after.
    NotOurs,
}

#[derive(Debug, Clone)]
struct Tended {
    role: Role,
    version: VersionName,
    state: State,
    up_since: Option<Instant>,
    restarts: u32,
    /// Whether a start of it has failed since it ran last.
    failed: bool,
    last_end: Option<String>,
    backoff: Backoff,
}

/// What became of an instance, worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// It is gone and is started again after the pause.
    Again { why: String, pause: Duration },
    /// It is gone, and that is the release's concern.
    Evidence { why: String },
    /// It runs.
    Back,
    /// Others keep it, and it is not there.
    NotThere { why: String },
}

/// All instances of one service.
#[derive(Debug, Default)]
pub(super) struct Care {
    tended: BTreeMap<InstanceId, Tended>,
    /// Being started right now, wanted or not.
    starting: BTreeSet<InstanceId>,
    evidence: Option<(ReleaseId, String)>,
    /// Whether a look is under way.
    pub looking: bool,
    pub looked_at: Option<Instant>,
}

impl Care {
    /// Takes over what has to run now; what need not is forgotten.
    pub(super) fn keep(&mut self, kept: &[Kept]) {
        self.tended
            .retain(|id, _| kept.iter().any(|one| one.id == *id));
        for one in kept {
            let known = self.tended.entry(one.id.clone()).or_insert_with(|| Tended {
                role: one.role,
                version: one.version.clone(),
                state: State::Unseen,
                up_since: None,
                restarts: 0,
                failed: false,
                last_end: None,
                backoff: Backoff::default(),
            });
            if known.role != one.role {
                known.role = one.role;
                // As evidence it was left; in any other role it has to run.
                if known.state == State::Lost {
                    known.state = State::Unseen;
                }
            }
        }
    }

    /// What a look at an instance showed.
    pub(super) fn seen(
        &mut self,
        id: &InstanceId,
        pulse: Pulse,
        release: Option<&ReleaseId>,
        now: Instant,
    ) -> Option<News> {
        if self.starting.contains(id) {
            return None;
        }
        let known = self.tended.get_mut(id)?;
        match pulse {
            Pulse::Runs { address, .. } => {
                let url = address
                    .as_ref()
                    .map(esclusa_drivers::run::InstanceAddress::url);
                if !matches!(known.state, State::Up { .. }) {
                    known.up_since = Some(now);
                    known.failed = false;
                }
                known.state = State::Up { url };
                None
            }
            Pulse::CannotTell => {
                known.state = State::NotOurs;
                None
            }
            Pulse::Unknown(_) => None,
            Pulse::Ended { end, output, .. } => {
                let why = format!("it ended with {end}");
                let told = said(&why, &output);
                self.gone(id, why, told, OwnDoing::Yes, release, now)
            }
            Pulse::Taken(why) => self.gone(id, why.clone(), why, OwnDoing::No, release, now),
            Pulse::Absent => {
                let why = "it was never started on this machine".to_owned();
                self.gone(id, why.clone(), why, OwnDoing::No, release, now)
            }
        }
    }

    /// `why` in short, for lists; `told` with its last lines.
    fn gone(
        &mut self,
        id: &InstanceId,
        why: String,
        told: String,
        own: OwnDoing,
        release: Option<&ReleaseId>,
        now: Instant,
    ) -> Option<News> {
        let known = self.tended.get_mut(id)?;
        if matches!(known.state, State::Down { .. } | State::Lost) {
            return None;
        }
        known.last_end = Some(why);
        let spent = own == OwnDoing::Yes || known.restarts >= CANARY_STARTS;
        if known.role == Role::Canary && spent {
            known.state = State::Lost;
            let why = format!("{id} of version {}: {told}", known.version);
            self.accuse(release, &why);
            return Some(News::Evidence { why });
        }
        let lasted = known
            .up_since
            .take()
            .map_or(Duration::ZERO, |since| now - since);
        let pause = known.backoff.pause_after(lasted);
        known.state = State::Down { next: now + pause };
        Some(News::Again { why: told, pause })
    }

    fn accuse(&mut self, release: Option<&ReleaseId>, why: &str) {
        if self.evidence.is_none()
            && let Some(release) = release
        {
            self.evidence = Some((release.clone(), why.to_owned()));
        }
    }

    /// What is due to be started, marked as such.
    pub(super) fn due(&mut self, now: Instant) -> Vec<InstanceId> {
        let due: Vec<InstanceId> = self
            .tended
            .iter()
            .filter(|(id, known)| {
                matches!(known.state, State::Down { next } if next <= now)
                    && !self.starting.contains(*id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in &due {
            if let Some(known) = self.tended.get_mut(id) {
                known.state = State::Starting;
                known.restarts = known.restarts.saturating_add(1);
            }
            self.starting.insert(id.clone());
        }
        due
    }

    /// How a start came out: where it answers, or why it does not run.
    pub(super) fn started(
        &mut self,
        id: &InstanceId,
        outcome: Result<Option<String>, String>,
        release: Option<&ReleaseId>,
        now: Instant,
    ) -> Option<News> {
        self.starting.remove(id);
        let known = self.tended.get_mut(id)?;
        if known.state == State::NotOurs {
            let why = outcome.err()?;
            return Some(News::NotThere { why });
        }
        match outcome {
            Ok(url) => {
                known.up_since = Some(now);
                known.failed = false;
                known.state = State::Up { url };
                Some(News::Back)
            }
            Err(why) if known.role == Role::Canary => {
                known.state = State::Lost;
                known.last_end = Some("it could not be started again".into());
                let why = format!(
                    "{id} of version {} could not be started again: {why}",
                    known.version
                );
                self.accuse(release, &why);
                Some(News::Evidence { why })
            }
            Err(why) => {
                known.failed = true;
                let pause = known.backoff.pause_after(Duration::ZERO);
                known.state = State::Down { next: now + pause };
                Some(News::Again { why, pause })
            }
        }
    }

    /// Whether an instance is being started: nothing else may start or stop any then.
    pub(super) fn is_starting(&self) -> bool {
        !self.starting.is_empty()
    }

    /// Whether nothing is to be started soon.
    pub(super) fn is_calm(&self) -> bool {
        let mut all = self.tended.values();
        all.all(|known| !matches!(known.state, State::Down { .. } | State::Starting))
    }

    /// Whether each instance is known to run, or has been tried.
    pub(super) fn is_settled(&self) -> bool {
        self.looked_at.is_some()
            && self.starting.is_empty()
            && self.tended.values().all(|known| match known.state {
                State::Up { .. } | State::Lost | State::NotOurs => true,
                State::Down { .. } => known.failed,
                State::Unseen | State::Starting => false,
            })
    }

    /// Why this release's canary is not what it was, in words.
    pub(super) fn evidence(&self, release: &ReleaseId) -> Option<String> {
        let (of, why) = self.evidence.as_ref()?;
        (of == release).then(|| why.clone())
    }

    /// A new release begins with nothing held against it.
    pub(super) fn forget_evidence_of_others(&mut self, release: &ReleaseId) {
        self.evidence.take_if(|(of, _)| of != release);
    }

    /// Why going back is not possible right now, if an instance of the version that is
    /// kept warm is known not to run. What nobody could look at keeps nobody here.
    pub(super) fn warm_is_down(&self) -> Option<String> {
        self.tended
            .iter()
            .filter(|(_, known)| known.role == Role::Warm)
            .find(|(_, known)| {
                matches!(
                    known.state,
                    State::Down { .. } | State::Starting | State::Lost
                )
            })
            .map(|(id, known)| {
                let why = known.last_end.as_deref().unwrap_or("it does not run");
                format!(
                    "{id} of version {}, kept warm, is not running: {why}; it is being started \
                     again",
                    known.version
                )
            })
    }

    /// Corrects where instances answer: one that was started again may have another port.
    pub(super) fn place(&self, records: &mut [InstanceRecord]) {
        for record in records {
            if let Some(State::Up { url: Some(url) }) = self.state(&record.id) {
                record.url = Some(url.clone());
            }
        }
    }

    /// Whether [`Care::place`] would change any of these.
    pub(super) fn misplaced(&self, records: &[InstanceRecord]) -> bool {
        records.iter().any(|record| {
            matches!(self.state(&record.id), Some(State::Up { url: Some(url) })
                if record.url.as_ref() != Some(url))
        })
    }

    /// Whether an instance is known not to run: somebody else may have its port by now.
    pub(super) fn is_gone(&self, id: &InstanceId) -> bool {
        matches!(
            self.state(id),
            Some(State::Down { .. } | State::Starting | State::Lost)
        )
    }

    fn state(&self, id: &InstanceId) -> Option<&State> {
        self.tended.get(id).map(|known| &known.state)
    }

    /// As people see it.
    pub(super) fn views(&self, now: Instant) -> Vec<InstanceView> {
        self.tended
            .iter()
            .map(|(id, known)| InstanceView {
                instance: id.to_string(),
                version: known.version.to_string(),
                role: known.role.as_str().to_owned(),
                state: word(&known.state).to_owned(),
                restarts: known.restarts,
                last_end: known.last_end.clone(),
                next_start_us: match known.state {
                    State::Down { next } => {
                        let left = next.saturating_duration_since(now).as_millis();
                        let left = Millis(u64::try_from(left).unwrap_or(u64::MAX));
                        // To the second, so that the view changes when something does.
                        let at = clock::now().plus(left).0;
                        Some(at - at.rem_euclid(1_000_000))
                    }
                    _ => None,
                },
            })
            .collect()
    }
}

/// Whose doing an end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnDoing {
    Yes,
    No,
}

fn said(why: &str, output: &str) -> String {
    match output.trim_end() {
        "" => why.to_owned(),
        lines => format!("{why}; its last lines: {lines}"),
    }
}

const fn word(state: &State) -> &'static str {
    match state {
        State::Unseen => "unknown",
        State::Up { .. } => "up",
        State::Down { .. } | State::Lost => "down",
        State::Starting => "starting",
        State::NotOurs => "run by others",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Drivers;
    use esclusa_drivers::run::{InstanceAddress, InstanceSpec, RunSettings};
    use esclusa_drivers::{Identity, Placeholders};
    use esclusa_model::{ComponentKind, Digest, Track, VersionRef};
    use esclusa_shim::{End, ShimCommand};

    fn one(id: &str, role: Role) -> Kept {
        let shim = ShimCommand {
            program: "/bin/false".into(),
            args: Vec::new(),
        };
        let drivers = Drivers::new(&RunSettings { shim });
        let version: VersionName = "v1".parse().expect("a name");
        let id: InstanceId = id.parse().expect("an id");
        Kept {
            id: id.clone(),
            role,
            version: version.clone(),
            spec: InstanceSpec {
                identity: Identity {
                    service: "shop".parse().expect("a name"),
                    component: "web".parse().expect("a name"),
                    kind: ComponentKind::Web,
                    version: VersionRef {
                        name: version,
                        digest: Digest::of(b"v1"),
                        verified: true,
                    },
                    release: release(),
                    instance: id,
                    track: Track::Stable,
                },
                dir: None,
                config: serde_json::Value::Null,
                base_dir: "/".into(),
                data_dir: "/".into(),
                placeholders: Placeholders::new(),
            },
            driver: drivers.run("process").expect("there is one").clone(),
        }
    }

    fn release() -> ReleaseId {
        "r-1".parse().expect("an id")
    }

    fn runs(port: u16) -> Pulse {
        let address = Some(InstanceAddress::local(port));
        Pulse::Runs { address, pid: 7 }
    }

    fn ended() -> Pulse {
        Pulse::Ended {
            end: End::Code(3),
            at: esclusa_model::Timestamp(1),
            output: "boom\n".into(),
        }
    }

    /// What `role` looks like after a look that showed each of these.
    fn after(role: Role, pulses: &[Pulse]) -> (Care, InstanceId, Option<News>) {
        let mut care = Care::default();
        let kept = [one("web-0", role)];
        care.keep(&kept);
        let id = kept[0].id.clone();
        let mut news = None;
        for pulse in pulses {
            news = care.seen(&id, pulse.clone(), Some(&release()), Instant::now());
            care.looked_at = Some(Instant::now());
        }
        (care, id, news)
    }

    // HLT-07: a stable version is started again however it ended, with growing pauses.
    #[test]
    fn a_stable_instance_is_started_again_and_counted() {
        let (mut care, id, news) = after(Role::Stable, &[runs(80), ended()]);
        let Some(News::Again { why, pause }) = news else {
            panic!("{news:?}");
        };
        assert_eq!(
            (why.as_str(), pause),
            (
                "it ended with exit code 3; its last lines: boom",
                Duration::ZERO
            )
        );
        assert!(care.is_gone(&id) && !care.is_settled());
        let now = Instant::now();
        assert_eq!(care.due(now), std::slice::from_ref(&id));
        assert_eq!(care.due(now), [], "once only");
        assert!(care.is_starting());
        // What a look shows meanwhile is about the process before.
        assert_eq!(care.seen(&id, ended(), None, now), None);
        let news = care.started(&id, Err("no memory".into()), None, now);
        assert!(matches!(news, Some(News::Again { pause, .. }) if pause > Duration::ZERO));
        assert!(care.is_settled(), "it was tried");
        assert_eq!(care.due(now), [], "not before its time");
        let later = now + Duration::from_secs(60);
        assert_eq!(care.due(later), std::slice::from_ref(&id));
        care.started(&id, Ok(Some("http://127.0.0.1:81".into())), None, now);
        let view = &care.views(now)[0];
        assert_eq!((view.state.as_str(), view.restarts), ("up", 2));
        assert_eq!(view.last_end.as_deref(), Some("it ended with exit code 3"));
        assert_eq!(care.evidence(&release()), None);
    }

    // RBK-10: an end of its own is evidence, and what is evidence is left as it is.
    #[test]
    fn a_canary_that_ended_is_evidence_and_one_that_was_taken_is_not() {
        let (mut care, _, news) = after(Role::Canary, &[runs(80), ended(), ended()]);
        assert_eq!(news, None, "told once");
        let told = care.evidence(&release()).expect("evidence");
        assert_eq!(
            told,
            "web-0 of version v1: it ended with exit code 3; its last lines: boom"
        );
        assert_eq!(care.due(Instant::now() + Duration::from_secs(600)), []);
        let other: ReleaseId = "r-2".parse().expect("an id");
        assert_eq!(care.evidence(&other), None);
        care.forget_evidence_of_others(&other);
        assert_eq!(care.evidence(&release()), None);

        let taken = Pulse::Taken("it is gone together with its supervisor".into());
        let (mut care, id, news) = after(Role::Canary, std::slice::from_ref(&taken));
        assert!(matches!(news, Some(News::Again { .. })));
        // Not for ever.
        for _ in 0..CANARY_STARTS {
            let later = Instant::now() + Duration::from_secs(60);
            assert_eq!(care.due(later), std::slice::from_ref(&id));
            care.started(&id, Ok(None), None, Instant::now());
            assert_eq!(care.evidence(&release()), None);
            care.seen(&id, taken.clone(), Some(&release()), Instant::now());
        }
        assert!(care.evidence(&release()).is_some());

        // A start that fails is its own doing again.
        let (mut care, id, _) = after(Role::Canary, &[taken]);
        care.due(Instant::now());
        care.started(
            &id,
            Err("exit code 1".into()),
            Some(&release()),
            Instant::now(),
        );
        let told = care.evidence(&release()).expect("evidence");
        assert!(
            told.ends_with("could not be started again: exit code 1"),
            "{told}"
        );
    }

    #[test]
    fn a_warm_version_that_is_down_is_not_called_warm() {
        let (care, ..) = after(Role::Warm, &[]);
        assert_eq!(care.warm_is_down(), None, "nobody has looked");
        let (mut care, id, _) = after(Role::Warm, &[runs(80), Pulse::Absent]);
        let why = care.warm_is_down().expect("down");
        assert!(
            why.contains("web-0 of version v1, kept warm, is not running"),
            "{why}"
        );
        care.due(Instant::now());
        assert!(care.warm_is_down().is_some(), "on its way is not there");
        care.started(&id, Ok(None), None, Instant::now());
        assert_eq!(care.warm_is_down(), None);
    }

    #[test]
    fn what_runs_elsewhere_now_is_found_there() {
        let (mut care, id, _) = after(Role::Stable, &[runs(81)]);
        let mut records = [InstanceRecord {
            id: id.clone(),
            component: "web".parse().expect("a name"),
            kind: ComponentKind::Web,
            url: Some("http://127.0.0.1:80".into()),
            host_header: None,
            ca_file: None,
        }];
        assert!(care.misplaced(&records));
        care.place(&mut records);
        assert_eq!(records[0].url.as_deref(), Some("http://127.0.0.1:81"));
        assert!(!care.misplaced(&records));
        // What nobody can tell changes nothing.
        care.seen(&id, Pulse::Unknown("busy".into()), None, Instant::now());
        assert!(!care.is_gone(&id));
        care.keep(&[]);
        assert!(!care.is_gone(&id) && care.views(Instant::now()).is_empty());
    }
}
