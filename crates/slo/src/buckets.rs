//! Bucket bounds of histograms: what a quantile can ever be, and which thresholds can be
//! counted exactly.

use serde_json::Value;
use std::collections::BTreeMap;

/// A list of bounds that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBuckets(String);

/// Finite bounds by histogram, in rising order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Buckets(BTreeMap<String, Vec<f64>>);

impl Buckets {
    /// The finite bounds of a histogram, without `_bucket` at the end of its name.
    #[must_use]
    pub fn of(&self, histogram: &str) -> Option<&[f64]> {
        self.0.get(histogram).map(Vec::as_slice)
    }

    /// Whether no histogram is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what somebody wrote: `name=0.1,0.5,1`.
    ///
    /// # Errors
    /// When that is not its form.
    pub fn add_written(&mut self, text: &str) -> Result<(), BadBuckets> {
        let bad = |why: &str| BadBuckets(format!("`{text}`: {why}"));
        let (name, bounds) = text
            .split_once('=')
            .ok_or_else(|| bad("write it as name=0.1,0.5,1"))?;
        let name = name.trim();
        if name.is_empty() {
            return Err(bad("the name of the histogram is missing"));
        }
        for bound in bounds.split(',') {
            let number = bound.trim().parse::<f64>();
            match number {
                Ok(number) if !number.is_nan() => self.add(name, number),
                _ => return Err(bad(&format!("`{bound}` is no number"))),
            }
        }
        match self.of(histogram(name)) {
            Some([_, ..]) => Ok(()),
            _ => Err(bad("it has no finite bound")),
        }
    }

    /// Adds what a scraped text shows (the exposition format); gives how many histograms
    /// were found in it.
    pub fn add_text(&mut self, text: &str) -> usize {
        let mut found = std::collections::BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, rest)) = line.split_once('{') else {
                continue;
            };
            let Some(bound) = le(rest).filter(|_| name.ends_with("_bucket")) else {
                continue;
            };
            found.insert(name.to_owned());
            self.add(name, bound);
        }
        found.len()
    }

    /// Adds what a Prometheus answered to [`Buckets::query`].
    ///
    /// # Errors
    /// When the answer is none of its API.
    pub fn add_answer(&mut self, answer: &Value) -> Result<(), BadBuckets> {
        let bad = || BadBuckets("the answer is none of the Prometheus HTTP API".into());
        let result = answer["data"]["result"].as_array().ok_or_else(bad)?;
        for series in result {
            let metric = &series["metric"];
            if let (Some(name), Some(bound)) = (metric["__name__"].as_str(), metric["le"].as_str())
                && let Ok(bound) = bound.parse::<f64>()
            {
                self.add(name, bound);
            }
        }
        Ok(())
    }

    /// The query by which a Prometheus names the bounds of a histogram.
    #[must_use]
    pub fn query(histogram: &str) -> String {
        format!("group by (__name__, le) (last_over_time({histogram}_bucket[1h]))")
    }

    fn add(&mut self, name: &str, bound: f64) {
        let bounds = self.0.entry(histogram(name).to_owned()).or_default();
        if bound.is_finite() && !bounds.contains(&bound) {
            bounds.push(bound);
            bounds.sort_by(f64::total_cmp);
        }
    }
}

/// The histogram's own name.
pub(crate) fn histogram(series: &str) -> &str {
    series.strip_suffix("_bucket").unwrap_or(series)
}

/// The bounds on both sides of a value that is none of them.
pub(crate) fn around(bounds: &[f64], value: f64) -> String {
    let below = bounds.iter().rev().find(|bound| **bound < value);
    let above = bounds.iter().find(|bound| **bound > value);
    match (below, above) {
        (Some(below), Some(above)) => format!("`{below}` or `{above}`"),
        (Some(one), None) | (None, Some(one)) => format!("`{one}`"),
        (None, None) => "one of its bounds".to_owned(),
    }
}

fn le(labels: &str) -> Option<f64> {
    let at = labels.match_indices("le=\"").find(|(at, _)| {
        let before = labels.get(..*at).unwrap_or_default().trim_end();
        before.is_empty() || before.ends_with(',')
    })?;
    let rest = labels.get(at.0 + 4..)?;
    rest.get(..rest.find('"')?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // MET-03, MET-04
    #[test]
    fn bounds_come_from_text_from_words_and_from_a_server() {
        let mut buckets = Buckets::default();
        let text = "# TYPE report_generation_duration_seconds histogram\n\
                    report_generation_duration_seconds_bucket{type=\"a\",le=\"0.5\"} 1\n\
                    report_generation_duration_seconds_bucket{type=\"a\", le=\"30\"} 1\n\
                    report_generation_duration_seconds_bucket{le=\"+Inf\"} 2\n\
                    report_generation_duration_seconds_sum{type=\"a\"} 3\n\
                    other{file=\"x\"} 1\n";
        assert_eq!(buckets.add_text(text), 1);
        let known = buckets.of("report_generation_duration_seconds");
        assert_eq!(known, Some(&[0.5, 30.0][..]));
        buckets
            .add_written("consolidation_duration_seconds=5,0.1,+Inf,1")
            .expect("read");
        let known = buckets.of("consolidation_duration_seconds");
        assert_eq!(known, Some(&[0.1, 1.0, 5.0][..]));
        for bad in ["x", "=1", "x=", "x=a", "x=NaN", "x=+Inf"] {
            assert!(buckets.add_written(bad).is_err(), "{bad}");
        }
        let answer = serde_json::json!({ "data": { "result": [
            { "metric": { "__name__": "y_bucket", "le": "2.0" } },
            { "metric": { "__name__": "y_bucket", "le": "+Inf" } },
        ] } });
        buckets.add_answer(&answer).expect("read");
        assert_eq!(buckets.of("y"), Some(&[2.0][..]));
        assert!(buckets.add_answer(&serde_json::json!({})).is_err());
    }
}
