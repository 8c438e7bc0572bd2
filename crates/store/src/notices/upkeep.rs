//! Keeps what is remembered of notices bounded.

use super::outbox;
use crate::{Store, StoreError};
use esclusa_model::{Millis, Timestamp};

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeRetention {
    /// Most that may wait for one channel; the oldest are given up.
    pub waiting: u64,
    /// How long what was delivered is remembered.
    pub delivered: Millis,
    /// How long what was given up is kept for another try.
    pub dead: Millis,
    /// Most entries of the inbox.
    pub inbox: u64,
    /// How long an entry stays in the inbox.
    pub inbox_age: Millis,
}

/// What one run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoticeUpkeep {
    /// Messages that were given up because too many wait.
    pub given_up: u64,
    /// Messages and entries that are not remembered any more.
    pub forgotten: u64,
}

impl Store {
    /// Forgets what is older or more than `keep` says.
    ///
    /// # Errors
    /// When the store failed; nothing is forgotten then.
    pub async fn tidy_notices(
        &self,
        keep: &NoticeRetention,
        now: Timestamp,
    ) -> Result<NoticeUpkeep, StoreError> {
        let mut tx = self.begin().await?;
        let given_up = outbox::give_up_over(&mut tx, keep.waiting, now).await?;
        let mut forgotten = outbox::forget(&mut tx, now, keep.delivered, keep.dead).await?;
        // The newest entry keeps its number for ever: numbers only grow.
        forgotten += sqlx::query(
            "delete from inbox where id < (select max(id) from inbox) and (at < $1 or id <= \
             (select max(id) from inbox) - $2)",
        )
        .bind(outbox::before(now, keep.inbox_age))
        .bind(i64::try_from(keep.inbox).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?
        .rows_affected();
        sqlx::query(
            "delete from inbox_marks where not exists \
             (select 1 from inbox where inbox.id = inbox_marks.entry)",
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(NoticeUpkeep {
            given_up,
            forgotten,
        })
    }
}
