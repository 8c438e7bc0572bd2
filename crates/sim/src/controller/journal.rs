//! Records events. The order of acting and recording is kept here.

use super::Controller;
use crate::fact::{Fact, Point};
use crate::outside::{Died, Mutant, Outside};
use crate::store::{Entry, StoreError};
use crate::words::say;
use esclusa_model::Actor;
use esclusa_release::Event;

/// What became of a commit: done, or why not.
pub(crate) type Committed = Result<(), String>;

impl Controller {
    /// Commits events of the release: lowering acts first, everything else records first.
    pub(super) fn commit(
        &mut self,
        out: &mut Outside,
        events: Vec<Event>,
        by: &Actor,
    ) -> Result<Committed, Died> {
        let at = out.clock();
        let Some(run) = self.run.as_mut() else {
            return Ok(Err("no release is under way".into()));
        };
        let mut next = run.release.clone();
        for event in &events {
            if let Err(illegal) = next.apply(event, by, at) {
                let why = StoreError::Illegal(illegal.to_string());
                return Ok(Err(self.refused(out, say(event), why)));
            }
        }
        let (before, after) = (run.release.exposure(), next.exposure());
        let lowers = after != before && after.is_within(&before);
        let raises = !after.is_within(&before);
        let entries: Vec<Entry> = events.into_iter().map(|e| (e, by.clone(), at)).collect();
        let first = if lowers {
            !out.is(Mutant::RecordsBeforeLowering)
        } else {
            raises && out.is(Mutant::ActsBeforeRecord)
        };
        if first {
            run.release = next;
            run.pending.extend(entries.iter().cloned());
            self.note(out, &entries)?;
            self.reconcile(out)?;
            return self.flush(out);
        }
        if let Err(why) = self.flush(out)? {
            return Ok(Err(why));
        }
        if let Err(why) = self.append(out, &entries)? {
            return Ok(Err(why));
        }
        if let Some(run) = self.run.as_mut() {
            run.release = next;
        }
        Ok(Ok(()))
    }

    /// Notes beside the dial what is in force from now on: the store may be away.
    fn note(&mut self, out: &mut Outside, entries: &[Entry]) -> Result<(), Died> {
        let Some(run) = &self.run else { return Ok(()) };
        // Whoever was replaced notes nothing: the fence there is the same.
        if self.epoch < out.store.epoch && !out.is(Mutant::ForgetsFence) {
            return Ok(());
        }
        let id = run.id().clone();
        let first = run.position
            + u64::try_from(run.pending.len().saturating_sub(entries.len())).unwrap_or(0);
        for (index, entry) in (first..).zip(entries) {
            out.fact(Fact::InForce {
                epoch: self.epoch,
                release: id.clone(),
                event: Box::new(entry.0.clone()),
            });
            if !out.is(Mutant::DropsJournalEntry) {
                out.journal.push((index, id.clone(), entry.clone()));
            }
        }
        let what = entries.iter().map(|(event, ..)| say(event)).collect();
        out.boundary(self.epoch, Point::AfterJournal(what))
    }

    /// Records what was acted on and not recorded yet.
    pub(super) fn flush(&mut self, out: &mut Outside) -> Result<Committed, Died> {
        let Some(run) = self.run.as_ref().filter(|run| !run.pending.is_empty()) else {
            return Ok(Ok(()));
        };
        let entries = run.pending.clone();
        if let Err(why) = self.append(out, &entries)? {
            return Ok(Err(why));
        }
        if let Some(run) = self.run.as_mut() {
            run.pending.clear();
        }
        out.journal.clear();
        Ok(Ok(()))
    }

    fn append(&mut self, out: &mut Outside, entries: &[Entry]) -> Result<Committed, Died> {
        let Some(run) = &self.run else {
            return Ok(Ok(()));
        };
        let (id, position) = (run.id().clone(), run.position);
        let what: Vec<String> = entries.iter().map(|(event, ..)| say(event)).collect();
        let what = what.join(", ");
        out.boundary(self.epoch, Point::BeforeRecord(what.clone()))?;
        if let Err(why) = out.append(self.epoch, &id, position, entries) {
            return Ok(Err(self.refused(out, what, why)));
        }
        if let Some(run) = self.run.as_mut() {
            run.position += u64::try_from(entries.len()).unwrap_or(0);
        }
        out.boundary(self.epoch, Point::AfterRecord(what))?;
        Ok(Ok(()))
    }

    /// Something could not be recorded; it is tried again at a later turn.
    pub(super) fn refused(&mut self, out: &mut Outside, what: String, why: StoreError) -> String {
        self.stuck = true;
        let words = why.to_string();
        out.fact(Fact::Refused {
            epoch: self.epoch,
            what,
            why,
        });
        words
    }
}
