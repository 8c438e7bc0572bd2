//! Publishes flags to the proxy, and learns what was decided there.

use super::Flags;
use crate::clock;
use crate::dataplane::{PublishError, limited};
use esclusa_model::{BootId, GenerationId, Timestamp};
use esclusa_wire::FlagStatus;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether the proxy has what it should.
const LOOK: Duration = Duration::from_secs(1);
/// After how many looks it is asked, though it did not start anew: its answer names every
/// open stream.
const ASK_EVERY: u32 = 5;
/// How long services may take to say what their releases turn.
const FIRST_ROLLOUTS: Duration = Duration::from_secs(5);

/// What was published.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    number: u64,
    /// What the proxy said last that is in force, of which revision and version of ours.
    acknowledged: Option<(GenerationId, u64, u64)>,
    /// The life of the proxy whose decisions were taken over.
    met: Option<Option<BootId>>,
    /// Whether an earlier controller's rollouts were looked for.
    inherited: bool,
    looks: u32,
}

/// What is known of flags at the proxy.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlagContact {
    /// Its newest answer and when it came.
    pub status: Option<(FlagStatus, Timestamp)>,
    /// What is in force there.
    pub in_force: Option<GenerationId>,
    /// Whether it has all that is to be published.
    pub current: bool,
    /// What went wrong last, if it still does.
    pub trouble: Option<String>,
}

/// Keeps the proxy at what is to be in force, until the program ends.
pub(super) async fn keep(flags: Arc<Flags>) {
    let begun = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = flags.wake.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        if begun.elapsed() > FIRST_ROLLOUTS {
            flags.live().stop_waiting();
        }
        // What goes wrong is kept for whoever looks, and tried again.
        let _ = flags.bring_up_to_date(false).await;
    }
}

impl Flags {
    /// Has everything that holds now in force at the proxy when it returns.
    ///
    /// # Errors
    /// When the proxy did not take it. It is sent again until it does.
    pub(crate) async fn publish(&self) -> Result<(), PublishError> {
        self.bring_up_to_date(true).await
    }

    /// What is known of flags at the proxy.
    pub(crate) fn contact(&self) -> FlagContact {
        self.contact.borrow().clone()
    }

    /// How flags stand at the proxy right now.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) async fn status(&self) -> Result<FlagStatus, PublishError> {
        let status = limited(self.dataplane.client()?.flag_status()).await?;
        self.heard(&status);
        Ok(status)
    }

    /// Contexts that applications asked with lately, or why they are not known.
    pub(crate) async fn recent_contexts(
        &self,
        environment: &str,
    ) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, String> {
        let client = self.dataplane.client().map_err(|error| error.0)?;
        let recent = limited(client.recent_contexts(environment)).await;
        recent.map_err(|error| error.0)
    }

    async fn bring_up_to_date(&self, ask: bool) -> Result<(), PublishError> {
        let mut pushed = self.pushed.lock().await;
        let done = self.reconcile(&mut pushed, ask).await;
        let current = self.is_current(&pushed);
        self.contact.send_modify(|contact| {
            contact.in_force = pushed.acknowledged.map(|(id, ..)| id);
            contact.current = current && done.is_ok();
            contact.trouble = done.as_ref().err().map(|error| error.0.clone());
        });
        done
    }

    async fn reconcile(&self, pushed: &mut Pushed, ask: bool) -> Result<(), PublishError> {
        if self.damaged.is_some() {
            return Err(PublishError("the record of flags cannot be read".into()));
        }
        let boot = {
            let contact = self.dataplane.contact();
            let contact = contact.borrow();
            let status = contact.status.as_ref();
            status.map(|(status, _)| status.hello.boot.clone())
        };
        let stranger = pushed.met.as_ref() != Some(&boot);
        if stranger {
            // Decisions of whoever was in charge before, and of people at the proxy itself,
            // are known before anything is put in their place.
            self.meet(pushed).await?;
        }
        pushed.looks += 1;
        if stranger || ask || pushed.looks.is_multiple_of(ASK_EVERY) {
            let status = self.status().await?;
            if pushed.acknowledged.is_none_or(|(id, ..)| id != status.id) {
                pushed.acknowledged = None;
            }
        }
        pushed.met = Some(boot);
        if !self.is_current(pushed) {
            self.push(pushed).await?;
        }
        Ok(())
    }

    fn is_current(&self, pushed: &Pushed) -> bool {
        let revision = self.ledger.borrow().set.revision;
        let version = self.live().version;
        pushed
            .acknowledged
            .is_some_and(|(_, r, v)| (r, v) == (revision, version))
    }

    async fn meet(&self, pushed: &mut Pushed) -> Result<(), PublishError> {
        let found = limited(self.dataplane.client()?.flags()).await?;
        let Some(document) = found else {
            return Ok(());
        };
        // The document's kills say nothing of who decided them: its journal and the proxy do.
        let status = limited(self.dataplane.client()?.flag_status()).await?;
        let decided = [document.journal, status.killed_here].concat();
        let news = {
            let mut live = self.live();
            let news = live.adopt(&decided, &document.kills, clock::now());
            if !pushed.inherited {
                live.inherit(document.rollouts);
            }
            news
        };
        pushed.inherited = true;
        self.record_soon(news);
        Ok(())
    }

    fn heard(&self, status: &FlagStatus) {
        let now = clock::now();
        let news = self.live().adopt(&status.killed_here, &status.kills, now);
        self.record_soon(news);
        self.contact
            .send_modify(|contact| contact.status = Some((status.clone(), now)));
    }

    fn record_soon(&self, news: bool) {
        if news {
            let (reply, _nobody) = tokio::sync::oneshot::channel();
            // A full line means that the store hangs; what is left is tried again.
            let _ = self.orders.try_send(super::Order::Record { reply });
        }
    }

    async fn push(&self, pushed: &mut Pushed) -> Result<(), PublishError> {
        let ledger = self.ledger.borrow().clone();
        let (mut document, version) = {
            let live = self.live();
            (live.document(&ledger.set), live.version)
        };
        pushed.number += 1;
        pushed.acknowledged = None;
        document.id = GenerationId {
            epoch: self.store.epoch(),
            number: pushed.number,
        };
        document.key.clone_from(&self.key);
        let taken = limited(self.dataplane.client()?.put_flags(&document)).await?;
        let news = self.live().adopt(&[], &taken.kills, clock::now());
        self.record_soon(news);
        if !taken.persisted {
            tracing::warn!("The proxy cannot write the flags to its disk");
        }
        pushed.acknowledged = Some((taken.id, ledger.set.revision, version));
        Ok(())
    }
}
