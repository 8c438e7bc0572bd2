//! What became of requests before guarded routes.

use esclusa_flags::Verdict;
use esclusa_model::ServiceName;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Requests before the routes of one flag.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuardCount {
    pub(crate) open: u64,
    pub(crate) blocked: u64,
    pub(crate) fallback: u64,
    pub(crate) without_tenant: u64,
}

/// Counts by service and flag, since the start. Only guarded requests are counted here,
/// so that all others know nothing of this lock.
#[derive(Debug, Default)]
pub(crate) struct GuardCounts(Mutex<BTreeMap<ServiceName, BTreeMap<String, GuardCount>>>);

impl GuardCounts {
    pub(crate) fn count(
        &self,
        service: &ServiceName,
        flag: &str,
        verdict: &Verdict,
        lacks_tenant: bool,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(service) {
            all.insert(service.clone(), BTreeMap::new());
        }
        let Some(flags) = all.get_mut(service) else {
            return;
        };
        if !flags.contains_key(flag) {
            flags.insert(flag.to_owned(), GuardCount::default());
        }
        if let Some(count) = flags.get_mut(flag) {
            match verdict {
                Verdict::Open => count.open += 1,
                Verdict::Fallback => count.fallback += 1,
                Verdict::Closed { .. } => count.blocked += 1,
            }
            count.without_tenant += u64::from(lacks_tenant);
        }
    }

    /// All counts, by service and flag.
    pub(crate) fn all(&self) -> Vec<(ServiceName, String, GuardCount)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = Vec::new();
        for (service, flags) in all.iter() {
            let own = flags
                .iter()
                .map(|(flag, count)| (service.clone(), flag.clone(), *count));
            list.extend(own);
        }
        list
    }
}
