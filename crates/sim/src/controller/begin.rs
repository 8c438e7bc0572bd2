//! How a release begins or waits in line, and how a controller begins again.

use super::{Controller, Dial, Run};
use crate::fact::{Fact, Point};
use crate::outside::{Died, Due, Outside};
use crate::store::{StartRequest, replay};
use crate::words::say_service;
use esclusa_engine::Command;
use esclusa_model::{Actor, Digest, Millis, ReleaseId, Salt};
use esclusa_plan::OnConflict;
use esclusa_release::{Event, Release, Requested, Service, ServiceEvent};
use std::collections::{BTreeMap, BTreeSet};

/// A release that a person asks for.
#[derive(Debug, Clone)]
pub(crate) struct StartOrder {
    pub id: ReleaseId,
    pub request: StartRequest,
}

impl Run {
    pub(crate) fn new(release: Release, position: u64, out: &Outside) -> Self {
        Self {
            release,
            watching_since: out.clock(),
            position,
            pending: Vec::new(),
            dial: Dial::default(),
            running: BTreeMap::new(),
            cancelled: BTreeSet::new(),
        }
    }
}

impl Controller {
    /// A new life, from what is stored alone. A store that cannot be read makes none.
    pub(crate) fn begin(out: &mut Outside) -> Option<Self> {
        if !out.store.reads() {
            return None;
        }
        out.store.epoch += 1;
        let epoch = out.store.epoch;
        let mut service = Service::new(out.store.service.name.clone());
        for (event, at) in &out.store.service_log {
            // What the store took once it takes again: it checks with the same fold.
            service.apply(event, *at).ok()?;
        }
        let waiting = service
            .queue
            .iter()
            .filter_map(|id| Some((id.clone(), out.store.waiting.get(id)?.clone())))
            .collect();
        let mut controller = Self {
            epoch,
            service_position: u64::try_from(out.store.service_log.len()).unwrap_or(0),
            run: None,
            waiting,
            began: out.now,
            contact: None,
            number: 0,
            acknowledged: None,
            route: None,
            stuck: false,
            awake: false,
            service,
        };
        controller.resume(out);
        out.fact(Fact::Started { epoch });
        out.soon(Millis(1), Due::Look);
        out.soon(Millis(100), Due::Pulse(epoch));
        Some(controller)
    }

    fn resume(&mut self, out: &Outside) {
        let warm = self.service.warm.as_ref().map(|warm| warm.release.clone());
        let last = self.service.last.clone().filter(|last| {
            let stream = out.store.streams.get(last);
            stream.is_some_and(|stream| stream.fold.flags_alone().is_some())
        });
        let Some(id) = self.service.active.clone().or(last).or(warm) else {
            return;
        };
        let Some(stream) = out.store.streams.get(&id) else {
            return;
        };
        let Ok(release) = replay(&stream.entries) else {
            return;
        };
        let position = u64::try_from(stream.entries.len()).unwrap_or(0);
        let mut run = Run::new(release, position, out);
        // What was done before it could be recorded is in force, whatever the store says.
        for (at, of, (event, by, when)) in &out.journal {
            let next = run.position + u64::try_from(run.pending.len()).unwrap_or(0);
            if *of == id && *at == next && run.release.apply(event, by, *when).is_ok() {
                run.pending.push((event.clone(), by.clone(), *when));
            }
        }
        self.run = Some(run);
    }

    /// Starts a release, or puts it in line, as was asked.
    pub(super) fn admit(&mut self, out: &mut Outside, order: StartOrder) -> Result<(), Died> {
        let what = format!("start {}", order.request.version);
        let by = order.request.by.clone();
        let active = self.service.active.clone();
        let answer = match (active, order.request.on_conflict) {
            (None, _) => self.start(out, &order.id, &order.request)?,
            (Some(active), OnConflict::Refuse) => Err(format!("release {active} is under way")),
            (Some(_), OnConflict::Queue) => self.enqueue(out, order)?,
            (Some(_), OnConflict::Supersede) => {
                let command = Command::Supersede {
                    by: order.request.version.to_string(),
                };
                match self.carry_out(out, &command, &by)? {
                    Ok(()) => self.enqueue(out, order)?,
                    Err(why) => Err(why),
                }
            }
        };
        out.fact(Fact::Asked { by, what, answer });
        Ok(())
    }

