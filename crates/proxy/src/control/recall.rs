//! Tunnels to a version that was taken back from its users.
//!
//! A request ends soon; a WebSocket can last for days, and would keep its user on the
//! version that everybody else was taken off. A promotion is the opposite: the version
//! before stays warm, and its tunnels live on.

use crate::table::{RouteTable, Service, Version};

/// Notes which versions were taken back between two generations, and which are in use.
pub(super) fn recall(before: &RouteTable, after: &RouteTable) {
    for service in after.services() {
        for (at, version) in service.versions.iter().enumerate() {
            if at == service.stable || exposed(service) == Some(at) {
                set(version, false);
            } else if service.split.as_ref().is_some_and(|s| s.canary == at) {
                // A canary that nobody is sent to.
                set(version, true);
            }
        }
    }
    // Canaries whose split is gone without making them stable.
    for service in before.services() {
        let Some(canary) = exposed(service).and_then(|at| service.versions.get(at)) else {
            continue;
        };
        let kept = after
            .services()
            .find(|s| s.name == service.name)
            .is_some_and(|s| {
                s.version(&canary.digest)
                    .is_some_and(|at| at == s.stable || exposed(s) == Some(at))
            });
        if !kept {
            set(canary, true);
        }
    }
}

/// The canary, if anybody is sent to it.
fn exposed(service: &Service) -> Option<usize> {
    let split = service.split.as_ref()?;
    split.reaches_anybody.then_some(split.canary)
}

fn set(version: &Version, recalled: bool) {
    version
        .load
        .recalled
        .send_if_modified(|now| std::mem::replace(now, recalled) != recalled);
}
