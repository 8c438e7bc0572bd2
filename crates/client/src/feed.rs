//! Watches the server: its event stream, else its answers from time to time.

use crate::answer::Failure;
use crate::core::{Core, jittered};
use crate::ofrep::{Bulk, Event, unreachable};
use crate::sse::Parser;
use http::HeaderValue;
use reqwest::Url;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// First and longest wait before the next try.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// A stream that held for so long was a good one.
const GOOD: Duration = Duration::from_secs(60);
/// How often last known values are written, if they are others.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// What is known of the server's state.
#[derive(Default)]
struct Watch {
    context: String,
    etag: Option<HeaderValue>,
    stream: Option<Url>,
    last_id: Option<HeaderValue>,
}

/// Watches for as long as the client lives.
pub(crate) async fn watch(core: Arc<Core>) {
    let mut watch = Watch {
        context: core.config.context.canonical(),
        ..Watch::default()
    };
    let mut backoff = FIRST;
    loop {
        let wait = match watch.check(&core, None).await {
            Ok(()) => {
                let began = Instant::now();
                match watch.stream.clone() {
                    Some(url) => {
                        let end = watch.follow(&core, &url).await;
                        tracing::debug!(%end, "the event stream of flags ended");
                        if began.elapsed() >= GOOD {
                            backoff = FIRST;
                        }
                        // Meanwhile the server is asked: a stream that does not hold makes
                        // nothing stale.
                        backoff.min(core.config.poll)
                    }
                    None => core.config.poll,
                }
            }
            Err(failure) => {
                let wait = match &failure {
                    Failure::Busy(rest) => (*rest).max(FIRST / 10),
                    _ => backoff.min(core.config.poll),
                };
                // Who comes back may be another, with the same name for something else.
                (watch.etag, watch.last_id) = (None, None);
                core.lost(&failure, wait);
                wait
            }
        };
        backoff = (backoff * 2).min(LONGEST);
        if watch.stream.is_none() && core.state.borrow().is_ready() {
            backoff = FIRST;
        }
        tokio::time::sleep(jittered(wait)).await;
    }
}

/// Writes what is known, from time to time.
pub(crate) async fn keep(core: Arc<Core>) {
    loop {
        tokio::time::sleep(SAVE_EVERY).await;
        if core.dirty.load(Ordering::Acquire)
            && let Err(error) = Arc::clone(&core).save().await
        {
            tracing::warn!(%error, "last known flags cannot be written");
        }
    }
}

/// Nothing may take longer than this.
async fn within<T>(
    limit: Duration,
    what: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let what = tokio::time::timeout(limit, what).await;
    what.unwrap_or(Err(Failure::TimedOut))
}

impl Watch {
    /// Asks whether anything changed. All flags are a longer answer than one.
    async fn check(&mut self, core: &Arc<Core>, told: Option<&Event>) -> Result<(), Failure> {
        let limit = core.config.timeout.max(Duration::from_secs(5));
        let asked = core.ofrep.bulk(&self.context, self.etag.as_ref(), told);
        match within(limit, asked).await? {
            Bulk::Same => {}
            Bulk::Changed { etag, stream } => {
                let is_same = etag.is_some() && etag == self.etag;
                (self.etag, self.stream) = (etag, stream);
                // Who was told of a change has already acted on it.
                if !is_same && told.is_none() {
                    core.changed();
                }
            }
        }
        core.reached();
        Ok(())
    }

    /// Follows the stream to its end, and says how it ended.
    async fn follow(&mut self, core: &Arc<Core>, url: &Url) -> Failure {
        let limit = core.config.timeout.max(Duration::from_secs(5));
        let opened = core.ofrep.stream(url, self.last_id.clone());
        let mut stream = match within(limit, opened).await {
            Ok(stream) => stream,
            Err(failure) => return failure,
        };
        // What changed after the last answer and before the stream began is in no event.
        if let Err(failure) = self.check(core, None).await {
            return failure;
        }
        let mut parser = Parser::default();
        loop {
            let piece = async { stream.chunk().await.map_err(unreachable) };
            let piece = match within(core.config.silence, piece).await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Failure::Unreachable("the server ended it".to_owned()),
                Err(failure) => return failure,
            };
            let Ok(events) = parser.push(&piece) else {
                return Failure::Garbage("an event has no end".to_owned());
            };
            let mut told = None;
            for data in events {
                match Event::read(&data) {
                    Some(event) if event.is_refetch() => told = Some(event),
                    // Of a kind that is not known here.
                    Some(_) => {}
                    None => return Failure::Garbage("an event is not JSON".to_owned()),
                }
            }
            self.last_id = parser.last_id().or(self.last_id.take());
            if let Some(event) = told {
                core.changed();
                if let Err(failure) = self.check(core, Some(&event)).await {
                    return failure;
                }
            }
        }
    }
}
