//! Rules that others use, from their documented behaviour.
//!
//! Each is given what it would read from a metric store: totals of both versions over
//! windows. None of them is tuned here; their documented examples are taken as they are,
//! with the interval that favours them where several are usual.

use esclusa_judge::{Histogram, upper_edge};
use libm::{fabs, sqrt};

/// One second of both versions: baseline, canary.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Requests.
    pub requests: [u64; 2],
    /// Failures.
    pub failures: [u64; 2],
    /// Latencies of the rest.
    pub latency: [Histogram; 2],
}

/// A rule that returns a release.
pub trait Rule {
    /// Its name in tables.
    fn name(&self) -> &'static str;
    /// Takes second `t` of the stage in; true when it returns the release now.
    fn second(&mut self, t: i64, second: &Totals) -> bool;
}

/// All of them, fresh.
#[must_use]
pub fn all() -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(Threshold::default()),
        Box::new(Argo::default()),
        Box::new(Flagger::default()),
        Box::new(Kayenta::default()),
    ]
}

/// The last seconds.
#[derive(Debug, Default)]
struct Window(Vec<Totals>);

impl Window {
    fn push(&mut self, second: &Totals, keep: usize) {
        self.0.push(second.clone());
        if self.0.len() > keep {
            self.0.remove(0);
        }
    }

    fn sum(&self) -> Totals {
        let mut sum = Totals::default();
        for second in &self.0 {
            for side in 0..2 {
                sum.requests[side] += second.requests[side];
                sum.failures[side] += second.failures[side];
                sum.latency[side].merge(&second.latency[side]);
            }
        }
        sum
    }
}

fn rate(failures: u64, requests: u64) -> Option<f64> {
    (requests > 0).then(|| failures as f64 / requests as f64)
}

fn quantile_ms(latency: &Histogram, q: f64) -> Option<f64> {
    Some(upper_edge(latency.quantile_bucket(q)?) as f64 / 1_000.0)
}

/// A threshold on the canary: looked at each minute, over five minutes; 0.5 % of errors
/// or a p95 of two seconds is a breach, and a breach returns.
#[derive(Debug, Default)]
pub struct Threshold(Window);

impl Rule for Threshold {
    fn name(&self) -> &'static str {
        "threshold 0.5 % / 5 min"
    }

    fn second(&mut self, t: i64, second: &Totals) -> bool {
        self.0.push(second, 300);
        if t % 60 != 59 {
            return false;
        }
        let sum = self.0.sum();
        rate(sum.failures[1], sum.requests[1]).is_some_and(|rate| rate > 0.005)
            || quantile_ms(&sum.latency[1], 0.95).is_some_and(|ms| ms > 2_000.0)
    }
}

/// Argo Rollouts, the analysis of its documentation: success rate at least 95 %, each
/// minute over the last minute; more than three failed measurements abort. A measurement
/// without data is an error, and four errors in a row abort too (`consecutiveErrorLimit`).
#[derive(Debug, Default)]
pub struct Argo {
    window: Window,
    failed: u32,
    errors: u32,
}

impl Rule for Argo {
    fn name(&self) -> &'static str {
        "Argo Rollouts example"
    }

    fn second(&mut self, t: i64, second: &Totals) -> bool {
        self.window.push(second, 60);
        if t % 60 != 59 {
            return false;
        }
        let sum = self.window.sum();
        match rate(sum.failures[1], sum.requests[1]) {
            None => self.errors += 1,
            Some(rate) => {
                self.errors = 0;
                self.failed += u32::from(rate > 0.05);
            }
        }
        self.failed > 3 || self.errors > 4
    }
}

/// Flagger, the example of its documentation: each minute over the last minute, success
/// rate at least 99 % and p99 at most 500 ms; the fifth failed check rolls back, and
/// having no values is a failed check.
#[derive(Debug, Default)]
pub struct Flagger {
    window: Window,
    failed: u32,
}

impl Rule for Flagger {
    fn name(&self) -> &'static str {
        "Flagger example"
    }

    fn second(&mut self, t: i64, second: &Totals) -> bool {
        self.window.push(second, 60);
        if t % 60 != 59 {
            return false;
        }
        let sum = self.window.sum();
        let good = rate(sum.failures[1], sum.requests[1]).is_some_and(|rate| rate <= 0.01)
            && quantile_ms(&sum.latency[1], 0.99).is_none_or(|ms| ms <= 500.0);
        self.failed += u32::from(!good);
        self.failed >= 5
    }
}

