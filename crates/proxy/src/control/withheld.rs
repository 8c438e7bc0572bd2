//! Splits that this proxy shows to nobody although its generation has them.

use crate::compile::Returned;
use esclusa_model::{ReleaseId, ServiceName};
use esclusa_wire::{Generation, StateFile, TakenBack};
use std::collections::BTreeMap;

/// By service, because a service has one split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// Taken back by the proxy itself when nobody controlled it. A controller that was told
    /// decides about them.
    pub(crate) returned: Returned,
    /// Taken back by a person at this proxy. Only the end of the split ends that.
    pub(crate) taken_back: BTreeMap<ServiceName, TakenBack>,
}

impl Withheld {
    /// What a saved state withholds.
    pub(super) fn of(state: &StateFile) -> Self {
        let mut returned = Returned::new();
        for (service, release) in &state.returned {
            let split = state
                .generation
                .services
                .iter()
                .find(|s| s.service == *service)
                .and_then(|s| s.split.as_ref())
                .filter(|split| split.release == *release);
            if let Some(split) = split {
                returned.insert(service.clone(), (release.clone(), split.share));
            }
        }
        let taken_back = state.taken_back.iter();
        let all = Self {
            returned,
            taken_back: taken_back.map(|t| (t.service.clone(), t.clone())).collect(),
        };
        all.kept_in(&state.generation)
    }

    /// What is left of it in a generation: splits that this one still has.
    pub(super) fn kept_in(&self, generation: &Generation) -> Self {
        let mut kept = self.clone();
        kept.returned
            .retain(|service, (release, _)| has_split_of(generation, service, release));
        kept.taken_back
            .retain(|service, taken| has_split_of(generation, service, &taken.release));
        kept
    }

    /// All of it, as a table is compiled without.
    pub(super) fn splits(&self) -> Returned {
        let mut all = self.returned.clone();
        for (service, taken) in &self.taken_back {
            all.insert(service.clone(), (taken.release.clone(), taken.share));
        }
        all
    }
}

fn has_split_of(generation: &Generation, service: &ServiceName, release: &ReleaseId) -> bool {
    generation.services.iter().any(|s| {
        s.service == *service
            && s.split
                .as_ref()
                .is_some_and(|split| split.release == *release)
    })
}
