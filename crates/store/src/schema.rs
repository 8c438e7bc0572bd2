//! The store's own schema: numbered steps, forward only, each applied once.
//!
//! A step that was applied is never edited; its digest is checked at every start. Before
//! the first step that a database with data in it has not taken, the database is copied
//! beside itself, so that the version that ran before can be put back with its data.

use crate::StoreError;
use crate::copy::{Room, free_bytes, keep_before};
use crate::sqlite::{Connection, Database};
use esclusa_model::{Digest, Timestamp};
use sqlx::Row as _;
use std::path::PathBuf;

/// One numbered step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Counts up from 1 without gaps.
    pub(crate) number: i64,
    /// Its SQL.
    pub(crate) sql: &'static str,
}

/// The steps of the event log's file.
pub(crate) const LOG: &[Step] = &[
    Step {
        number: 1,
        sql: include_str!("../migrations/sqlite/log/0001_log.sql"),
    },
    Step {
        number: 2,
        sql: include_str!("../migrations/sqlite/log/0002_access.sql"),
    },
    Step {
        number: 3,
        sql: include_str!("../migrations/sqlite/log/0003_notices.sql"),
    },
    Step {
        number: 4,
        sql: include_str!("../migrations/sqlite/log/0004_flag_tokens.sql"),
    },
];

/// The steps of the slices' file.
pub(crate) const SLICES: &[Step] = &[
    Step {
        number: 1,
        sql: include_str!("../migrations/sqlite/slices/0001_slices.sql"),
    },
    Step {
        number: 2,
        sql: include_str!("../migrations/sqlite/slices/0002_series.sql"),
    },
];

/// The steps of both files, and who says how much room there is for copies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema {
    pub(crate) log: &'static [Step],
    pub(crate) slices: &'static [Step],
    pub(crate) room: Room,
}

/// What this build knows.
pub(crate) const PRESENT: Schema = Schema {
    log: LOG,
    slices: SLICES,
    room: free_bytes,
};

/// Brings the database to the last of `steps`, all in one transaction. A database that
/// has data is copied before: gives the copy's path.
pub(crate) async fn migrate(
    database: &Database,
    steps: &[Step],
    now: Timestamp,
    room: Room,
) -> Result<Option<PathBuf>, StoreError> {
    let mut tx = database.begin().await?;
    sqlx::query(
        "create table if not exists schema_steps \
         (number bigint not null primary key, digest text not null, at bigint not null)",
    )
    .execute(&mut *tx)
    .await?;
    let done = known_steps(&mut tx, steps).await?;
    let missing = steps.get(done..).unwrap_or_default();
    let kept = match missing.first() {
        // Nobody writes meanwhile: the write lock is ours, and a reader needs none.
        Some(step) if done > 0 => Some(keep_before(database.path(), step.number, room).await?),
        _ => None,
    };
    for step in missing {
        sqlx::raw_sql(step.sql).execute(&mut *tx).await?;
        sqlx::query("insert into schema_steps (number, digest, at) values ($1, $2, $3)")
            .bind(step.number)
            .bind(Digest::of(step.sql.as_bytes()).hex())
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(kept)
}

/// How many of `steps` the database has taken, each as this build knows it.
pub(crate) async fn known_steps(
    connection: &mut Connection,
    steps: &[Step],
) -> Result<usize, StoreError> {
    let rows = sqlx::query("select number, digest from schema_steps order by number")
        .fetch_all(connection)
        .await?;
    let applied: Vec<(i64, String)> = rows
        .iter()
        .map(|row| Ok((row.try_get("number")?, row.try_get("digest")?)))
        .collect::<Result<_, StoreError>>()?;
    for (found, step) in applied.iter().zip(steps) {
        if (found.0, found.1.as_str())
            != (step.number, Digest::of(step.sql.as_bytes()).hex().as_str())
        {
            return Err(StoreError::corrupt(format!(
                "schema step {} is not the one this build knows",
                found.0
            )));
        }
    }
    let known = steps.last().map_or(0, |step| step.number);
    if let Some((found, _)) = applied.last().filter(|_| applied.len() > steps.len()) {
        return Err(StoreError::TooNew {
            what: "schema step",
            found: *found,
            known,
        });
    }
    Ok(applied.len())
}
