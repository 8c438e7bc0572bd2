//! One actor a service: the single writer of its streams and of its releases' streams.
//!
//! The loop is: take what happened, ask the engine until it has nothing to add, make
//! the world match. What lowers exposure is done before it is recorded; everything
//! else after.

mod admit;
mod care;
mod commands;
mod dial;
mod flags;
#[cfg(test)]
mod flags_tests;
mod journal;
mod observe;
mod run;
mod series;
mod tasks;
mod tend;
#[cfg(test)]
mod tests;
mod turns;
mod waiting;
mod warm;

use crate::app::{Shared, StartRequest};
use crate::dataplane::Counted;
use crate::error::ApiError;
use crate::view::ServiceView;
use esclusa_drivers::run::Pulse;
use esclusa_engine::{Command, Completion, DialReading};
use esclusa_judge::SeriesValue;
use esclusa_model::{Actor, InstanceId, ReleaseId, ServiceName};
use esclusa_release::{Service, Task};
use run::Run;

pub(crate) use admit::queue_key;
pub(crate) use journal::{fold, load_service, read_all};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

/// How often deadlines and read-backs are looked at when nothing else happens, while a
/// release is under way.
const TICK: Duration = Duration::from_millis(100);
/// The same where none is: the end of a warm version, a dial that is only kept.
const REST_TICK: Duration = Duration::from_secs(1);

/// How somebody is answered who asked something of a release.
pub(crate) type Reply = oneshot::Sender<Result<(), ApiError>>;

/// What an actor is told.
pub(crate) enum Message {
    /// Start a release.
    Start(
        Box<StartRequest>,
        oneshot::Sender<Result<ReleaseId, ApiError>>,
    ),
    /// A person's command.
    Command(ReleaseId, AskedCommand, Actor, Reply),
    /// A task came to its end.
    Completed(ReleaseId, Task, u32, Completion),
    /// A cancelled task is gone.
    Gone(ReleaseId, Task),
    /// A dial was set and read back.
    Dialled(ReleaseId, DialReading),
    /// A series was read, or could not be.
    Read(ReleaseId, Vec<SeriesValue>),
    /// Instances of a warm version are stopped, or not.
    WarmStopped(esclusa_model::Digest, Result<(), String>),
    /// Instances were looked at.
    Seen(Vec<(InstanceId, Pulse)>),
    /// An instance was started again, and where it answers; or why it does not run.
    Started(InstanceId, Result<Option<String>, String>),
}

/// A command as people give it; whether going back is possible is found out here.
#[derive(Debug, Clone)]
pub(crate) enum AskedCommand {
    /// Needs nothing but the release.
    Plain(Command),
    /// The same, with words for the record.
    Because {
        /// The command.
        command: Command,
        /// Why, possibly empty.
        reason: String,
    },
    /// Needs to know whether the version before can take over.
    Rollback {
        /// Why, possibly empty.
        reason: String,
    },
}

impl Message {
    /// Whether somebody asked this who has given up waiting and was told so.
    fn is_given_up(&self) -> bool {
        match self {
            Self::Start(_, reply) => reply.is_closed(),
            Self::Command(_, _, _, reply) => reply.is_closed(),
            _ => false,
        }
    }
}

/// A way to reach a service's actor.
#[derive(Clone)]
pub(crate) struct ActorHandle {
    pub inbox: mpsc::Sender<Message>,
    pub view: watch::Receiver<Arc<ServiceView>>,
    /// Whether each instance that has to run does, or has been tried.
    pub settled: watch::Receiver<bool>,
}

/// The actor's own state.
pub(crate) struct ServiceActor {
    shared: Arc<Shared>,
    service: Service,
    /// Position of the service's stream.
    position: u64,
    cookie_key: String,
    /// The release under way, or the promoted one that can still be undone.
    run: Option<Run>,
    /// Requests of releases that wait in the queue.
    waiting: BTreeMap<ReleaseId, StartRequest>,
    inbox: mpsc::Receiver<Message>,
    own: mpsc::Sender<Message>,
    /// What came while the store was waited for, oldest first.
    aside: VecDeque<Message>,
    /// Who took something back and is answered once that is recorded, at the latest then.
    owed: Vec<(Reply, Instant)>,
    /// Whether another release is taking this one's place right now.
    admitting: bool,
    /// Why decisions cannot be recorded, as it was told last.
    store_trouble: Option<String>,
    slices: broadcast::Receiver<Counted>,
    view: watch::Sender<Arc<ServiceView>>,
    traffic: crate::live::Live,
    /// Whether the flags were told what this service's release turns.
    flags_told: bool,
    /// Keeps what is asked of the dial in order.
    turns: turns::Turns,
    /// Whether the warm version is being stopped right now.
    stopping_warm: bool,
    /// Whether the route that follows from all this is in force outside a release.
    published: bool,
    /// Why it is not yet, as it was told last.
    rest_trouble: Option<String>,
    /// What is known of the service's instances.
    care: care::Care,
    settled: watch::Sender<bool>,
}

