//! How a release begins, waits in line, or is refused; and how an actor begins again.

use super::journal::{CommitError, append, entries_of, fold, read_all};
use super::observe::system;
use super::run::Run;
use super::{AskedCommand, ServiceActor};
use crate::app::StartRequest;
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use crate::judging::Judging;
use esclusa_engine::Command;
use esclusa_model::{
    Actor, ComponentKind, Digest, InstanceId, Outcome, ReleaseId, Salt, StreamId, VersionRef,
};
use esclusa_plan::{OnConflict, TakeOver};
use esclusa_release::{
    Deployed, Event, InstanceRecord, Release, Requested, ReturnCause, Returned, ServiceEvent,
    upstream_address,
};
use esclusa_store::{NewEvent, Store, StoreError};
use esclusa_wire::RouteMatch;
use std::collections::BTreeMap;

impl ServiceActor {
    /// Starts a release, or puts it in line, as its plan says.
    pub(super) async fn admit(&mut self, request: StartRequest) -> Result<ReleaseId, ApiError> {
        self.has_requests_of_its_own(&request).await?;
        self.may_turn_its_flags(&request.plan)?;
        let id = clock::new_release_id();
        if let Some(active) = self.service.active.clone() {
            match request.on_conflict.unwrap_or(request.plan.on_conflict) {
                OnConflict::Refuse => return Err(under_way(&active)),
                OnConflict::Queue => {}
                OnConflict::Supersede => {
                    let command = Command::Supersede {
                        by: request.version.to_string(),
                    };
                    self.command(&active, AskedCommand::Plain(command), &request.actor)
                        .await?;
                }
            }
            return self.enqueue(id, request).await;
        }
        self.begin(id.clone(), request).await?;
        Ok(id)
    }

