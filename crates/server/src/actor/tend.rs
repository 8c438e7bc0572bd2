//! Looks at the service's instances, and starts again what has to run.

use super::care::News;
use super::{Message, ServiceActor};
use crate::world::{Kept, Role, driver_reason, join_all, kept};
use esclusa_drivers::run::{InstanceAddress, Pulse};
use esclusa_model::InstanceId;
use esclusa_release::{InstanceRecord, Release, Service, Task};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// How often instances are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whether a task starts or stops instances itself.
pub(super) const fn moves_instances(task: Task) -> bool {
    matches!(
        task,
        Task::Deploy | Task::HandOver | Task::HandBack | Task::StopCanary
    )
}

impl ServiceActor {
    /// Looks when it is time, and starts what is due.
    pub(super) fn tend(&mut self) {
        let now = Instant::now();
        let look = !self.care.looking
            && self
                .care
                .looked_at
                .is_none_or(|at| now.duration_since(at) >= LOOK_EVERY);
        if look {
            let kept = self.kept();
            self.care.keep(&kept);
            self.look(kept);
        }
        if !self.instances_move() {
            self.start_due(now);
        }
        let settled = self.care.is_settled();
        self.settled.send_if_modified(|known| {
            let changed = *known != settled;
            *known = settled;
            changed
        });
    }

    fn kept(&self) -> Vec<Kept> {
        kept(
            &self.shared,
            &self.service,
            self.run.as_ref().map(|run| &run.release),
            self.stopping_warm || self.warm_is_over(),
        )
    }

    fn instances_move(&self) -> bool {
        self.run.as_ref().is_some_and(|run| {
            let mut tasks = run.running.keys().chain(&run.cancelled);
            tasks.any(|task| moves_instances(*task))
        })
    }

    fn look(&mut self, kept: Vec<Kept>) {
        if kept.is_empty() {
            self.care.looked_at = Some(Instant::now());
            return;
        }
        self.care.looking = true;
        let own = self.own.clone();
        tokio::spawn(async move {
            let looks = kept.into_iter().map(|one| async move {
                let pulse = one.driver.pulse(&one.spec).await;
                (one.id, pulse)
            });
            let seen = join_all(looks).await;
            // The actor lives as long as the program.
            let _ = own.send(Message::Seen(seen)).await;
        });
    }

    /// What a look showed. Much may have changed since it began.
    pub(super) fn seen(&mut self, seen: Vec<(InstanceId, Pulse)>) {
        let kept = self.kept();
        self.care.keep(&kept);
        let now = Instant::now();
        let release = self.run.as_ref().map(|run| run.id().clone());
        let moving = self.instances_move();
        for (id, pulse) in seen {
            let foreign = pulse == Pulse::CannotTell;
            let first = foreign && self.care.looked_at.is_none();
            if moving && !matches!(pulse, Pulse::Runs { .. }) {
                // Just being started or stopped: the next look tells more.
                continue;
            }
            let news = self.care.seen(&id, pulse, release.as_ref(), now);
            self.tell_news(&id, news);
            // What keeps no process is asked once to be there, as after a reboot.
            let stable = kept
                .iter()
                .find(|one| one.id == id && one.role == Role::Stable);
            if first && let Some(one) = stable {
                self.start(one.clone());
            }
        }
        self.care.looking = false;
        self.care.looked_at = Some(now);
    }

    fn start_due(&mut self, now: Instant) {
        let due = self.care.due(now);
        if due.is_empty() {
            return;
        }
        for one in self.kept() {
            if due.contains(&one.id) {
                self.start(one);
            }
        }
    }

    fn start(&self, one: Kept) {
        let own = self.own.clone();
        tokio::spawn(async move {
            let started = one.driver.start(&one.spec).await;
            let outcome = started
                .map(|running| running.address.as_ref().map(InstanceAddress::url))
                .map_err(|error| driver_reason(&error));
            let _ = own.send(Message::Started(one.id, outcome)).await;
        });
    }

    /// How a start came out.
    pub(super) fn started(&mut self, id: &InstanceId, outcome: Result<Option<String>, String>) {
        let release = self.run.as_ref().map(|run| run.id().clone());
        let news = self
            .care
            .started(id, outcome, release.as_ref(), Instant::now());
        self.tell_news(id, news);
        // It may answer elsewhere now, or users may be sent to it again.
        self.published = false;
    }

    fn tell_news(&mut self, id: &InstanceId, news: Option<News>) {
        let service = &self.service.name;
        match news {
            None => return,
            Some(News::Again { why, pause }) => tracing::warn!(
                %service, instance = %id, reason = why, pause_ms = pause.as_millis(),
                "An instance is gone and is started again"
            ),
            Some(News::Evidence { why }) => tracing::error!(
                %service, instance = %id, reason = why,
                "An instance of the canary is gone"
            ),
            Some(News::NotThere { why }) => tracing::error!(
                %service, instance = %id, reason = why,
                "An instance that others keep is not there"
            ),
            Some(News::Back) => tracing::info!(%service, instance = %id, "An instance is started"),
        }
        self.published = false;
        self.shared.tell(service);
    }

    /// The service with its instances where they answer now. Those that are known to be
    /// gone are left out: whoever has their ports by now must get no user's request.
    pub(super) fn placed_service(&self) -> Cow<'_, Service> {
        let wrong = |records: &[InstanceRecord]| {
            self.care.misplaced(records) || records.iter().any(|one| self.care.is_gone(&one.id))
        };
        let deployed = |service: &Service| {
            let stable = service.stable.as_ref().map(|d| wrong(&d.instances));
            let warm = service.warm.as_ref().map(|w| wrong(&w.deployed.instances));
            stable.unwrap_or(false) || warm.unwrap_or(false)
        };
        if !deployed(&self.service) {
            return Cow::Borrowed(&self.service);
        }
        let mut service = self.service.clone();
        let lists = [
            service.stable.as_mut().map(|d| &mut d.instances),
            service.warm.as_mut().map(|w| &mut w.deployed.instances),
        ];
        for records in lists.into_iter().flatten() {
            self.care.place(records);
            records.retain(|one| !self.care.is_gone(&one.id));
        }
        Cow::Owned(service)
    }

    /// The release with its canary's instances where they answer now.
    pub(super) fn placed_release<'a>(&self, release: &'a Release) -> Cow<'a, Release> {
        if !self.care.misplaced(&release.instances) {
            return Cow::Borrowed(release);
        }
        let mut release = release.clone();
        self.care.place(&mut release.instances);
        Cow::Owned(release)
    }
}
