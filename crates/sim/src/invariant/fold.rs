//! The state is the fold of the stream: of what the controller carries, of what the
//! store has folded on the way, and of what a reader folds who comes later.

use super::Rule;
use crate::controller::Controller;
use crate::fact::Fact;
use crate::outside::Outside;
use crate::store::{StoreError, replay};
use esclusa_model::Timestamp;
use esclusa_release::Event;

#[derive(Debug, Default)]
pub(super) struct Fold {
    changed: bool,
}

impl Rule for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn see(&mut self, _: Timestamp, fact: &Fact, out: &Outside) -> Result<(), String> {
        match fact {
            Fact::Refused {
                what,
                why: StoreError::Illegal(why),
                ..
            } => Err(format!("{what} is decided and cannot follow: {why}")),
            Fact::Recorded { release, event, .. } => {
                self.changed = true;
                let over = matches!(**event, Event::Ended { .. });
                match out.store.streams.get(release).filter(|_| over) {
                    Some(stream) if replay(&stream.entries).as_ref() != Ok(&stream.fold) => {
                        Err(format!("replay of {release} gives another state"))
                    }
                    _ => Ok(()),
                }
            }
            Fact::ServiceRecorded { .. } | Fact::Started { .. } => {
                self.changed = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn after(&mut self, out: &Outside, controller: Option<&Controller>) -> Result<(), String> {
        let Some(controller) = controller.filter(|_| self.changed) else {
            return Ok(());
        };
        self.changed = false;
        if controller.service != out.store.service {
            return Err("the controller's service is not what is stored".into());
        }
        let Some(run) = controller.run.as_ref().filter(|run| run.pending.is_empty()) else {
            return Ok(());
        };
        let Some(stream) = out.store.streams.get(run.id()) else {
            return Err(format!("release {} is carried and not stored", run.id()));
        };
        if run.release != stream.fold {
            return Err(format!(
                "release {} is carried in phase {} and stored in phase {}",
                run.id(),
                run.release.phase,
                stream.fold.phase
            ));
        }
        Ok(())
    }
}
