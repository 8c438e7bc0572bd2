//! Mirrors of flags in an application's own tables: one file and one registry line a kind of
//! database.
//!
//! A sink is told how rows have to be, looks how they are, writes what differs and reads it
//! back. What the values are, when to look and what to make of a failure is the server's
//! business; what differs is decided in [`diff`], which knows no database. No error holds a
//! secret.

mod by_hand;
mod config;
mod diff;
mod postgres;
mod sql;
mod table;
#[cfg(test)]
mod tests;

pub use by_hand::by_hand;
pub use config::{KeySource, Layout, SinkConfig, SinksConfig, TenantKey, ValueForm, parse};
pub use diff::{Diff, FoundRow, Known, Update, diff};
pub use table::{Cell, Form, KeyColumn, KeyForm, Place, Rules, TableName, Wanted, WantedRow};

use crate::findings::Findings;
use crate::secret::Missing;
use async_trait::async_trait;
use esclusa_model::Millis;
use esclusa_plan::Field;
use std::sync::Arc;

/// A database with a table.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Makes the table what is wanted: what differs is written in one transaction and read
    /// back. `known` is what an earlier call found or wrote; what differs from it was changed
    /// by somebody else. The caller limits how long that may take, and may end it at any time.
    ///
    /// # Errors
    /// When the table is not as wanted, or nobody can tell. Nothing is half written.
    async fn mirror(&self, wanted: &Wanted, known: &Known) -> Result<Mirrored, SinkError>;
}

/// What became of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// What is in the table now, for the next call.
    pub known: Known,
    /// Rows that were changed or put in.
    pub written: usize,
    /// What somebody else had changed or removed.
    pub drifted: Vec<Place>,
    /// Whether that was left as it is: some or all of `drifted`.
    pub left: Vec<Place>,
    /// Keys without a row, that may not be put in.
    pub missing: Vec<String>,
    /// Keys with more than one row. None of these was written.
    pub doubled: Vec<String>,
}

/// Why a table is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Where the secret should be it is not.
    #[error("{0}")]
    Secret(String),
    /// The database does not answer, or not to us.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The table is not what the file says.
    #[error("{0}")]
    Table(String),
    /// The database refused a statement.
    #[error("the database refused it: {0}")]
    Refused(String),
    /// Something else is read than what was written.
    #[error("{0}")]
    ReadBack(String),
}

impl From<Missing> for SinkError {
    fn from(missing: Missing) -> Self {
        Self::Secret(missing.to_string())
    }
}

/// How long a database may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Millis,
    /// For one statement; the database itself ends what takes longer.
    pub statement: Millis,
}

impl Timeouts {
    /// For one call as a whole.
    #[must_use]
    pub fn whole(self) -> Millis {
        // The columns, the rows, an update, an insert, and the rows once more.
        Millis(self.connect.0 + 5 * self.statement.0)
    }
}

/// One line of the registry.
struct Kind {
    /// The key that names it in a sink.
    name: &'static str,
    doc: &'static str,
    fields: fn() -> Vec<Field>,
    build: fn(&serde_json::Value, Timeouts, &mut Findings<'_, '_>) -> Option<Arc<dyn Sink>>,
}

const KINDS: &[Kind] = &[postgres::KIND];
