//! Once a return is decided, nothing exposes anybody to that release's version; once a
//! proxy has returned a share by itself, nothing does before a person resumes.

use super::Rule;
use crate::fact::{Fact, exposure};
use crate::outside::Outside;
use esclusa_model::{BasisPoints, ReleaseId, Timestamp};
use esclusa_release::Event;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct NoRaise {
    /// Releases that are on their way back.
    decided: BTreeSet<ReleaseId>,
    /// Releases that wait for a person after a proxy's own return.
    by_proxy: BTreeSet<ReleaseId>,
}

impl Rule for NoRaise {
    fn name(&self) -> &'static str {
        "no_raise"
    }

    fn see(&mut self, _: Timestamp, fact: &Fact, out: &Outside) -> Result<(), String> {
        match fact {
            Fact::Recorded { release, event, .. } | Fact::InForce { release, event, .. } => {
                match &**event {
                    Event::ReturnDecided(_) => {
                        self.decided.insert(release.clone());
                    }
                    Event::ReturnedByProxy { .. } => {
                        self.by_proxy.insert(release.clone());
                    }
                    Event::Resumed { .. } => {
                        self.by_proxy.remove(release);
                    }
                    _ => {}
                }
                Ok(())
            }
            Fact::ProxyReturned(release) => {
                self.by_proxy.insert(release.clone());
                Ok(())
            }
            Fact::Turned {
                release,
                asked,
                answer: Ok(()),
                ..
            } if !asked.is_nobody() && self.decided.contains(release) => Err(format!(
                "the dial is asked for {} after the return of {release} was decided",
                exposure(asked)
            )),
            // Asking in vain harms nobody: what users see is what counts here.
            Fact::Shows(share) if *share > BasisPoints::ZERO && out.command_dial.is_none() => {
                let route = out.proxy.route.as_ref();
                match route.map(|route| &route.release) {
                    Some(release) if self.by_proxy.contains(release) => Err(format!(
                        "{share} of users see {release} again, and no person resumed it"
                    )),
                    Some(release) if self.decided.contains(release) => Err(format!(
                        "{share} of users see {release} after its return was decided"
                    )),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
