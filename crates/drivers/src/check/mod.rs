//! Questions about the world, answered pass, fail or unknown.
//!
//! A check never errs: what could not be asked or read is unknown, and unknown is not a
//! pass. A check that asserts nothing does not exist.

mod command;
mod error_budget;
mod guard;
mod http;
mod tcp;

use crate::clock::now;
use crate::error::DriverError;
use async_trait::async_trait;
use esclusa_model::{CheckResult, CheckStatus, Millis};
use esclusa_plan::DriverEntry;
use esclusa_plan::Placeholders;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A question whose texts are not yet filled.
#[async_trait]
pub trait Check: Send + Sync {
    /// Asks once, for at most the context's timeout.
    async fn ask(&self, context: &CheckContext) -> CheckResult;
}

/// What a check is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckContext {
    /// Values for the check's templates: `canary`, `stable`, `version` ...
    pub placeholders: Placeholders,
    /// Variables for commands, `ESCLUSA_SERVICE` and so on.
    pub env: BTreeMap<String, String>,
    /// The folder that relative commands start from.
    pub cwd: PathBuf,
    /// Longest time for the answer; later it is unknown.
    pub timeout: Millis,
}

/// What was seen, before it has a time.
struct Answer(CheckStatus, String);

impl Answer {
    fn pass(message: impl Into<String>) -> Self {
        Self(CheckStatus::Pass, message.into())
    }

    fn fail(message: impl Into<String>) -> Self {
        Self(CheckStatus::Fail, message.into())
    }

    fn unknown(message: impl Into<String>) -> Self {
        Self(CheckStatus::Unknown, message.into())
    }

    fn now(self) -> CheckResult {
        CheckResult {
            status: self.0,
            message: self.1,
            at: now(),
        }
    }
}

impl From<DriverError> for Answer {
    fn from(error: DriverError) -> Self {
        Self::unknown(error.message)
    }
}

/// One line of the registry.
struct Adapter {
    entry: fn() -> DriverEntry,
    build: fn(&serde_json::Value) -> Result<Arc<dyn Check>, DriverError>,
}

const ADAPTERS: &[Adapter] = &[
    http::ADAPTER,
    tcp::ADAPTER,
    command::ADAPTER,
    error_budget::ADAPTER,
    guard::ADAPTER,
];

pub(crate) fn entries() -> Vec<DriverEntry> {
    ADAPTERS.iter().map(|adapter| (adapter.entry)()).collect()
}

/// The check of a plan's normalised block.
///
/// # Errors
/// When there is no such driver, or its block does not fit.
pub fn check(name: &str, config: &serde_json::Value) -> Result<Arc<dyn Check>, DriverError> {
    let adapter = ADAPTERS
        .iter()
        .find(|adapter| (adapter.entry)().name == name);
    let adapter =
        adapter.ok_or_else(|| DriverError::config(format!("{name}: no such check driver")))?;
    (adapter.build)(config)
}
