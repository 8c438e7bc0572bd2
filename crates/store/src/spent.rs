//! What may happen once only: links that were used, sessions that were ended.
//!
//! Only ids are kept, and only until what they name would be worthless anyway.

use crate::{Store, StoreError};
use esclusa_model::Timestamp;
use sqlx::Row as _;

impl Store {
    /// Notes durably that `id` is spent; false when it was before. It may be forgotten once
    /// `expires` has passed.
    ///
    /// # Errors
    /// When the store failed; it may be spent all the same.
    pub async fn spend(
        &self,
        id: &str,
        expires: Timestamp,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from spent where expires < $1")
            .bind(at.0)
            .execute(&mut *tx)
            .await?;
        let stored = sqlx::query(
            "insert into spent (id, expires, at) values ($1, $2, $3) on conflict (id) do nothing",
        )
        .bind(id)
        .bind(expires.0)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(stored.rows_affected() > 0)
    }

    /// Forgets that `id` was spent: what it was spent for did not happen.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn give_back(&self, id: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from spent where id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Everything that is spent and would not be worthless anyway, with the time from which
    /// on it is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn spent(&self, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        sqlx::query("select id, expires from spent where expires >= $1")
            .bind(now.0)
            .fetch_all(self.inner.log.readers())
            .await?
            .iter()
            .map(|row| Ok((row.try_get("id")?, Timestamp(row.try_get("expires")?))))
            .collect()
    }
}
