//! Kills without a server: whoever stands at the machine speaks to the proxy itself.

use super::naming::unknown;
use crate::error::{ApiError, ErrorKind};
use esclusa_model::{Actor, Timestamp};
use esclusa_proxy::client::{ControlClient, ControlError};
use esclusa_wire::{FlagKill, FlagsKilled};

/// What was done at the proxy.
#[derive(Debug, Clone)]
pub struct FlagsKilledAt {
    /// The flags; all without.
    pub flags: Option<Vec<String>>,
    /// The proxy's answer.
    pub answer: FlagsKilled,
}

/// The flags that a name means at a proxy.
///
/// # Errors
/// When the proxy does not answer, or nothing has the name there.
pub async fn at_proxy(proxy: &ControlClient, name: &str) -> Result<Vec<String>, ApiError> {
    let document = proxy.flags().await.map_err(|error| silent(&error))?;
    let set = document.map(|document| document.set).unwrap_or_default();
    let meant = set.meant_by(name);
    match meant.is_empty() {
        true => Err(unknown(&set, name)),
        false => Ok(meant.into_iter().map(str::to_owned).collect()),
    }
}

/// Turns features off at a proxy.
///
/// # Errors
/// When the proxy does not answer.
pub async fn mark_at_proxy(
    proxy: &ControlClient,
    flags: Option<Vec<String>>,
    by: Actor,
    reason: &str,
) -> Result<FlagsKilledAt, ApiError> {
    let kill = FlagKill {
        flags,
        killed: true,
        epoch: 0,
        by,
        reason: reason.to_owned(),
        at: Timestamp::default(),
    };
    let answer = proxy.kill_flags(&kill).await;
    let answer = answer.map_err(|error| silent(&error))?;
    Ok(FlagsKilledAt {
        flags: kill.flags,
        answer,
    })
}

fn silent(error: &ControlError) -> ApiError {
    ApiError::new(
        ErrorKind::Unavailable,
        "ESC-0501",
        format!("no server could do it, and {error}"),
        "start the proxy (`esclusa serve` starts one): until then it answers no flags",
    )
}
