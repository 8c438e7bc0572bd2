//! Waits until users' requests have left a version, before its instances are stopped.
//!
//! An instance that is told to end may cut off what it still answers, and what reaches it
//! after that fails. Only the proxy knows whether it still carries a request there.

use crate::app::Shared;
use esclusa_model::{Digest, ServiceName};
use esclusa_plan::Plan;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Longest wait. What lasts longer, or a proxy that does not say, has the instance's own
/// drain left.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often in a row nothing must be in flight. A request that read the generation
/// before is counted a moment later, on a busy machine some milliseconds.
const LOOKS: u32 = 3;

/// Returns once no request to the version is in flight, after ten seconds at the latest.
pub(super) async fn until_quiet(
    shared: &Shared,
    service: &ServiceName,
    plan: &Plan,
    version: &Digest,
) {
    if plan.traffic.driver != "proxy" || plan.web().is_none() {
        return;
    }
    let look = || async {
        let load = shared.dataplane.in_flight(service, version).await;
        load.inspect_err(|error| tracing::warn!(%error, "Nobody says what is in flight"))
            .ok()
    };
    if wait(look, PATIENCE, LOOK_EVERY).await == Quiet::No {
        tracing::warn!(%service, %version, "Stopped with requests in flight");
    }
}

/// Whether the wait ended as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quiet {
    Yes,
    No,
}

/// Looks until nothing was in flight often enough in a row; what nobody can tell is not
/// nothing.
async fn wait<F: Future<Output = Option<u64>>>(
    look: impl Fn() -> F,
    patience: Duration,
    every: Duration,
) -> Quiet {
    let end = Instant::now() + patience;
    let mut quiet = 0;
    loop {
        quiet = match timeout_at(end, look()).await {
            Ok(Some(0)) => quiet + 1,
            Ok(Some(_) | None) => 0,
            Err(_) => return Quiet::No,
        };
        if quiet == LOOKS {
            return Quiet::Yes;
        }
        if Instant::now() >= end {
            return Quiet::No;
        }
        sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const SOON: Duration = Duration::from_millis(1);

    /// How it ended and how many looks that took; the last of `seen` is seen for ever.
    async fn looks(seen: &[Option<u64>], patience: Duration) -> (Quiet, usize) {
        let count = AtomicUsize::new(0);
        let look = || {
            let look = count.fetch_add(1, Ordering::Relaxed);
            let load = seen[look.min(seen.len() - 1)];
            async move { load }
        };
        let quiet = wait(look, patience, SOON).await;
        (quiet, count.into_inner())
    }

    // RBK-14, TRF-08
    #[tokio::test]
    async fn requests_in_flight_are_waited_for() {
        for (seen, count) in [
            (&[Some(0)][..], 3),
            (&[Some(2), Some(1), Some(1), Some(0)], 6),
            // One that was counted late.
            (&[Some(0), Some(1), Some(0)], 5),
            (&[Some(0), None, Some(0)], 5),
        ] {
            let ended = looks(seen, Duration::from_secs(600)).await;
            assert_eq!(ended, (Quiet::Yes, count), "{seen:?}");
        }
    }

    #[tokio::test]
    async fn neither_endless_requests_nor_a_mute_proxy_are_waited_for_without_end() {
        for seen in [Some(1), None] {
            let (quiet, count) = looks(&[seen], Duration::from_millis(20)).await;
            assert_eq!(quiet, Quiet::No);
            assert!(count > 0);
        }
        let hangs = wait(std::future::pending::<Option<u64>>, SOON, SOON);
        assert_eq!(hangs.await, Quiet::No);
    }
}