    fn enqueue(
        &mut self,
        out: &mut Outside,
        order: StartOrder,
    ) -> Result<Result<(), String>, Died> {
        if let Err(why) = out.store.put_waiting(&order.id, &order.request) {
            return Ok(Err(why.to_string()));
        }
        let event = ServiceEvent::ReleaseQueued {
            release: order.id.clone(),
        };
        let by = order.request.by.clone();
        if let Err(why) = self.commit_service(out, event, &by)? {
            return Ok(Err(why));
        }
        self.waiting.insert(order.id, order.request);
        Ok(Ok(()))
    }

    /// Takes the next in line, once nothing is under way.
    pub(super) fn take_next(&mut self, out: &mut Outside) -> Result<(), Died> {
        if self.service.active.is_some() {
            return Ok(());
        }
        let Some(next) = self.service.queue.first().cloned() else {
            return Ok(());
        };
        let Some(request) = self.waiting.remove(&next) else {
            return Ok(());
        };
        if self.start(out, &next, &request)?.is_err() {
            self.stuck = true;
            self.waiting.insert(next, request);
        }
        Ok(())
    }

    fn start(
        &mut self,
        out: &mut Outside,
        id: &ReleaseId,
        request: &StartRequest,
    ) -> Result<Result<(), String>, Died> {
        let requested = self.requested(out, id, request);
        let at = out.clock();
        let by = request.by.clone();
        let event = Event::Requested(Box::new(requested.clone()));
        let what = format!("the request for version {}", request.version);
        out.boundary(self.epoch, Point::BeforeRecord(what.clone()))?;
        // A life before this one may have come so far and no further.
        let known = out.store.streams.contains_key(id);
        if !known && let Err(why) = out.append(self.epoch, id, 0, &[(event, by.clone(), at)]) {
            return Ok(Err(self.refused(out, what, why)));
        }
        out.boundary(self.epoch, Point::AfterRecord(what))?;
        let admitted = ServiceEvent::ReleaseAdmitted {
            release: id.clone(),
        };
        if let Err(why) = self.commit_service(out, admitted, &by)? {
            return Ok(Err(why));
        }
        let stored = out.store.streams.get(id);
        let begun = stored.and_then(|stream| replay(&stream.entries).ok());
        let release = begun.unwrap_or_else(|| Release::begin(requested, by, at));
        self.run = Some(Run::new(release, 1, out));
        Ok(Ok(()))
    }

    fn requested(&self, out: &Outside, id: &ReleaseId, request: &StartRequest) -> Requested {
        Requested {
            release: id.clone(),
            service: self.service.name.clone(),
            version: request.version.clone(),
            plan: out.plan.clone(),
            plan_digest: Digest::of(b"plan"),
            base_dir: "/srv/checkout".into(),
            salt: out
                .plan
                .salt
                .clone()
                .or_else(|| Salt::new(id.as_str()).ok())
                .unwrap_or_else(|| crate::plans::literal("salt")),
            stable: self.service.stable.as_ref().map(|s| s.version.clone()),
            person: None,
            source: None,
        }
    }

    /// Records an event of the service.
    pub(super) fn commit_service(
        &mut self,
        out: &mut Outside,
        event: ServiceEvent,
        _by: &Actor,
    ) -> Result<Result<(), String>, Died> {
        let at = out.clock();
        let mut next = self.service.clone();
        if let Err(illegal) = next.apply(&event, at) {
            return Ok(Err(illegal.to_string()));
        }
        let what = say_service(&event);
        out.boundary(self.epoch, Point::BeforeRecord(what.clone()))?;
        let stored = out
            .store
            .append_service(self.epoch, self.service_position, &event, at);
        if let Err(why) = stored {
            return Ok(Err(self.refused(out, what, why)));
        }
        out.fact(Fact::ServiceRecorded {
            epoch: self.epoch,
            event: Box::new(event),
        });
        self.service_position += 1;
        self.service = next;
        out.boundary(self.epoch, Point::AfterRecord(what))?;
        Ok(Ok(()))
    }
}
