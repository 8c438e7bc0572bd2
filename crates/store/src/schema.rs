//! The store's own schema: numbered steps, forward only, each applied once.
//!
//! A step that was applied is never edited; its digest is checked at every start.

use crate::StoreError;
use crate::sqlite::{Database, Transaction};
use esclusa_model::{Digest, Timestamp};
use sqlx::Row as _;

/// One numbered step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Counts up from 1 without gaps.
    pub(crate) number: i64,
    /// Its SQL.
    pub(crate) sql: &'static str,
}

/// The steps of the event log's file.
pub(crate) const LOG: &[Step] = &[Step {
    number: 1,
    sql: include_str!("../migrations/sqlite/log/0001_log.sql"),
}];

/// The steps of the slices' file.
pub(crate) const SLICES: &[Step] = &[Step {
    number: 1,
    sql: include_str!("../migrations/sqlite/slices/0001_slices.sql"),
}];

/// Brings the database to the last of `steps`, all in one transaction.
pub(crate) async fn migrate(
    database: &Database,
    steps: &[Step],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = database.begin().await?;
    sqlx::query(
        "create table if not exists schema_steps \
         (number bigint not null primary key, digest text not null, at bigint not null)",
    )
    .execute(&mut *tx)
    .await?;
    let applied = applied(&mut tx).await?;
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
    for step in &steps[applied.len()..] {
        sqlx::raw_sql(step.sql).execute(&mut *tx).await?;
        sqlx::query("insert into schema_steps (number, digest, at) values ($1, $2, $3)")
            .bind(step.number)
            .bind(Digest::of(step.sql.as_bytes()).hex())
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn applied(tx: &mut Transaction) -> Result<Vec<(i64, String)>, StoreError> {
    let rows = sqlx::query("select number, digest from schema_steps order by number")
        .fetch_all(&mut **tx)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("number")?, row.try_get("digest")?)))
        .collect()
}
