//! Stored traffic as a recording that `esclusa judge` reads.
//!
//! A release's recording begins where its judge began and ends where it stopped to judge,
//! so the same settings come to the same verdicts. What arrived too late for the judge is
//! in it all the same: it was stored.

use crate::clock;
use crate::judging::{PRE_ROLL_S, StagesTold};
use esclusa_judge::record::{Head, Recorder};
use esclusa_judge::{Assembler, Comparable, StageInfo};
use esclusa_model::{BasisPoints, Digest, Envelope, ServiceName, Timestamp};
use esclusa_release::Release;
use esclusa_store::{Store, StoreError};
use std::collections::{BTreeSet, VecDeque};

/// Seconds read at a time: bounds the memory that a long recording takes.
const CHUNK_S: i64 = 600;
/// Longest time that is recorded.
pub(crate) const MAX_S: i64 = 31 * 86_400;

/// What is recorded: which traffic, from when to when.
pub(crate) struct Recording {
    service: ServiceName,
    head: Head,
    first: StageInfo,
    from: i64,
    to: i64,
    release: Option<Release>,
}

impl Recording {
    /// All that a release's judge was told.
    ///
    /// # Errors
    /// Why there was nothing to judge, in words.
    pub(crate) fn of_release(release: Release, events: &[Envelope]) -> Result<Self, String> {
        let asked = &release.requested;
        let Some(stable) = &asked.stable else {
            return Err("it was a first deployment: there was nothing to compare with".into());
        };
        let Some(canary) = &release.version else {
            return Err("its version was never stored".into());
        };
        let Some(first) = StagesTold::default().next(&release, i64::MAX) else {
            return Err("no stage of it was ever confirmed, so nothing was judged".into());
        };
        let from = release.requested_at.unix_second() - PRE_ROLL_S;
        let returned = events.iter().find(|event| event.kind == "return_decided");
        let end = returned.map(|event| event.at);
        let end = end.or(release.ended.as_ref().map(|ended| ended.at));
        let to = end.map_or_else(now_s, Timestamp::unix_second).max(from);
        if to - from > MAX_S {
            return Err(format!("it took longer than {} days", MAX_S / 86_400));
        }
        let head = Head {
            id: asked.release.to_string(),
            service: asked.service.to_string(),
            baseline: (stable.digest, stable.name.to_string()),
            canary: (canary.digest, canary.name.to_string()),
            start: first.entered_at_s,
            pre_roll_s: first.entered_at_s - from,
            duration_s: (to - first.entered_at_s).max(0),
            routes: Vec::new(),
            judge: Some(asked.plan.judge.clone()),
        };
        Ok(Self {
            service: asked.service.clone(),
            head,
            first,
            from,
            to,
            release: Some(release),
        })
    }

    /// The last `seconds` of a version that serves alone.
    pub(crate) fn of_service(
        service: &ServiceName,
        stable: (Digest, String),
        seconds: i64,
    ) -> Self {
        let to = now_s();
        let from = to - seconds;
        let nobody = Digest::of(b"nobody");
        Self {
            service: service.clone(),
            head: Head {
                id: service.to_string(),
                service: service.to_string(),
                baseline: stable,
                canary: (nobody, nobody.to_string()),
                start: from,
                pre_roll_s: 0,
                duration_s: seconds,
                routes: Vec::new(),
                judge: None,
            },
            first: StageInfo {
                entered_at_s: from,
                share: BasisPoints::ZERO,
                next_share: BasisPoints::FULL,
                min_watch_s: 0,
                comparable: Comparable::Random,
                chosen: false,
            },
            from,
            to,
            release: None,
        }
    }

    /// Gives all lines to `out`, oldest first, some at a time. Stops when `out` says that
    /// nobody listens any more.
    ///
    /// # Errors
    /// When the store cannot be read. What was given before is then no whole.
    pub(crate) async fn write<F: Future<Output = bool>>(
        mut self,
        store: &Store,
        mut out: impl FnMut(String) -> F,
    ) -> Result<(), StoreError> {
        self.head.routes = self.routes(store).await?;
        let mut told = StagesTold::default();
        let mut assembler = Assembler::new();
        let mut recorder = Recorder::new(self.head);
        let mut readings = VecDeque::new();
        if let Some(release) = &self.release {
            readings.extend(store.readings(&release.requested.release).await?);
        }
        let mut text = recorder.meta(&self.first);
        text.push('\n');
        let mut start = self.from;
        while start < self.to {
            let stop = (start + CHUNK_S).min(self.to);
            let slices = store.slices(&self.service, start, stop).await?;
            let mut seconds = Vec::new();
            for (proxy, stamped) in slices {
                let at = stamped.slice.second;
                assembler.push(&proxy, stamped.slice, at);
                seconds.extend(assembler.drain(at));
            }
            seconds.extend(assembler.drain(stop));
            for second in seconds.iter().filter(|second| second.t < self.to) {
                if let Some(release) = &self.release {
                    while let Some(info) = told.next(release, second.t) {
                        text.push_str(&recorder.stage(&info));
                        text.push('\n');
                    }
                }
                for line in recorder.second(second) {
                    text.push_str(&line);
                    text.push('\n');
                }
                while let Some(reading) = readings.pop_front_if(|r| r.t <= second.t) {
                    text.push_str(&recorder.reading(&reading));
                    text.push('\n');
                }
            }
            if !out(std::mem::take(&mut text)).await {
                return Ok(());
            }
            start = stop;
        }
        Ok(())
    }

    /// The names of all routes, for the first line.
    async fn routes(&self, store: &Store) -> Result<Vec<String>, StoreError> {
        let mut routes = BTreeSet::new();
        let mut start = self.from;
        while start < self.to {
            let stop = (start + CHUNK_S).min(self.to);
            let slices = store.slices(&self.service, start, stop).await?;
            for cell in slices.iter().flat_map(|(_, stamped)| &stamped.slice.cells) {
                if !routes.contains(&cell.route) {
                    routes.insert(cell.route.clone());
                }
            }
            start = stop;
        }
        Ok(routes.into_iter().collect())
    }
}

fn now_s() -> i64 {
    clock::now().unix_second()
}