    /// Work on the store that a request waits for.
    async fn stored<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let done = self.meanwhile(work).await;
        Ok(done.map_err(|error| not_recorded(&error))??)
    }

    /// Two services with the same requests cannot both have them; the second is told so
    /// before anything of it begins.
    async fn has_requests_of_its_own(&self, request: &StartRequest) -> Result<(), ApiError> {
        let Some(route) = &request.plan.route else {
            return Ok(());
        };
        let matches = RouteMatch {
            host: route.host.clone(),
            path: route.path.clone(),
        };
        let dataplane = &self.shared.dataplane;
        match dataplane
            .takes_the_same(&self.service.name, &route.listen, &matches)
            .await
        {
            None => Ok(()),
            Some(other) => Err(ApiError::new(
                ErrorKind::Conflict,
                "ESC-0306",
                format!(
                    "service {other} takes the same requests on {}",
                    route.listen
                ),
                "give one of them another listen address, host or path under `route`",
            )),
        }
    }

    async fn enqueue(
        &mut self,
        id: ReleaseId,
        request: StartRequest,
    ) -> Result<ReleaseId, ApiError> {
        let (store, key, asked) = (self.shared.store.clone(), queue_key(&id), request.clone());
        let at = clock::now();
        self.stored(async move { store.put_setting(&key, &asked, at).await })
            .await?;
        let event = ServiceEvent::ReleaseQueued {
            release: id.clone(),
        };
        self.commit_service(event, &request.actor.clone())
            .await
            .map_err(|e| not_recorded(&e))?;
        self.waiting.insert(id.clone(), request);
        Ok(id)
    }

    /// Takes the next in line, once nothing is under way.
    pub(super) async fn take_next(&mut self) {
        if self.service.active.is_some() {
            return;
        }
        let Some(next) = self.service.queue.first().cloned() else {
            return;
        };
        if self.killed_in_line(&next).is_some() {
            // It leaves the line once that can be recorded.
            return;
        }
        let Some(request) = self.waiting.remove(&next) else {
            return;
        };
        if let Err(error) = self.begin(next.clone(), request.clone()).await {
            tracing::warn!(%error, release = %next, "A queued release waits");
            self.waiting.insert(next, request);
        }
    }

    async fn begin(&mut self, id: ReleaseId, request: StartRequest) -> Result<(), ApiError> {
        self.close_unadmitted().await?;
        if self.service.stable.is_none()
            && let Some(take_over) = &request.plan.take_over
        {
            let deployed = taken_over(&request, take_over)?;
            let event = ServiceEvent::TakenOver(Box::new(deployed));
            self.commit_service(event, &request.actor)
                .await
                .map_err(|e| not_recorded(&e))?;
        }
        let requested = self.requested(&id, &request)?;
        let (store, key, begun) = (self.shared.store.clone(), self.begun_key(), id.clone());
        let at = clock::now();
        self.stored(async move { store.put_setting(&key, &begun, at).await })
            .await?;
        let returns = |run: &&Run| run.release.phase.is_returning() && run.release.ended.is_none();
        if let Some(returning) = self.run.as_ref().filter(returns) {
            // Somebody took the last one back while this was being recorded.
            return Err(under_way(returning.id()));
        }
        self.admitting = true;
        let admitted = self.admitted(&id, requested, &request.actor).await;
        self.admitting = false;
        self.run = Some(admitted?);
        self.flags_told = false;
        self.care.forget_evidence_of_others(&id);
        Ok(())
    }

    /// Records that a release is on its way, in its own stream and in the service's.
    async fn admitted(
        &mut self,
        id: &ReleaseId,
        requested: Requested,
        by: &Actor,
    ) -> Result<Run, ApiError> {
        let failed = |error: CommitError| not_recorded(&error);
        let at = clock::now();
        let event = Event::Requested(Box::new(requested.clone()));
        let (kind, payload) = event.to_stored().map_err(|error| failed(error.into()))?;
        let new = vec![NewEvent {
            actor: by.clone(),
            kind,
            payload,
        }];
        let (shared, stream) = (self.shared.clone(), StreamId::release(id));
        let begun = self.meanwhile(async move {
            // One from the line may have come this far before the program ended.
            let mut events = read_all(&shared.store, &stream).await?;
            if events.is_empty() {
                let appended = shared.store.append(&stream, 0, at, &new).await;
                events = appended.map_err(|error| not_recorded(&error.into()))?;
            }
            Ok::<_, ApiError>((fold(&events)?, events.len() as u64))
        });
        let (begun, position) = begun.await.map_err(failed)??;
        let release = begun.unwrap_or_else(|| Release::begin(requested, by.clone(), at));
        let event = ServiceEvent::ReleaseAdmitted {
            release: id.clone(),
        };
        self.commit_service(event, by).await.map_err(failed)?;
        let (shared, judged) = (self.shared.clone(), release.clone());
        let judging = self
            .meanwhile(async move { Judging::begin(&shared, &judged).await })
            .await;
        Ok(Run::new(release, position, judging.map_err(failed)?))
    }

    /// Where the id stands of the release that was begun last.
    fn begun_key(&self) -> String {
        format!("begun/{}", self.service.name)
    }

    /// The release that was begun last and never got on its way, because the program ended
    /// or the store failed in between: whoever asked for it was told that it did not begin.
    async fn close_unadmitted(&mut self) -> Result<(), ApiError> {
        let (store, key) = (self.shared.store.clone(), self.begun_key());
        let begun: Option<ReleaseId> = self
            .stored(async move { store.setting(&key).await })
            .await?;
        let Some(begun) = begun else { return Ok(()) };
        let known = self.service.active.iter().chain(&self.service.last);
        if known.chain(&self.service.queue).any(|id| *id == begun) {
            return Ok(());
        }
        let shared = self.shared.clone();
        let closed = self.meanwhile(async move { close_stream(&shared.store, &begun).await });
        closed.await.map_err(|error| not_recorded(&error))?
    }

    fn requested(&self, id: &ReleaseId, request: &StartRequest) -> Result<Requested, ApiError> {
        let plane = &self.shared.flag_plane;
        // Flags alone go on with the units that have them already.
        let of_flags = request.plan.flags_alone().and_then(|flags| {
            let turned = flags.turned();
            plane.set().ok()?.salt_for(turned, &flags.environment)
        });
        let default_salt = || {
            Salt::new(of_flags.as_deref().unwrap_or(id.as_str())).map_err(|error| {
                ApiError::new(
                    ErrorKind::Internal,
                    "ESC-0900",
                    error.to_string(),
                    "report this",
                )
            })
        };
        Ok(Requested {
            release: id.clone(),
            service: self.service.name.clone(),
            version: request.version.clone(),
            salt: request.plan.salt.clone().map_or_else(default_salt, Ok)?,
            plan: request.plan.clone(),
            plan_digest: request.plan_digest,
            base_dir: request.base_dir.clone(),
            stable: self
                .service
                .stable
                .as_ref()
                .map(|stable| stable.version.clone()),
            person: request.person.clone(),
            source: request.source.clone(),
        })
    }

    /// Where the actor stood when the program ended.
    pub(super) async fn resume(&mut self) -> Result<(), ApiError> {
        if let Err(error) = self.close_unadmitted().await {
            tracing::warn!(%error, "A release that never got on its way is still open");
        }
        for waiting in &self.service.queue {
            let asked = self.shared.store.setting(&queue_key(waiting)).await?;
            if let Some(request) = asked {
                self.waiting.insert(waiting.clone(), request);
            }
        }
        let warm = self.service.warm.as_ref().map(|warm| warm.release.clone());
        let last = self.service.last.clone();
        // Flags that came after a version can be taken back first.
        let flags = match &last {
            Some(last) if warm.is_some() => self.turned_flags_alone(last).await?,
            _ => None,
        };
        let Some(id) = self.service.active.clone().or(flags).or(warm).or(last) else {
            return Ok(());
        };
        let events = read_all(&self.shared.store, &StreamId::release(&id)).await?;
        if let Some(release) = fold(&events)? {
            if release.requested.plan.traffic.driver != "proxy" {
                // Its own dial shows it to users: our proxy is never asked.
                self.shared.dataplane.asks_nothing(&self.service.name).await;
            }
            let judging = Judging::begin(&self.shared, &release).await;
            let position = events.last().map_or(0, |event| event.position);
            self.run = Some(Run::new(release, position, judging));
            self.inherit(&events);
        }
        Ok(())
    }

    /// What became of the release is recorded with the service, and the next begins.
    pub(super) async fn close_ended(&mut self) {
        self.heed_kills_in_line().await;
        if let Some(run) = &self.run {
            let Some(ended) = &run.release.ended else {
                return;
            };
            if self.service.active.as_ref() == Some(run.id()) && run.pending.is_empty() {
                let event = ServiceEvent::ReleaseEnded {
                    release: run.id().clone(),
                    outcome: ended.outcome,
                };
                if let Err(error) = self.commit_service(event, &system("engine")).await {
                    self.not_stored(&error);
                    return;
                }
            }
        }
        self.take_next().await;
    }
}

