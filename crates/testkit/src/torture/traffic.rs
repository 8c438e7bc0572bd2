//! Users of one release: an open-model load whose ends are also known by time, to tell
//! how many requests a killed proxy can have taken with it.

use super::watcher::now_us;
use crate::load::{Arrivals, Load, LoadConfig, LoadHandle, LoadReport};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Pause between two readings of the counter.
const EVERY: Duration = Duration::from_millis(20);
/// What a proxy counted last is written down when its second is over.
const SLICE_MS: i64 = 1_000;
/// How late a proxy may be with that, and a client with reading its reply.
const LATE_MS: i64 = 200;
/// A reply that is not there by then never comes.
const TIMEOUT: Duration = Duration::from_secs(40);

type Course = Arc<Mutex<Vec<(i64, u64)>>>;

/// A load with its course in time.
#[derive(Debug)]
pub(super) struct Traffic {
    load: Option<LoadHandle>,
    report: LoadReport,
    course: Course,
    reader: JoinHandle<()>,
}

impl Traffic {
    pub(super) fn start(
        target: SocketAddr,
        rate: f64,
        users: usize,
        seed: u64,
    ) -> io::Result<Self> {
        let load = Load::start(LoadConfig {
            rate,
            users,
            seed,
            arrivals: Arrivals::Even,
            timeout: TIMEOUT,
            max_under_way: 50_000,
            ..LoadConfig::on(target)
        })?;
        let course = Course::default();
        let (ended, book) = (load.counter(), Arc::clone(&course));
        let reader = tokio::spawn(async move {
            loop {
                let now = (now_us() / 1_000, ended());
                book.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(now);
                tokio::time::sleep(EVERY).await;
            }
        });
        Ok(Self {
            load: Some(load),
            report: LoadReport::default(),
            course,
            reader,
        })
    }

    /// Sends nothing more and waits for what is under way.
    pub(super) async fn stop(&mut self) {
        if let Some(load) = self.load.take() {
            self.report = load.stop().await;
            self.reader.abort();
        }
    }

    /// What users saw, once it has stopped.
    pub(super) fn report(&self) -> LoadReport {
        self.report.clone()
    }

    /// How many requests ended in the slice before this moment. `cut_ms` is when it was
    /// begun, where anybody saw that: on a busy machine a slice is longer than a second.
    pub(super) fn at_risk(&self, at_ms: i64, cut_ms: Option<i64>) -> u64 {
        let course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        at_risk(&course, at_ms, cut_ms)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn at_risk(course: &[(i64, u64)], at_ms: i64, cut_ms: Option<i64>) -> u64 {
    let begun = cut_ms.map_or(at_ms - SLICE_MS, |cut| cut.min(at_ms - SLICE_MS));
    let before = course
        .iter()
        .rev()
        .find(|(at, _)| *at <= begun - LATE_MS)
        .map_or(0, |(_, ended)| *ended);
    let until = course
        .iter()
        .find(|(at, _)| *at >= at_ms + LATE_MS)
        .or(course.last())
        .map_or(0, |(_, ended)| *ended);
    until.saturating_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_in_the_last_slice_is_at_risk() {
        // Ten a second, read each 100 ms.
        let course: Vec<(i64, u64)> = (0..100_i64).map(|n| (n * 100, n.unsigned_abs())).collect();
        assert_eq!(at_risk(&course, 5_000, None), 14);
        assert_eq!(at_risk(&course, 0, None), 2);
        // A slice is a second long at least: the one before may not be written yet.
        assert_eq!(at_risk(&course, 5_000, Some(4_600)), 14);
        assert_eq!(at_risk(&course, 5_000, Some(3_400)), 20);
        // Long before and long after there is nothing to lose.
        assert_eq!(at_risk(&course, -5_000, None), 0);
        assert_eq!(at_risk(&course, 20_000, None), 0);
        assert_eq!(at_risk(&[], 5, None), 0);
    }
}
