//! Whether the record is what was written, looked at when the control plane begins.
//!
//! The end of every stream is looked at before anything is decided, and the work waits
//! for that a short while only; the whole of every chain is looked at beside the work.
//! Damage keeps nobody from starting: users have to be served and releases to be turned
//! back all the same. It is said aloud.

use esclusa_store::{Store, StoreError, Verification};
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest that the work waits for the ends of the streams.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pause before another look, where the record could not be read.
const AGAIN: Duration = Duration::from_secs(60);
/// Misfits that are named one by one.
pub(crate) const NAMED: usize = 5;

/// Looks at the ends of all streams, and goes on to look at the rest.
pub(crate) async fn begin(store: &Store) {
    for copy in store.kept_copies() {
        tracing::info!(
            copy = %copy.display(),
            "The schema was brought up to date; what was there before is kept"
        );
    }
    let (done, looked) = oneshot::channel();
    tokio::spawn(prove(store.clone(), done));
    if tokio::time::timeout(PATIENCE, looked).await.is_err() {
        tracing::info!("The record is large: work begins while it is looked at");
    }
}

async fn prove(store: Store, ends_looked_at: oneshot::Sender<()>) {
    match store.verify_heads().await {
        Ok(found) => tell(&found, "The ends of the record's streams do not fit"),
        Err(error) => unread(&error),
    }
    // Nobody waits any more: nothing is lost.
    let _ = ends_looked_at.send(());
    loop {
        match store.verify().await {
            Ok(found) if found.broken.is_empty() => {
                tracing::info!(
                    streams = found.streams,
                    events = found.events,
                    "The record is as it was written"
                );
                return;
            }
            Ok(found) => return tell(&found, "The record was changed or is damaged (ESC-0901)"),
            Err(error) => unread(&error),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn unread(error: &StoreError) {
    let next = error.next_step();
    tracing::warn!(%error, %next, "Whether the record is as it was written is not known");
}

fn tell(found: &Verification, what: &str) {
    let count = found.broken.len();
    for broken in found.broken.iter().take(NAMED) {
        tracing::error!(%broken, streams_broken = count, "{what}");
    }
}
