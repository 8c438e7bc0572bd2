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

/// Why there is no statement, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSql {
    /// Why.
    pub why: String,
    /// The next step.
    pub help: String,
}

/// The statement that makes a table what flags are by a proxy's saved file, kills included.
///
/// # Errors
/// Why there is nothing to write.
pub fn sink_by_hand(config: &SinkConfig, saved: &FlagsFile) -> Result<SqlByHand, NoSql> {
    let unable = |why: String, help: &str| NoSql {
        why,
        help: help.to_owned(),
    };
    let document = saved.document.as_ref();
    let document = document.ok_or_else(|| {
        let help = "name the data folder of the server with --data";
        unable("the proxy has no flags".to_owned(), help)
    })?;
    let mut kills = document.kills.clone();
    kills.merge(&saved.kills);
    let shown = document.rollouts.iter().cloned();
    let shown: Vec<_> = shown
        .filter(|rollout| !saved.withheld.contains(&rollout.release))
        .collect();
    let set = document.set.while_running(&shown);
    let environment = environment(config, &set).map_err(|why| {
        let known: Vec<&str> = set.environments.iter().map(String::as_str).collect();
        let known = known.join(", ");
        let help = format!("write one as `environment` of this sink in its file: {known}");
        unable(why, &help)
    })?;
    let snapshot = Snapshot::compile_with(&set, environment, &kills).map_err(|problems| {
        let first = problems.first().map(ToString::to_string);
        let why = format!("the flags are not valid: {}", first.unwrap_or_default());
        unable(
            why,
            "mend that flag with `esclusa flag apply` once a server runs",
        )
    })?;
    let found = desired(config, &set, &snapshot);
    let sql = by_hand(&found.wanted).ok_or_else(|| {
        let why = "the table follows no flag and tenant that there is".to_owned();
        unable(
            why,
            "compare the flags of this sink's columns with the keys of the flag set",
        )
    })?;
    let unknown = found.unknown.iter();
    let unknown = unknown.map(|flag| format!("nobody has defined the flag {flag}"));
    Ok(SqlByHand {
        sql,
        notes: unknown.chain(found.notes).collect(),
    })
}
