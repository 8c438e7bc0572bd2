//! Flags in force: documents of the controller, kills of anybody, and what is kept of both.
//!
//! A document is compiled beside everything else, and checked and put in force in one
//! step. A kill compiles nothing and waits for nobody: not for a document that is compiled
//! meanwhile, not for the disk, not for a controller.

use super::kills::{apply, covers};
use super::persist::Writing;
use super::state::{Control, FOLLOW_PATIENCE, Inner, Unpublished};
use crate::flags::compile;
use esclusa_flags::{Kills, Rollout};
use esclusa_model::{GenerationId, ReleaseId};
use esclusa_ofrep::FlagTable;
use esclusa_wire::{
    FlagDocument, FlagKill, FlagStatus, FlagsFile, FlagsKilled, FlagsTaken, Refusal, WIRE_VERSION,
};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Most kills of this proxy that are told one by one; older ones are in force all the same.
const MAX_KILLED_HERE: usize = 1_000;
/// How often the keys of claims are read again.
const READ_KEYS_EVERY: Duration = Duration::from_secs(10);

impl Inner {
    fn flags_id(&self) -> GenerationId {
        let document = self.flags.document.as_ref();
        document.map(|d| d.id).unwrap_or_default()
    }

    fn refuse_flags(&self, reason: impl Into<String>) -> Unpublished {
        Unpublished::Refused(Refusal {
            current: self.flags_id(),
            reason: reason.into(),
        })
    }

    /// Whether a document is the one in force; an error when it cannot follow it.
    fn is_in_force(&self, document: &FlagDocument) -> Result<bool, Unpublished> {
        if document.v != WIRE_VERSION {
            return Err(self.refuse_flags(format!(
                "the flags are written in version {}, this proxy reads version {WIRE_VERSION}",
                document.v
            )));
        }
        let in_charge = self.epoch();
        if document.id.epoch < in_charge {
            return Err(self.refuse_flags(format!(
                "epoch {} is over, the controller of epoch {} is in charge",
                document.id.epoch.0, in_charge.0
            )));
        }
        let current = self.flags_id();
        if document.id < current {
            let why = format!("flag document {} is older than {current}", document.id);
            return Err(self.refuse_flags(why));
        }
        if document.id > current {
            return Ok(false);
        }
        match &self.flags.document {
            Some(known) if same_but_kills(known, document) => Ok(true),
            _ => Err(self.refuse_flags(format!(
                "flag document {current} is in force with other content"
            ))),
        }
    }

    /// The releases whose rollouts are shown to nobody: their split is withheld here, or
    /// was, and no controller has shown it again since.
    fn withheld_of(&self, rollouts: &[Rollout]) -> Vec<ReleaseId> {
        let splits = self.withheld.splits();
        let has_split = |release: &ReleaseId| {
            self.generation.iter().flat_map(|g| &g.services).any(|s| {
                let split = s.split.as_ref();
                split.is_some_and(|split| split.release == *release)
            })
        };
        let mut list: Vec<ReleaseId> = rollouts
            .iter()
            .map(|rollout| &rollout.release)
            .filter(|release| {
                let now = splits.values().any(|(r, _)| r == *release);
                now || (self.flags.withheld.contains(release) && !has_split(release))
            })
            .cloned()
            .collect();
        list.sort();
        list.dedup();
        list
    }

    pub(super) fn save_flags(&mut self) -> Option<Writing> {
        if self.flags.is_empty() {
            return None;
        }
        let flags = Arc::clone(&self.flags);
        self.flags_persister
            .as_mut()
            .map(|persister| persister.write(flags))
    }
}

/// Kills are merged, so they are no part of what a document's name stands for.
fn same_but_kills(known: &FlagDocument, document: &FlagDocument) -> bool {
    let mut known = known.clone();
    known.kills.clone_from(&document.kills);
    known == *document
}

impl Control {
    /// Puts a document in force. When this returns, nothing that begins later is decided
    /// by an older one.
    pub(crate) async fn put_flags(
        &self,
        document: FlagDocument,
    ) -> Result<FlagsTaken, Unpublished> {
        let (mut taken, writing) = self.put_flags_here(document).await?;
        taken.persisted = self.persisted(writing).await;
        if !self.followers.confirmed(FOLLOW_PATIENCE).await {
            return Err(Unpublished::Behind);
        }
        Ok(taken)
    }

