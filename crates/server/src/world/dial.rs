//! Asks a dial outside of this program.

use crate::clock;
use esclusa_drivers::traffic::{self, DialRequest, DialVersion};
use esclusa_engine::{DialReading, DialState};
use esclusa_model::ComponentKind;
use esclusa_plan::DriverUse;
use esclusa_release::{Exposure, InstanceRecord, Release, Service};
use std::path::PathBuf;

/// One question to a release's dial.
pub(crate) struct DriverDial {
    traffic: DriverUse,
    request: DialRequest,
    turn: bool,
}

impl DriverDial {
    /// A question; none while the canary is not known. On a first deployment both sides
    /// are the one version there is.
    pub(crate) fn new(service: &Service, release: &Release, turn: bool) -> Option<Self> {
        let canary = DialVersion {
            version: release.version.clone()?,
            urls: urls(&release.instances),
        };
        let stable = service.stable.as_ref().map_or_else(
            || canary.clone(),
            |stable| DialVersion {
                version: stable.version.clone(),
                urls: urls(&stable.instances),
            },
        );
        let requested = &release.requested;
        Some(Self {
            traffic: requested.plan.traffic.clone(),
            request: DialRequest {
                service: requested.service.clone(),
                release: requested.release.clone(),
                step: format!("{}@{}", release.phase, release.phase_since.0),
                stable,
                canary,
                base_dir: PathBuf::from(&requested.base_dir),
            },
            turn,
        })
    }

    /// Turns it where that is the question, and says what it shows.
    pub(crate) async fn ask(self, asked: Exposure) -> DialReading {
        let share = asked.share;
        let answer = match traffic::dial(&self.traffic.driver, &self.traffic.config) {
            Ok(dial) if self.turn => dial.set(&self.request, share).await,
            Ok(dial) => dial.read(&self.request, share).await,
            Err(error) => Err(error),
        };
        let (achieved, state, detail) = match answer {
            Ok(reading) => {
                let state = match reading.state {
                    traffic::DialState::Converged => DialState::Converged,
                    traffic::DialState::Pending | traffic::DialState::Overshoot => {
                        DialState::Pending
                    }
                    traffic::DialState::Unknown => DialState::Unknown,
                };
                (reading.achieved, state, reading.detail)
            }
            Err(error) => (None, DialState::Unknown, super::driver_reason(&error)),
        };
        DialReading {
            asked,
            achieved,
            state,
            generation: None,
            reached: None,
            detail,
            at: clock::now(),
        }
    }
}

fn urls(instances: &[InstanceRecord]) -> Vec<String> {
    instances
        .iter()
        .filter(|record| record.kind == ComponentKind::Web)
        .filter_map(|record| record.url.clone())
        .collect()
}
