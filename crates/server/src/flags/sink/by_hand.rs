//! What a table has to hold, without a server: from what the proxy keeps on its disk.

use super::keep::environment;
use super::wanted::desired;
use esclusa_drivers::sink::{SinkConfig, by_hand};
use esclusa_flags::Snapshot;
use esclusa_wire::FlagsFile;

/// A statement for a person to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlByHand {
    /// One `UPDATE`.
    pub sql: String,
    /// What of the table is not as its file says.
    pub notes: Vec<String>,
}

/// The statement that makes a table what flags are by a proxy's saved file, kills included.
///
/// # Errors
/// Why there is nothing to write.
pub fn sink_by_hand(config: &SinkConfig, saved: &FlagsFile) -> Result<SqlByHand, String> {
    let document = saved.document.as_ref();
    let document = document.ok_or("the proxy has no flags")?;
    let mut kills = document.kills.clone();
    kills.merge(&saved.kills);
    let shown = document.rollouts.iter().cloned();
    let shown: Vec<_> = shown
        .filter(|rollout| !saved.withheld.contains(&rollout.release))
        .collect();
    let set = document.set.while_running(&shown);
    let environment = environment(config, &set)?;
    let snapshot = Snapshot::compile_with(&set, environment, &kills).map_err(|problems| {
        let first = problems.first().map(ToString::to_string);
        format!("the flags are not valid: {}", first.unwrap_or_default())
    })?;
    let found = desired(config, &set, &snapshot);
    let sql = by_hand(&found.wanted).ok_or("the table follows no flag and tenant that there is")?;
    let unknown = found.unknown.iter();
    let unknown = unknown.map(|flag| format!("nobody has defined the flag {flag}"));
    Ok(SqlByHand {
        sql,
        notes: unknown.chain(found.notes).collect(),
    })
}