    async fn put_flags_here(
        &self,
        document: FlagDocument,
    ) -> Result<(FlagsTaken, Option<Writing>), Unpublished> {
        let document = Arc::new(document);
        let mut compiled: Option<(Vec<ReleaseId>, Result<FlagTable, String>)> = None;
        loop {
            let withheld = {
                let mut inner = self.in_charge().await?;
                if inner.is_in_force(&document)? {
                    let mut file = FlagsFile::clone(&inner.flags);
                    file.kills.merge(&document.kills);
                    inner.hear();
                    self.keep(&mut inner, file, None);
                    return Ok((taken(&inner), inner.save_flags()));
                }
                let withheld = inner.withheld_of(&document.rollouts);
                if let Some((_, made)) = compiled.take_if(|(w, _)| *w == withheld) {
                    let made = made.map_err(|what| inner.refuse_flags(what))?;
                    let mut file = FlagsFile {
                        document: Some(FlagDocument::clone(&document)),
                        kills: inner.flags.kills.clone(),
                        killed_here: inner.flags.killed_here.clone(),
                        withheld,
                    };
                    file.kills.merge(&document.kills);
                    inner.hear();
                    self.keep(&mut inner, file, Some(made));
                    tracing::info!(flags = %document.id, revision = document.set.revision, "in force");
                    return Ok((taken(&inner), inner.save_flags()));
                }
                withheld
            };
            // Beside the lock and this thread: a kill does not wait for it.
            let (read, hidden) = (Arc::clone(&document), withheld.clone());
            let made = tokio::task::spawn_blocking(move || compile(&read, &hidden)).await;
            let made = made.unwrap_or_else(|error| Err(error.to_string()));
            compiled = Some((withheld, made));
        }
    }

    /// Lets what begins from now on be decided by `file`, compiled as `made`; without, only
    /// its kills are new. Kills that its document covers are no longer this proxy's own.
    fn keep(&self, inner: &mut Inner, mut file: FlagsFile, made: Option<FlagTable>) {
        if let Some(document) = &file.document {
            file.killed_here
                .retain(|kill| !covers(&document.kills, kill));
        }
        if file == *inner.flags {
            return;
        }
        // First, so that no table is in force without them.
        if file.kills != inner.flags.kills {
            self.shared.flags.merge_kills(&file.kills);
        }
        if let Some(made) = made {
            self.shared.flags.publish(made);
        }
        inner.flags = Arc::new(file);
        self.followers.push_flags(Arc::clone(&inner.flags));
    }

    /// Turns features off, or lifts that. When this returns, nothing that begins later is
    /// decided without it.
    pub(crate) async fn kill_flags(&self, asked: FlagKill) -> Result<FlagsKilled, Unpublished> {
        let (mut killed, writing) = self.kill_flags_here(asked).await?;
        killed.persisted = self.persisted(writing).await;
        if !self.followers.confirmed(FOLLOW_PATIENCE).await {
            return Err(Unpublished::Behind);
        }
        Ok(killed)
    }

    pub(super) async fn kill_flags_here(
        &self,
        asked: FlagKill,
    ) -> Result<(FlagsKilled, Option<Writing>), Unpublished> {
        let mut inner = self.in_charge().await?;
        let set = inner.flags.document.as_ref().map(|d| &d.set);
        let known = |flag: &String| set.is_some_and(|set| set.flags.contains_key(flag));
        let named = asked.flags.iter().flatten();
        let unknown = named.filter(|flag| !known(flag)).cloned().collect();
        let mut file = FlagsFile::clone(&inner.flags);
        if let Some(kill) = apply(&mut file, asked) {
            tracing::warn!(flags = ?kill.flags, killed = kill.killed, epoch = kill.epoch,
                by = %kill.by, "a person turned features off or on at this proxy");
            file.killed_here.push(kill);
            let over = file.killed_here.len().saturating_sub(MAX_KILLED_HERE);
            file.killed_here.drain(..over);
        }
        self.keep(&mut inner, file, None);
        let killed = FlagsKilled {
            kills: inner.flags.kills.clone(),
            unknown,
            persisted: false,
        };
        Ok((killed, inner.save_flags()))
    }

