//! What is wrong with this machine's own parts, told as alarms that end when it is well.
//!
//! A condition is an alarm once it has lasted; each look that shows it anew is counted
//! into the same incident. Looked at twice a second by nobody: once is enough.

use super::follow::OWN;
use super::notice::{Act, Kind, Notice};
use super::{Notifier, lock};
use crate::app::App;
use crate::clock;
use crate::view::ServiceView;
use esclusa_model::Timestamp;
use esclusa_store::{IncidentKey, IncidentStep};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long something must be wrong before people are told: a restart is no alarm.
const LASTING: Duration = Duration::from_secs(10);
/// Longest wait for the store, before an alarm is told past it.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// How long it must be well before it is over.
const CALM: Duration = Duration::from_secs(30);
/// How often an instance must have been lost within [`OFTEN_WITHIN`].
const OFTEN: usize = 3;
const OFTEN_WITHIN: Duration = Duration::from_secs(600);

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong {
    key: IncidentKey,
    notice: Notice,
    /// Counts up with each new occurrence, where there are several.
    times: u64,
    /// How long it must have lasted to be an alarm.
    lasting: Duration,
}

/// A condition as it was seen so far.
#[derive(Debug, Clone)]
struct Condition {
    since: Timestamp,
    seen: Timestamp,
    /// Occurrences that were told.
    told: u64,
    /// Whether it was told past the store.
    past_store: bool,
}