/// Ends a stream that nobody carries on.
async fn close_stream(store: &Store, id: &ReleaseId) -> Result<(), ApiError> {
    let stream = StreamId::release(id);
    let events = read_all(store, &stream).await?;
    let Some(release) = fold(&events)?.filter(|release| release.ended.is_none()) else {
        return Ok(());
    };
    let reason = "it could not be recorded as under way, so nothing of it was begun";
    let mut new = Vec::new();
    if !release.phase.is_returning() {
        new.push(Event::ReturnDecided(Returned {
            cause: ReturnCause::Failure,
            reason: reason.into(),
            outcome: Outcome::Refused,
            evidence: None,
        }));
    }
    new.push(Event::Ended {
        outcome: Outcome::Refused,
        reason: reason.into(),
    });
    let entries = entries_of(new, &system("engine"));
    let appended = append(store, id, events.len() as u64, &entries).await;
    appended
        .failed
        .map_or(Ok(()), |error| Err(not_recorded(&error)))
}

pub(crate) fn queue_key(id: &ReleaseId) -> String {
    format!("queue/{id}")
}

fn under_way(active: &ReleaseId) -> ApiError {
    ApiError::new(
        ErrorKind::Conflict,
        "ESC-0301",
        format!("release {active} of this service is under way"),
        "wait for it, abort it, or start with --on-conflict queue or --on-conflict supersede",
    )
}

pub(super) fn not_recorded(error: &super::journal::CommitError) -> ApiError {
    ApiError::new(
        ErrorKind::Unavailable,
        "ESC-0903",
        format!("the request could not be recorded: {error}"),
        "look at the disk of the data folder and try again; nothing was changed",
    )
}

/// A version that already runs, as a stable version nobody started.
fn taken_over(request: &StartRequest, take_over: &TakeOver) -> Result<Deployed, ApiError> {
    let bad = |message: String| {
        ApiError::new(
            ErrorKind::BadInput,
            "ESC-0302",
            message,
            "write take-over.url as http://host:port of the running version",
        )
    };
    if upstream_address(&take_over.url).is_none() {
        return Err(bad(format!("{} is not an http(s) address", take_over.url)));
    }
    let (component, _) = request
        .plan
        .web()
        .ok_or_else(|| bad("the plan has no web component".into()))?;
    let digest =
        Digest::of(format!("take-over\n{}\n{}", take_over.version, take_over.url).as_bytes());
    let id = InstanceId::new(format!("taken-over-{}", digest.short()))
        .map_err(|error| bad(error.to_string()))?;
    Ok(Deployed {
        version: VersionRef {
            name: take_over.version.clone(),
            digest,
            verified: false,
        },
        release: None,
        plan: request.plan.clone(),
        base_dir: request.base_dir.clone(),
        components: BTreeMap::new(),
        instances: vec![InstanceRecord {
            id,
            component: component.clone(),
            kind: ComponentKind::Web,
            url: Some(take_over.url.clone()),
            host_header: take_over.host_header.clone(),
            ca_file: take_over.ca_file.as_ref().map(|file| {
                let whole = std::path::Path::new(&request.base_dir).join(file);
                whole.to_string_lossy().into_owned()
            }),
        }],
    })
}