    /// The document in force, with all kills that hold.
    pub(crate) async fn flags(&self) -> Option<FlagDocument> {
        let flags = Arc::clone(&self.inner.lock().await.flags);
        let mut document = flags.document.clone()?;
        document.kills.clone_from(&flags.kills);
        Some(document)
    }

    /// How flags stand here.
    pub(crate) async fn flag_status(&self) -> FlagStatus {
        let killed_here = self.inner.lock().await.flags.killed_here.clone();
        self.shared.flags.status(killed_here)
    }

    /// Contexts that applications asked with lately.
    pub(crate) fn recent_contexts(&self, environment: &str) -> Vec<Map<String, Value>> {
        self.shared.flags.recent_contexts(environment)
    }

    /// Answers from the newest of `files` that can be compiled, without asking anybody.
    /// Kills of all copies hold.
    pub(crate) async fn restore_flags(&self, files: Vec<(PathBuf, FlagsFile)>) {
        let mut inner = self.inner.lock().await;
        let mut kills = Kills::default();
        files.iter().for_each(|(_, file)| kills.merge(&file.kills));
        let mut kept = FlagsFile::default();
        let mut made = None;
        for (path, file) in files {
            let Some(document) = &file.document else {
                kept.killed_here = file.killed_here;
                continue;
            };
            match compile(document, &file.withheld) {
                Ok(compiled) => {
                    tracing::info!(flags = %document.id, path = %path.display(), "answering from the saved flags");
                    (kept, made) = (file, Some(compiled));
                    break;
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the saved flags cannot be used");
                }
            }
        }
        kept.kills = kills;
        self.keep(&mut inner, kept, made);
    }

    /// Leaves out the rollouts of releases whose split was withheld meanwhile, and takes in
    /// those that a controller shows again. Called whenever either can have changed.
    pub(super) fn flags_as_withheld(&self, inner: &mut Inner) {
        let Some(document) = &inner.flags.document else {
            return;
        };
        let withheld = inner.withheld_of(&document.rollouts);
        if withheld == inner.flags.withheld {
            return;
        }
        match compile(document, &withheld) {
            Ok(made) => {
                let mut file = FlagsFile::clone(&inner.flags);
                file.withheld = withheld;
                self.keep(inner, file, Some(made));
                inner.save_flags();
            }
            // It compiled before, and a rollout less is a rule less.
            Err(error) => tracing::error!(%error, "a rollout of flags cannot be taken back"),
        }
    }

    /// Reads the keys of claims again and again, for ever: one may have been changed.
    pub(crate) async fn read_keys(&self) {
        let mut look = tokio::time::interval(READ_KEYS_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let table = self.shared.flags.table();
            if !table.guards().any(|(_, guard)| guard.has_keys()) {
                continue;
            }
            let read = tokio::task::spawn_blocking(move || {
                table.guards().for_each(|(_, guard)| guard.read_keys());
            });
            if read.await.is_err() {
                tracing::error!("reading the keys of claims ended badly");
            }
        }
    }

    /// Decides as the proxy in charge does.
    ///
    /// # Errors
    /// Why that cannot be; its kills hold all the same.
    pub(crate) async fn follow_flags(&self, mut file: FlagsFile) -> Result<(), String> {
        let made = file
            .document
            .as_ref()
            .map(|document| compile(document, &file.withheld))
            .transpose();
        let mut inner = self.inner.lock().await;
        file.kills.merge(&inner.flags.kills);
        match made {
            Ok(made) => {
                self.keep(&mut inner, file, made);
                Ok(())
            }
            Err(error) => {
                let mut known = FlagsFile::clone(&inner.flags);
                known.kills = file.kills;
                self.keep(&mut inner, known, None);
                Err(error)
            }
        }
    }
}

fn taken(inner: &Inner) -> FlagsTaken {
    FlagsTaken {
        id: inner.flags_id(),
        revision: revision(&inner.flags),
        kills: inner.flags.kills.clone(),
        persisted: false,
    }
}

fn revision(flags: &FlagsFile) -> u64 {
    flags.document.as_ref().map_or(0, |d| d.set.revision)
}
