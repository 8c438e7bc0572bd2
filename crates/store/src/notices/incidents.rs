//! Alarms that are not over: the first of its kind opens one, the others are counted.

use crate::sqlite::Connection;
use crate::store::unsigned;
use crate::{Store, StoreError};
use esclusa_model::Timestamp;
use sqlx::Row as _;

/// What makes two alarms the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncidentKey {
    /// The service; empty for what concerns all.
    pub service: String,
    /// The kind of event.
    pub event: String,
    /// What it came from.
    pub cause: String,
}

/// An open incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// What it is.
    pub key: IncidentKey,
    /// When its first alarm was raised.
    pub opened: Timestamp,
    /// When its last was.
    pub last: Timestamp,
    /// When people were told last.
    pub told: Timestamp,
    /// How many alarms there were.
    pub seen: u64,
    /// How many there were when people were told last.
    pub said: u64,
    /// The notice that opened it.
    pub notice: serde_json::Value,
}

impl Store {
    /// All open incidents, by key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        let rows = sqlx::query(
            "select service, event, cause, opened, last, told, seen, said, notice from incidents",
        )
        .fetch_all(self.inner.log.readers())
        .await?;
        let mut found = rows
            .iter()
            .map(|row| {
                Ok(Incident {
                    key: IncidentKey {
                        service: row.try_get("service")?,
                        event: row.try_get("event")?,
                        cause: row.try_get("cause")?,
                    },
                    opened: Timestamp(row.try_get("opened")?),
                    last: Timestamp(row.try_get("last")?),
                    told: Timestamp(row.try_get("told")?),
                    seen: unsigned(row.try_get("seen")?, "a count of alarms")?,
                    said: unsigned(row.try_get("said")?, "a count of alarms")?,
                    notice: super::outbox::json(row.try_get("notice")?)?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Closes an incident of which nobody has to be told that it is over.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn forget_incident(&self, key: &IncidentKey) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        end(&mut tx, key).await?;
        tx.commit().await
    }
}

/// Counts an alarm into its open incident: gives the inbox entry that shows it.
pub(super) async fn count(
    connection: &mut Connection,
    key: &IncidentKey,
    at: Timestamp,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar(
        "update incidents set seen = seen + 1, last = $4 \
         where service = $1 and event = $2 and cause = $3 returning entry",
    )
    .bind(key.service.as_str())
    .bind(key.event.as_str())
    .bind(key.cause.as_str())
    .bind(at.0)
    .fetch_optional(connection)
    .await?)
}

pub(super) async fn open(
    connection: &mut Connection,
    key: &IncidentKey,
    at: Timestamp,
    now: Timestamp,
    entry: i64,
    notice: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into incidents \
         (service, event, cause, opened, last, told, seen, said, entry, notice) \
         values ($1, $2, $3, $4, $4, $5, 1, 1, $6, $7)",
    )
    .bind(key.service.as_str())
    .bind(key.event.as_str())
    .bind(key.cause.as_str())
    .bind(at.0)
    .bind(now.0)
    .bind(entry)
    .bind(notice)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn end(connection: &mut Connection, key: &IncidentKey) -> Result<(), StoreError> {
    sqlx::query("delete from incidents where service = $1 and event = $2 and cause = $3")
        .bind(key.service.as_str())
        .bind(key.event.as_str())
        .bind(key.cause.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn reminded(
    connection: &mut Connection,
    key: &IncidentKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "update incidents set told = $4, said = seen \
         where service = $1 and event = $2 and cause = $3",
    )
    .bind(key.service.as_str())
    .bind(key.event.as_str())
    .bind(key.cause.as_str())
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}
