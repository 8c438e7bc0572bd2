//! What goes on while the store is waited for.
//!
//! A disk that is full, frozen or gone can keep a call to the store for ever. Nothing
//! that takes users back may wait for it: so every such call runs beside the actor, which
//! meanwhile hears people, counts, asks the judge, and lowers. All else waits its turn.

use super::journal::{CommitError, entries_of};
use super::{Message, Reply, ServiceActor, TICK};
use std::time::Duration;
use tokio::time::Instant;

/// How long a person who took something back is kept to be told that it is recorded too.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);

impl ServiceActor {
    /// The outcome of `work`, and everything that lowers until it is there.
    pub(super) async fn meanwhile<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, CommitError> {
        let mut work = tokio::spawn(work);
        let mut look_at = Instant::now() + TICK;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done.map_err(|error| {
                    tracing::error!(%error, "Work on the store broke off");
                    CommitError::Broken
                }),
                message = self.inbox.recv() => {
                    if let Some(message) = message {
                        self.take_meanwhile(message);
                    } else {
                        // The program ends; the work alone is left.
                        return work.await.map_err(|_| CommitError::Broken);
                    }
                }
                counted = self.slices.recv() => { self.count(counted); }
                () = tokio::time::sleep_until(look_at) => {
                    look_at = Instant::now() + TICK;
                    self.heed_proxy();
                    self.heed_kills();
                    self.lower_if_due();
                    self.reconcile();
                    self.tend();
                    self.read_series();
                    self.show();
                }
            }
            self.pay();
        }
    }

    /// One message that came meanwhile: those that record something are put aside.
    fn take_meanwhile(&mut self, message: Message) {
        match message {
            Message::Command(release, asked, by, reply) if !self.admitting => {
                match self.lower_by_command(&release, &asked, &by) {
                    Some(Ok(())) => self.owe(reply),
                    Some(Err(error)) => {
                        // Whoever asked may be gone.
                        let _ = reply.send(Err(error));
                    }
                    None => self
                        .aside
                        .push_back(Message::Command(release, asked, by, reply)),
                }
            }
            Message::Completed(release, task, attempt, completion) => {
                self.completed(&release, task, attempt, completion);
            }
            Message::Gone(release, task) => self.gone(&release, task),
            Message::Dialled(release, reading) => self.dialled(&release, reading),
            Message::Read(release, values) => self.series_read(&release, values),
            Message::Seen(seen) => self.seen(seen),
            Message::Started(id, outcome) => self.started(&id, outcome),
            Message::Start(..) | Message::Command(..) | Message::WarmStopped(..) => {
                self.aside.push_back(message);
            }
        }
    }

    /// Lowers if the engine says so by itself, as the judge or a proxy may cause it to.
    fn lower_if_due(&mut self) {
        let Some((events, by)) = self.decision() else {
            return;
        };
        match self.lower(&entries_of(events, &by)) {
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "A decision does not fit"),
        }
    }

    /// Answers once it is recorded, or soon.
    pub(super) fn owe(&mut self, reply: Reply) {
        self.owed.push((reply, Instant::now() + ANSWER_WITHIN));
    }

    /// Answers those whose wish is in force, and recorded or long enough waited for.
    pub(super) fn pay(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        let recorded = self.run.as_ref().is_none_or(|run| run.pending.is_empty());
        let now = Instant::now();
        let due = |(_, until): &(Reply, Instant)| recorded || *until <= now;
        if !self.owed.iter().any(due) {
            return;
        }
        // Whoever is answered may look at once, and finds what was answered.
        self.show();
        for (reply, _) in self.owed.extract_if(.., |owed| due(owed)) {
            if !recorded {
                tracing::warn!(service = %self.service.name,
                    "A command is in force and not recorded yet");
            }
            // Whoever asked may be gone.
            let _ = reply.send(Ok(()));
        }
    }

    /// When somebody has to be answered next.
    pub(super) fn answer_at(&self) -> Option<Instant> {
        self.owed.iter().map(|(_, until)| *until).min()
    }
}
