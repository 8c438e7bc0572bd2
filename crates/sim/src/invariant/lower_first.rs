//! What lowers exposure waits for nothing: not for the store, not for anybody's answer.

use super::Rule;
use crate::controller::Controller;
use crate::fact::Fact;
use crate::outside::Outside;
use esclusa_model::{ReleaseId, Timestamp};
use esclusa_release::Event;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct LowerFirst {
    /// Whether a release's dial is asked to expose anybody.
    exposed: BTreeMap<ReleaseId, bool>,
}

impl Rule for LowerFirst {
    fn name(&self) -> &'static str {
        "lower_first"
    }

    fn see(&mut self, _: Timestamp, fact: &Fact, _: &Outside) -> Result<(), String> {
        match fact {
            Fact::Turned {
                release,
                asked,
                answer: Ok(()),
                ..
            } => {
                self.exposed.insert(release.clone(), !asked.is_nobody());
            }
            // In force means that it no longer depends on the store.
            Fact::InForce { release, .. } => {
                self.exposed.insert(release.clone(), false);
            }
            Fact::Recorded { release, event, .. } => {
                let lowers = matches!(
                    **event,
                    Event::ReturnDecided(_) | Event::ReturnedByProxy { .. }
                );
                if lowers && self.exposed.get(release).copied().unwrap_or_default() {
                    return Err(format!(
                        "the return of {release} waited until it was recorded"
                    ));
                }
            }
            Fact::Asked {
                what,
                answer: Err(why),
                ..
            } if what.starts_with("abort") || what.starts_with("rollback") => {
                let store = why.contains("disk is full") || why.contains("does not answer");
                if store && self.exposed.values().any(|exposed| *exposed) {
                    return Err(format!("{what} is refused because {why}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, _: &Outside, controller: Option<&Controller>) -> Result<(), String> {
        let Some(run) = controller.and_then(|c| c.run.as_ref()) else {
            return Ok(());
        };
        let nobody = run.release.exposure().is_nobody() && run.release.was_exposed;
        let told = run.dial.told.as_ref();
        if nobody && run.dial.asking.is_none() && told.is_some_and(|told| !told.is_nobody()) {
            return Err("nobody should be exposed and the dial was not told".into());
        }
        Ok(())
    }
}