/// Kayenta's judge: canary against baseline by minutes, Mann-Whitney at 98 %, looked at
/// every five minutes over the whole stage; a metric that is higher fails, and fewer than
/// three quarters of the metrics passing returns. Metrics: error rate, mean, p95 and p99.
#[derive(Debug, Default)]
pub struct Kayenta {
    minute: Window,
    points: [Vec<[f64; 2]>; 4],
}

impl Rule for Kayenta {
    fn name(&self) -> &'static str {
        "Kayenta, 5 min"
    }

    fn second(&mut self, t: i64, second: &Totals) -> bool {
        self.minute.push(second, 60);
        if t % 60 != 59 {
            return false;
        }
        let sum = self.minute.sum();
        let measure = |side: usize| {
            Some([
                rate(sum.failures[side], sum.requests[side])?,
                mean_ms(&sum.latency[side])?,
                quantile_ms(&sum.latency[side], 0.95)?,
                quantile_ms(&sum.latency[side], 0.99)?,
            ])
        };
        if let (Some(baseline), Some(canary)) = (measure(0), measure(1)) {
            for (metric, points) in self.points.iter_mut().enumerate() {
                points.push([baseline[metric], canary[metric]]);
            }
        }
        if t % 300 != 299 {
            return false;
        }
        let high = self
            .points
            .iter()
            .filter(|points| is_higher(points))
            .count();
        // Two of four pass is half, below the usual 75; the error rate is critical.
        high >= 2 || is_higher(&self.points[0])
    }
}

fn mean_ms(latency: &Histogram) -> Option<f64> {
    let total = latency.total();
    let sum: f64 = latency
        .iter()
        .map(|(bucket, n)| upper_edge(bucket) as f64 * n as f64)
        .sum();
    (total > 0).then(|| sum / total as f64 / 1_000.0)
}

/// Mann-Whitney with the normal approximation and ties, one side of 98 %.
fn is_higher(points: &[[f64; 2]]) -> bool {
    let n = points.len() as f64;
    if n < 4.0 {
        return false;
    }
    let mut all: Vec<(f64, usize)> = points.iter().flat_map(|p| [(p[0], 0), (p[1], 1)]).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties, mut at) = (0.0, 0.0, 0);
    while at < all.len() {
        let same = all[at..]
            .iter()
            .take_while(|p| fabs(p.0 - all[at].0) < 1e-12)
            .count();
        let rank = at as f64 + (same as f64 + 1.0) / 2.0;
        rank_sum += rank * all[at..at + same].iter().filter(|p| p.1 == 1).count() as f64;
        let same_f = same as f64;
        ties += same_f * same_f * same_f - same_f;
        at += same;
    }
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let both = 2.0 * n;
    let variance = n * n / 12.0 * (both + 1.0 - ties / (both * (both - 1.0)));
    variance > 0.0 && (u - n * n / 2.0 - 0.5) / sqrt(variance) > 2.326
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(rule: &mut dyn Rule, failures: u64, seconds: i64) -> Option<i64> {
        let mut second = Totals {
            requests: [100, 100],
            failures: [0, failures],
            ..Totals::default()
        };
        second.latency[0].record(20_000);
        second.latency[1].record(20_000);
        (0..seconds).find(|t| rule.second(*t, &second))
    }

    #[test]
    fn rules_return_when_their_documents_say_so() {
        assert_eq!(seconds(&mut Threshold::default(), 1, 900), Some(59));
        assert_eq!(seconds(&mut Argo::default(), 6, 900), Some(239));
        assert_eq!(seconds(&mut Argo::default(), 5, 900), None);
        assert_eq!(seconds(&mut Flagger::default(), 2, 900), Some(299));
        assert_eq!(seconds(&mut Flagger::default(), 1, 900), None);
        assert_eq!(seconds(&mut Kayenta::default(), 1, 900), Some(299));
        for rule in &mut all() {
            assert_eq!(seconds(rule.as_mut(), 0, 900), None, "{}", rule.name());
        }
    }
}
