//! Reads a release's series while its canary serves: each by a task of its own, one
//! question of a series at a time.

use super::run::Run;
use super::{Message, ServiceActor};
use crate::clock;
use crate::world::SeriesQuestion;
use esclusa_judge::{Series, SeriesName, SeriesValue};
use esclusa_model::{ReleaseId, Timestamp};
use esclusa_release::Phase;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How long a reading may wait for its place in the store; it is judged all the same.
const STORED_WITHIN: Duration = Duration::from_secs(2);

/// What is being asked for one release.
#[derive(Default)]
pub(crate) struct Polls {
    by_series: BTreeMap<SeriesName, Poll>,
}

struct Poll {
    /// Which of the moments that lie `every` apart was asked about last.
    moment: i64,
    task: AbortHandle,
}

impl Polls {
    /// Whether a series is to be read now: its moment has come, and nobody waits for the
    /// answer of the one before.
    fn is_due(&self, series: &Series, now: Timestamp) -> bool {
        self.by_series
            .get(&series.name)
            .is_none_or(|poll| poll.moment < moment(series, now) && poll.task.is_finished())
    }
}

impl Drop for Polls {
    fn drop(&mut self) {
        for poll in self.by_series.values() {
            poll.task.abort();
        }
    }
}

fn moment(series: &Series, now: Timestamp) -> i64 {
    let every = i64::try_from(series.every.0).unwrap_or(i64::MAX / 1_000);
    now.0.div_euclid(every.saturating_mul(1_000).max(1))
}

impl ServiceActor {
    /// Asks about the series that are due.
    pub(super) fn read_series(&mut self) {
        let Some(run) = &mut self.run else { return };
        let release = &run.release;
        if !matches!(release.phase, Phase::Stage(_)) {
            return;
        }
        let now = clock::now();
        let series = &release.requested.plan.judge.series;
        let due: Vec<Series> = series
            .iter()
            .filter(|series| run.polls.is_due(series, now))
            .cloned()
            .collect();
        for series in due {
            let question = SeriesQuestion::new(&self.service, &run.release, &series);
            let Some(question) = question else { continue };
            let (shared, own) = (Arc::clone(&self.shared), self.own.clone());
            let release = run.id().clone();
            let work = tokio::spawn(async move {
                let values = question.ask().await;
                let stored = shared.store.put_readings(&release, &values);
                match tokio::time::timeout(STORED_WITHIN, stored).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "A reading of a series is not stored");
                    }
                    Err(_) => tracing::warn!("A reading of a series is not stored in time"),
                }
                // The actor lives as long as the program.
                let _ = own.send(Message::Read(release, values)).await;
            });
            let poll = Poll {
                moment: moment(&series, now),
                task: work.abort_handle(),
            };
            run.polls.by_series.insert(series.name, poll);
        }
    }

    /// What a source said.
    pub(super) fn series_read(&mut self, release: &ReleaseId, values: Vec<SeriesValue>) {
        if let Some(run) = self.run.as_mut().filter(|run| run.id() == release) {
            run.judging.take_series(values);
        }
    }
}

impl Run {
    /// Why a required series keeps this release from being seen, where that lasts longer
    /// than its plan tolerates. Whoever began a moment ago has asked nobody before.
    pub(super) fn unread(&self, now: Timestamp) -> Option<String> {
        let rule = self.release.requested.plan.judge.blind.hold;
        let asked = now.since(self.watching_since) > rule;
        self.judging.unread().filter(|_| asked)
    }
}
