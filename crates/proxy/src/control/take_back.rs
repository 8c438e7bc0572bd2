//! Going back at the proxy itself, for people whose controller does not answer.
//!
//! It is lowering, so it waits for nobody: not for a disk, not for a hand-over that hangs.
//! The proxy decides nothing more about the release; it remembers what it did, shows it,
//! and leaves the rest to the controller. Deliberately no sign of life of a controller.

use super::persist::Writing;
use super::state::{Control, FOLLOW_PATIENCE, Unpublished, now};
use crate::table::RouteTable;
use esclusa_wire::{ServiceRoute, StateFile, TakeBack, TakenBack, TookBack};

/// Longest reason that is kept, in characters; the rest is cut off.
const MAX_REASON: usize = 2_000;

impl Control {
    /// Sends everybody of the named services to their stable versions. When this returns,
    /// no request that begins later is answered by one of their canaries.
    pub(crate) async fn take_back(&self, asked: TakeBack) -> Result<TookBack, Unpublished> {
        let (mut took, writing) = self.take_back_here(asked).await?;
        took.persisted = self.persisted(writing).await;
        took.everywhere = self.followers.confirmed(FOLLOW_PATIENCE).await;
        Ok(took)
    }

    pub(super) async fn take_back_here(
        &self,
        asked: TakeBack,
    ) -> Result<(TookBack, Option<Writing>), Unpublished> {
        let mut inner = self.in_charge().await?;
        let mut took = TookBack {
            generation: inner.id(),
            taken_back: Vec::new(),
            nothing: Vec::new(),
            unknown: asked.services.clone().unwrap_or_default(),
            persisted: false,
            everywhere: false,
        };
        let Some(generation) = &inner.generation else {
            return Ok((took, None));
        };
        let mut withheld = inner.withheld.clone();
        for route in &generation.services {
            let named = |all: &Vec<_>| all.contains(&route.service);
            if !asked.services.as_ref().is_none_or(named) {
                continue;
            }
            took.unknown.retain(|name| *name != route.service);
            let Some(taken) = taken_back(route, &asked) else {
                took.nothing.push(route.service.clone());
                continue;
            };
            // Who was first stays: asking once more is no other decision.
            let known = withheld.taken_back.get(&route.service);
            let taken = match known.filter(|known| known.release == taken.release) {
                Some(known) => known.clone(),
                None => {
                    tracing::warn!(service = %taken.service, release = %taken.release,
                        share = %taken.share, by = %taken.by,
                        "a person took this release back: everybody is sent to the stable version");
                    taken
                }
            };
            took.taken_back.push(taken.clone());
            withheld.taken_back.insert(route.service.clone(), taken);
        }
        if withheld != inner.withheld {
            let table = RouteTable::compile(generation, &withheld.splits(), &self.shared.registry)
                .map_err(|error| inner.refuse(error.to_string()))?;
            self.in_force(table);
            inner.withheld = withheld;
            self.flags_as_withheld(&mut inner);
            if let Some(state) = inner.state_file() {
                self.followers.push(state);
            }
        }
        Ok((took, inner.save()))
    }
}

/// Takes services back in a state that is not served yet.
pub(super) fn take_back_in(state: &mut StateFile, asked: &TakeBack) {
    let routes = state.generation.services.iter();
    let named = routes.filter(|route| {
        let services = asked.services.as_ref();
        services.is_none_or(|services| services.contains(&route.service))
    });
    for taken in named.filter_map(|route| taken_back(route, asked)) {
        let same = |known: &TakenBack| known.service == taken.service;
        if state
            .taken_back
            .iter()
            .any(|k| same(k) && k.release == taken.release)
        {
            continue;
        }
        state.taken_back.retain(|known| !same(known));
        state.taken_back.push(taken);
    }
}

/// The split of a service as it is remembered; none when it has none.
fn taken_back(route: &ServiceRoute, asked: &TakeBack) -> Option<TakenBack> {
    let split = route.split.as_ref()?;
    Some(TakenBack {
        service: route.service.clone(),
        release: split.release.clone(),
        share: split.share,
        by: asked.by.clone(),
        reason: asked.reason.chars().take(MAX_REASON).collect(),
        at: now(),
    })
}
