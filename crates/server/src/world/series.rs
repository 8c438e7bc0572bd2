//! Asks the sources of a plan's series about both versions.

use super::instances::placeholders_of;
use super::join_all;
use crate::clock;
use esclusa_drivers::Placeholders;
use esclusa_drivers::metrics::{MetricContext, Reading, Side, source};
use esclusa_judge::{Series, SeriesName, SeriesSide, SeriesValue};
use esclusa_model::{Millis, Track};
use esclusa_plan::DriverUse;
use esclusa_release::{Release, Service};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Longest time for one answer; no longer than until the next question in any case.
const LONGEST: Millis = Millis(10_000);
/// A value may be as old as two questions, and this old in any case.
const FRESH: Millis = Millis(60_000);

/// One question about both versions.
pub(crate) struct SeriesQuestion {
    name: SeriesName,
    asked: DriverUse,
    timeout: Millis,
    fresh: Millis,
    cwd: PathBuf,
    /// Stable and canary.
    sides: [About; 2],
}

/// What is said of one version.
struct About {
    placeholders: Placeholders,
    env: BTreeMap<String, String>,
}

impl SeriesQuestion {
    /// A question; none where nothing runs beside the canary, or nobody is asked.
    pub(crate) fn new(service: &Service, release: &Release, series: &Series) -> Option<Self> {
        let requested = &release.requested;
        let stable = requested.stable.as_ref()?;
        let about = |track: Track, version: &str, instances: &str| {
            let values = placeholders_of(release, service);
            // Its address, where it has one of its own.
            let url = values.get(instances).map(str::to_owned);
            let mut placeholders = values
                .with("version", version)
                .with("track", track.as_str());
            if let Some(url) = url {
                placeholders = placeholders.with("url", url);
            }
            let env = [
                ("ESCLUSA_SERVICE", requested.service.as_str()),
                ("ESCLUSA_RELEASE", requested.release.as_str()),
                ("ESCLUSA_VERSION", version),
                ("ESCLUSA_TRACK", track.as_str()),
                ("ESCLUSA_SERIES", series.name.as_str()),
            ];
            About {
                placeholders,
                env: env.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            }
        };
        Some(Self {
            name: series.name,
            asked: requested.plan.sources.get(&series.name)?.clone(),
            timeout: series.every.min(LONGEST),
            fresh: Millis(series.every.0.saturating_mul(2)).max(FRESH),
            cwd: PathBuf::from(&requested.base_dir),
            sides: [
                about(Track::Stable, stable.name.as_str(), "stable"),
                about(Track::Canary, requested.version.as_str(), "canary"),
            ],
        })
    }

    /// Both answers, of one moment.
    pub(crate) async fn ask(self) -> Vec<SeriesValue> {
        let at = clock::now();
        let source = source(&self.asked.driver, &self.asked.config);
        let sides = [
            (Side::Baseline, SeriesSide::Baseline),
            (Side::Canary, SeriesSide::Canary),
        ];
        let asks = self
            .sides
            .into_iter()
            .zip(sides)
            .map(|(about, (side, of))| {
                let context = MetricContext {
                    placeholders: about.placeholders,
                    env: about.env,
                    cwd: self.cwd.clone(),
                    side,
                    at,
                    fresh: self.fresh,
                    timeout: self.timeout,
                };
                let source = source.as_ref();
                async move {
                    let reading = match source {
                        Ok(source) => source.read(&context).await,
                        Err(error) => Reading::Unknown(error.clone().into()),
                    };
                    (of, reading)
                }
            });
        let answers = join_all(asks).await;
        // Both are of the second in which they are known.
        let t = clock::now().unix_second();
        let values = answers.into_iter().map(|(side, reading)| {
            let (value, why) = match reading {
                Reading::Value { value, .. } => (Some(value), None),
                Reading::Unknown(unknown) => {
                    (None, Some(format!("{}: {unknown}", unknown.lack.as_str())))
                }
            };
            SeriesValue {
                name: self.name,
                t,
                side,
                value,
                why,
            }
        });
        values.collect()
    }
}
