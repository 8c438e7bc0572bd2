//! What turns the share of traffic that a canary gets.
//!
//! A dial is believed only as far as it is read back. Calls to one service's dial never
//! overlap, also when their callers gave up waiting.

mod command;
mod proxy;

use crate::error::DriverError;
use async_trait::async_trait;
use esclusa_model::{BasisPoints, ReleaseId, ServiceName, VersionRef};
use esclusa_plan::DriverEntry;
use std::path::PathBuf;
use std::sync::Arc;

/// A dial outside of this program.
#[async_trait]
pub trait TrafficDial: Send + Sync {
    /// Asks for a share and reads back what was achieved.
    ///
    /// # Errors
    /// When the dial refused. A call that took too long is no error but a reading in
    /// state [`DialState::Unknown`]: it may still take effect.
    async fn set(
        &self,
        request: &DialRequest,
        share: BasisPoints,
    ) -> Result<DialReading, DriverError>;

    /// Reads what is achieved, compared with what was `asked`.
    ///
    /// # Errors
    /// When the dial's answer cannot be used.
    async fn read(
        &self,
        request: &DialRequest,
        asked: BasisPoints,
    ) -> Result<DialReading, DriverError>;
}

/// Whose traffic is turned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialRequest {
    /// The service.
    pub service: ServiceName,
    /// The release that turns it.
    pub release: ReleaseId,
    /// Names this turn; the same for a repeated call, so that scripts can tell.
    pub step: String,
    /// What serves everybody else.
    pub stable: DialVersion,
    /// What gets the share.
    pub canary: DialVersion,
    /// The folder that relative commands start from.
    pub base_dir: PathBuf,
}

/// One side of the split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialVersion {
    /// The version.
    pub version: VersionRef,
    /// Where its instances answer.
    pub urls: Vec<String>,
}

/// What a dial says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialReading {
    /// The share that is achieved, rounded up to 0.01 %; `None` when unknown.
    pub achieved: Option<BasisPoints>,
    /// How that compares with what was asked.
    pub state: DialState,
    /// What was seen, for people.
    pub detail: String,
}

impl DialReading {
    /// Whether more are exposed than were asked for.
    #[must_use]
    pub fn exceeds(&self, asked: BasisPoints) -> bool {
        self.achieved.is_some_and(|achieved| achieved > asked)
    }
}

/// How a reading compares with what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialState {
    /// It is what was asked, within the dial's tolerance.
    Converged,
    /// Fewer are exposed than asked; it may still be on its way, or lie.
    Pending,
    /// More are exposed than asked: on the way down that is the way, on the way up it
    /// is a fault.
    Overshoot,
    /// Nobody can tell.
    Unknown,
}

/// One line of the registry; `build` is absent where the server itself is the dial.
struct Adapter {
    entry: fn() -> DriverEntry,
    build: Option<Build>,
}

type Build = fn(&serde_json::Value) -> Result<Arc<dyn TrafficDial>, DriverError>;

const ADAPTERS: &[Adapter] = &[proxy::ADAPTER, command::ADAPTER];

pub(crate) fn entries() -> Vec<DriverEntry> {
    ADAPTERS.iter().map(|adapter| (adapter.entry)()).collect()
}

/// The dial of a plan's normalised `traffic` block.
///
/// # Errors
/// When there is no such dial outside of this program (`proxy` is the server's own),
/// or its block does not fit.
pub fn dial(name: &str, config: &serde_json::Value) -> Result<Arc<dyn TrafficDial>, DriverError> {
    let adapter = ADAPTERS
        .iter()
        .find(|adapter| (adapter.entry)().name == name);
    let build = adapter.and_then(|adapter| adapter.build);
    build.ok_or_else(|| DriverError::config(format!("{name}: no such traffic driver")))?(config)
}