impl ServiceActor {
    /// Starts the actor of `name`, its state read from the store.
    pub(crate) async fn spawn(
        shared: Arc<Shared>,
        name: ServiceName,
    ) -> Result<ActorHandle, ApiError> {
        let (own, inbox) = mpsc::channel(256);
        let cookie_key = shared.cookie_key(&name).await?;
        let (service, position) = journal::load_service(&shared.store, &name).await?;
        let traffic = crate::live::Live::default();
        let view = watch::channel(Arc::new(ServiceView::unknown(&name))).0;
        let settled = watch::channel(false).0;
        let handle = ActorHandle {
            inbox: own.clone(),
            view: view.subscribe(),
            settled: settled.subscribe(),
        };
        let mut actor = Self {
            slices: shared.dataplane.slices(),
            shared,
            service,
            position,
            cookie_key,
            run: None,
            waiting: BTreeMap::new(),
            inbox,
            own,
            aside: VecDeque::new(),
            owed: Vec::new(),
            admitting: false,
            store_trouble: None,
            view,
            traffic,
            flags_told: false,
            turns: turns::Turns::default(),
            stopping_warm: false,
            published: false,
            rest_trouble: None,
            care: care::Care::default(),
            settled,
        };
        actor.resume().await?;
        tokio::spawn(actor.live());
        Ok(handle)
    }

    async fn live(mut self) {
        let mut look_at = Instant::now();
        loop {
            let news = if let Some(message) = self.aside.pop_front() {
                if !message.is_given_up() {
                    Box::pin(self.take(message)).await;
                }
                true
            } else {
                let wake = self.answer_at().map_or(look_at, |at| at.min(look_at));
                tokio::select! {
                    message = self.inbox.recv() => match message {
                        Some(message) => {
                            Box::pin(self.take(message)).await;
                            true
                        }
                        None => return,
                    },
                    counted = self.slices.recv() => self.count(counted),
                    () = tokio::time::sleep_until(wake) => true,
                }
            };
            // What other services count is none of ours, and comes often.
            if news || Instant::now() >= look_at {
                self.turn().await;
                look_at = Instant::now() + self.tick();
            }
            self.pay();
        }
    }

    /// How long nothing need be looked at if nothing happens.
    fn tick(&self) -> Duration {
        let at_rest = self.run.as_ref().is_none_or(Run::is_at_rest);
        let nothing_waits = self.service.active.is_none() && self.service.queue.is_empty();
        if at_rest && nothing_waits && self.care.is_calm() {
            REST_TICK
        } else {
            TICK
        }
    }

    /// One message; errors of commands go to who asked.
    async fn take(&mut self, message: Message) {
        match message {
            Message::Start(request, reply) => {
                let outcome = Box::pin(self.admit(*request)).await;
                // Whoever asked may look at once, and finds what was answered.
                self.show();
                // Whoever asked may be gone; the release goes on.
                let _ = reply.send(outcome);
            }
            Message::Command(release, asked, by, reply) => {
                self.recall(&release).await;
                match self.lower_by_command(&release, &asked, &by) {
                    Some(Ok(())) => self.owe(reply),
                    outcome => {
                        let outcome = match outcome {
                            Some(refused) => refused,
                            None => self.command(&release, asked, &by).await,
                        };
                        self.show();
                        let _ = reply.send(outcome);
                    }
                }
            }
            Message::Completed(release, task, attempt, completion) => {
                self.completed(&release, task, attempt, completion);
            }
            Message::Gone(release, task) => self.gone(&release, task),
            Message::Dialled(release, reading) => self.dialled(&release, reading),
            Message::Read(release, values) => self.series_read(&release, values),
            Message::WarmStopped(version, outcome) => self.warm_stopped(version, outcome).await,
            Message::Seen(seen) => self.seen(seen),
            Message::Started(id, outcome) => self.started(&id, outcome),
        }
    }

    /// Takes a slice; whether it was ours.
    fn count(&mut self, counted: Result<Counted, broadcast::error::RecvError>) -> bool {
        match counted {
            Ok(counted) if counted.1.slice.service == self.service.name => {
                self.traffic.take(&counted.1.slice);
                if let Some(run) = &mut self.run {
                    run.judging.take(&counted.0, &counted.1);
                }
                true
            }
            Ok(_) => false,
            // A judge that missed slices reads them again from the store.
            Err(broadcast::error::RecvError::Lagged(_)) => {
                if let Some(run) = &mut self.run {
                    run.judging.lagged();
                }
                true
            }
            Err(broadcast::error::RecvError::Closed) => false,
        }
    }

    /// Asks the engine until it has nothing to add, then makes the world match.
    async fn turn(&mut self) {
        self.decide().await;
        self.admit_return().await;
        self.reconcile();
        self.keep_records().await;
        self.keep_house().await;
        self.tend();
        self.read_series();
        self.show();
    }

    /// Shows the service as it is now.
    fn show(&mut self) {
        let view = Arc::new(self.make_view());
        self.view.send_if_modified(|known| {
            let changed = **known != *view;
            *known = view;
            changed
        });
    }
}