/// Looks until the program ends.
pub(super) async fn watch(notifier: Arc<Notifier>, app: Arc<App>) {
    let mut watch = Watch::default();
    loop {
        let views = app.services().await;
        let mut wrong = watch.instances(&views, clock::now());
        wrong.extend(proxy(&app));
        wrong.extend(store(&app, &views).await);
        wrong.extend(audit(&app));
        watch.tell(&notifier, wrong).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn concerning_all(kind: Kind, reason: &str, lasting: Duration) -> Wrong {
    Wrong {
        key: IncidentKey {
            service: String::new(),
            event: kind.as_str().to_owned(),
            cause: String::new(),
        },
        notice: Notice::new(kind, "", clock::now()).with("reason", reason),
        times: 1,
        lasting,
    }
}

fn proxy(app: &App) -> Option<Wrong> {
    let contact = app.shared.dataplane.contact();
    let contact = contact.borrow();
    let trouble = contact.care.trouble.as_ref().or(contact.trouble.as_ref())?;
    Some(concerning_all(Kind::ProxyDown, trouble, LASTING))
}

async fn store(app: &App, views: &[ServiceView]) -> Option<Wrong> {
    let unrecorded = views.iter().find_map(|view| {
        let release = view.release.as_ref()?;
        release.not_recorded_because.clone()
    });
    let why = match unrecorded {
        Some(why) => why,
        None => match app.shared.store.check_in_place() {
            Ok(()) => return None,
            Err(error) => format!("{error}; {}", error.next_step()),
        },
    };
    Some(concerning_all(Kind::StoreFailing, &why, LASTING))
}

fn audit(app: &App) -> Option<Wrong> {
    let found = app.shared.store.last_verification()?;
    let first = found.broken.first()?;
    Some(concerning_all(
        Kind::AuditDamaged,
        &first.to_string(),
        Duration::ZERO,
    ))
}

#[derive(Default)]
struct Watch {
    conditions: BTreeMap<IncidentKey, Condition>,
    /// When each instance was lost lately, newest last, and its count of restarts.
    losses: BTreeMap<(String, String), (u32, Vec<Timestamp>)>,
    /// Alarms that are open in the store and were not looked after by this process yet.
    adopted: bool,
}

impl Watch {
    /// Instances that have to run and do not stay up. A canary that ends is evidence for
    /// its release, which tells of it; it is not told twice.
    fn instances(&mut self, views: &[ServiceView], now: Timestamp) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut present = BTreeSet::new();
        for view in views {
            for one in view.instances.iter().filter(|one| one.role != "canary") {
                let id = (view.service.clone(), one.instance.clone());
                present.insert(id.clone());
                let (restarts, lost) = self.losses.entry(id).or_insert((one.restarts, Vec::new()));
                if one.restarts > *restarts {
                    *restarts = one.restarts;
                    lost.push(now);
                }
                lost.retain(|at| now.since(*at).as_std() < OFTEN_WITHIN);
                lost.truncate(1_000);
                let often = lost.len() >= OFTEN;
                let down = matches!(one.state.as_str(), "down" | "starting");
                let shaky = lost.last().is_some_and(|at| now.since(*at).as_std() < CALM);
                if !(down || often && shaky) {
                    continue;
                }
                let reason = one.last_end.as_deref().unwrap_or("it does not run");
                let mut notice = Notice::new(Kind::InstanceDown, &view.service, now)
                    .with("reason", reason)
                    .with("component", component_of(&one.instance))
                    .with("instance", &one.instance)
                    .with("role", &one.role);
                notice.version = Some(one.version.clone());
                notice.acts = vec![Act::Look];
                wrong.push(Wrong {
                    key: IncidentKey {
                        service: view.service.clone(),
                        event: Kind::InstanceDown.as_str().to_owned(),
                        cause: one.instance.clone(),
                    },
                    notice,
                    times: u64::from(one.restarts).max(1),
                    lasting: if often { Duration::ZERO } else { LASTING },
                });
            }
        }
        self.losses.retain(|id, _| present.contains(id));
        wrong
    }

    /// Tells of what has lasted, and of what is over.
    async fn tell(&mut self, notifier: &Notifier, wrong: Vec<Wrong>) {
        let now = clock::now();
        for one in &wrong {
            let condition = self
                .conditions
                .entry(one.key.clone())
                .or_insert_with(|| Condition {
                    since: now,
                    seen: now,
                    told: 0,
                    past_store: false,
                });
            condition.seen = now;
            if condition.told < one.times && now.since(condition.since).as_std() >= one.lasting {
                raise(notifier, one, condition, now).await;
            }
        }
        self.end(notifier, now).await;
    }

    async fn end(&mut self, notifier: &Notifier, now: Timestamp) {
        let over: Vec<IncidentKey> = self
            .conditions
            .iter()
            .filter(|(_, condition)| now.since(condition.seen).as_std() >= CALM)
            .map(|(key, _)| key.clone())
            .collect();
        if over.is_empty() && self.adopted {
            return;
        }
        let Ok(open) = notifier.store.incidents().await else {
            return;
        };
        if !self.adopted {
            self.adopted = true;
            // What an earlier process told of is over when it is not seen any more.
            for incident in open.iter().filter(|i| i.key.event.starts_with("health.")) {
                self.conditions
                    .entry(incident.key.clone())
                    .or_insert(Condition {
                        since: now,
                        seen: now,
                        told: 0,
                        past_store: false,
                    });
            }
            return;
        }
        for key in over {
            if let Some(incident) = open.iter().find(|incident| incident.key == key) {
                notifier.end_incident(incident).await;
            }
            self.conditions.remove(&key);
        }
    }
}

/// The component in an instance's id: `web` of `web-0-a1b2c3d4e5f6`.
fn component_of(instance: &str) -> &str {
    instance.rsplitn(3, '-').nth(2).unwrap_or(instance)
}

/// Puts an alarm into the outbox; where nothing can be recorded, straight to the couriers.
async fn raise(notifier: &Notifier, one: &Wrong, condition: &mut Condition, now: Timestamp) {
    let mut addressed = notifier.addressed((one.notice.clone(), Some(one.key.clone())));
    let channels = addressed.channels.clone();
    if condition.past_store {
        addressed.channels.clear();
    }
    let noting = notifier
        .store
        .note_own(OWN, &addressed, &IncidentStep::None, now);
    let noted = match tokio::time::timeout(STORE_PATIENCE, noting).await {
        Ok(noted) => noted.map_err(|error| error.to_string()),
        Err(_) => Err("the store does not answer".to_owned()),
    };
    match noted {
        Ok(()) => {
            condition.told = one.times;
            notifier.poke();
        }
        Err(error) if !condition.past_store => {
            tracing::warn!(
                error,
                "An alarm cannot be recorded and is told all the same"
            );
            condition.past_store = true;
            let urgent = lock(&notifier.urgent).clone();
            for channel in channels {
                if let Some(courier) = urgent.get(&channel)
                    && courier.try_send(one.notice.clone()).is_err()
                {
                    tracing::error!(channel, "Too many alarms wait for this channel");
                }
            }
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::InstanceView;

    fn view(restarts: u32, state: &str, role: &str) -> ServiceView {
        let name: esclusa_model::ServiceName = "shop".parse().expect("a name");
        let mut view = ServiceView::unknown(&name);
        view.instances = vec![InstanceView {
            instance: "web-0-a1b2c3d4e5f6".into(),
            version: "1".into(),
            role: role.into(),
            state: state.into(),
            restarts,
            last_end: Some("it ended with exit code 3".into()),
            next_start_us: None,
        }];
        view
    }

    // HLT-06: one incident, and not the one that a rollback tells of.
    #[test]
    fn an_instance_that_keeps_dying_is_one_alarm_and_a_canary_is_none() {
        let at = |second: i64| Timestamp(second * 1_000_000);
        let mut watch = Watch::default();
        assert!(
            watch
                .instances(&[view(0, "up", "stable")], at(0))
                .is_empty()
        );
        // One loss is no alarm by itself: it must last.
        let once = watch.instances(&[view(1, "down", "stable")], at(1));
        assert_eq!(once[0].lasting, LASTING);
        assert!(
            watch
                .instances(&[view(1, "up", "stable")], at(2))
                .is_empty()
        );
        for n in 2..=3 {
            watch.instances(&[view(n, "down", "stable")], at(i64::from(n) + 1));
        }
        let often = watch.instances(&[view(3, "up", "stable")], at(5));
        assert_eq!(often.len(), 1);
        assert_eq!((often[0].lasting, often[0].times), (Duration::ZERO, 3));
        assert_eq!(often[0].key, once[0].key);
        let message = often[0].notice.message(
            esclusa_drivers::notify::Language::En,
            esclusa_drivers::notify::Audience::Team,
            "esclusa",
            &[],
        );
        assert_eq!(
            message.title,
            "web health check failed: it ended with exit code 3"
        );
        // It is calm again.
        assert!(
            watch
                .instances(&[view(3, "up", "stable")], at(60))
                .is_empty()
        );
        assert!(
            watch
                .instances(&[view(9, "down", "canary")], at(61))
                .is_empty()
        );
        assert!(watch.losses.is_empty());
    }
}
