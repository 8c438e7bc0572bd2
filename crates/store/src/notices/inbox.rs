//! The inbox: what everybody may read who may look, with marks of each caller.

use crate::sqlite::Connection;
use crate::store::unsigned;
use crate::{Store, StoreError};
use esclusa_model::{Actor, Timestamp};
use sqlx::Row as _;

/// One entry as one caller sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxEntry {
    /// Its number; newer ones have higher ones.
    pub id: u64,
    /// When what it tells of happened.
    pub at: Timestamp,
    /// How many identical alarms it stands for.
    pub seen: u64,
    /// What it says.
    pub notice: serde_json::Value,
    /// Whether this caller has read it.
    pub read: bool,
}

/// What one caller finds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inbox {
    /// Entries that this caller has not read, all of them.
    pub unread: u64,
    /// Newest first.
    pub entries: Vec<InboxEntry>,
}

/// Which entries are shown.
const UNREAD_ONLY: i64 = 1;
const ALL: i64 = 0;

impl Store {
    /// What this caller finds, at most `limit` entries, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn inbox(
        &self,
        actor: &Actor,
        unread_only: bool,
        limit: usize,
    ) -> Result<Inbox, StoreError> {
        let mut reader = self.inner.log.readers().acquire().await?;
        let unread: i64 = sqlx::query_scalar(
            "select count(*) from inbox where not exists (select 1 from inbox_marks \
             where inbox_marks.entry = inbox.id and inbox_marks.actor = $1)",
        )
        .bind(actor.as_str())
        .fetch_one(&mut *reader)
        .await?;
        let rows = sqlx::query(
            "select inbox.id as id, inbox.at as at, inbox.seen as seen, inbox.notice as notice, \
             inbox_marks.removed as removed from inbox left join inbox_marks \
             on inbox_marks.entry = inbox.id and inbox_marks.actor = $1 \
             where coalesce(inbox_marks.removed, 0) = 0 \
             and ($2 = 0 or inbox_marks.removed is null) order by inbox.id desc limit $3",
        )
        .bind(actor.as_str())
        .bind(if unread_only { UNREAD_ONLY } else { ALL })
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *reader)
        .await?;
        let entries = rows
            .iter()
            .map(|row| {
                let mark: Option<i64> = row.try_get("removed")?;
                Ok(InboxEntry {
                    id: unsigned(row.try_get("id")?, "an entry's number")?,
                    at: Timestamp(row.try_get("at")?),
                    seen: unsigned(row.try_get("seen")?, "a count of alarms")?,
                    notice: super::outbox::json(row.try_get("notice")?)?,
                    read: mark.is_some(),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Inbox {
            unread: unsigned(unread, "a count of entries")?,
            entries,
        })
    }

    /// Marks an entry as read by this caller; whether there is one.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn read_entry(&self, actor: &Actor, id: u64) -> Result<bool, StoreError> {
        self.mark(actor, id, 0).await
    }

    /// Takes an entry out of this caller's sight; whether there is one.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn remove_entry(&self, actor: &Actor, id: u64) -> Result<bool, StoreError> {
        self.mark(actor, id, 1).await
    }

    /// Marks all entries as read by this caller.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn read_all_entries(&self, actor: &Actor) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "insert into inbox_marks (actor, entry, removed) select $1, id, 0 from inbox \
             where true on conflict (actor, entry) do nothing",
        )
        .bind(actor.as_str())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    async fn mark(&self, actor: &Actor, id: u64, removed: i64) -> Result<bool, StoreError> {
        let Ok(id) = i64::try_from(id) else {
            return Ok(false);
        };
        let mut tx = self.begin().await?;
        let marked = sqlx::query(
            "insert into inbox_marks (actor, entry, removed) \
             select $1, id, $3 from inbox where id = $2 on conflict (actor, entry) do update \
             set removed = case when inbox_marks.removed > excluded.removed \
             then inbox_marks.removed else excluded.removed end",
        )
        .bind(actor.as_str())
        .bind(id)
        .bind(removed)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(marked > 0)
    }
}

/// Puts an entry in; gives its number.
pub(super) async fn put(
    connection: &mut Connection,
    at: Timestamp,
    notice: &str,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(
        "insert into inbox (id, at, seen, notice) \
         values ((select coalesce(max(id), 0) + 1 from inbox), $1, 1, $2) returning id",
    )
    .bind(at.0)
    .bind(notice)
    .fetch_one(connection)
    .await?)
}

/// Counts one more alarm into an entry, which may be gone by now.
pub(super) async fn count(connection: &mut Connection, entry: i64) -> Result<(), StoreError> {
    sqlx::query("update inbox set seen = seen + 1 where id = $1")
        .bind(entry)
        .execute(connection)
        .await?;
    Ok(())
}
