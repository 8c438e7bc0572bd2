//! Which version a unit is sent to. The only place that knows how a split is evaluated.

use esclusa_flags::{SplitSpec, bucket, in_share};
use http::request::Parts;
use std::collections::HashSet;

/// Why a split cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SplitError {
    #[error("segment {0:?} cannot be evaluated")]
    Segment(String),
}

/// A split, ready to be asked for every request.
#[derive(Debug)]
pub(crate) struct Split {
    spec: SplitSpec,
    /// The chosen units of a known population.
    chosen: Option<HashSet<String>>,
}

impl Split {
    pub(crate) fn new(spec: &SplitSpec) -> Result<Self, SplitError> {
        if let Some(segment) = spec.segments.first() {
            return Err(SplitError::Segment(segment.name.clone()));
        }
        let chosen = (!spec.population.is_empty() && spec.share.is_partial()).then(|| {
            let mut units: Vec<&String> = spec.population.iter().collect();
            units.sort_by_key(|unit| bucket(&spec.salt, unit));
            units.dedup();
            let take = (units.len() * usize::from(spec.share.get()))
                .div_ceil(10_000)
                .max(1);
            units.into_iter().take(take).cloned().collect()
        });
        Ok(Self {
            spec: spec.clone(),
            chosen,
        })
    }

    /// Whether `unit` goes to the canary.
    pub(crate) fn to_canary(&self, unit: &str, _request: &Parts) -> bool {
        match &self.chosen {
            Some(chosen) => chosen.contains(unit),
            None => in_share(bucket(&self.spec.salt, unit), self.spec.share),
        }
    }
}
