//! Small lasting values by name: cookie keys, registrations. Not for what people
//! decide; that belongs into events, where it has an actor and a chain.
//!
//! Values may be secrets, so no error ever quotes one.

use crate::sqlite::Connection;
use crate::{Store, StoreError};
use esclusa_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest name of a setting in bytes.
const MAX_NAME_BYTES: usize = 200;
/// The longest value as JSON text in bytes.
const MAX_VALUE_BYTES: usize = 64 << 10;

impl Store {
    /// Stores `value` under `name` (such as `cookie-key/checkout`), over the one before.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when name or value are over their limit or the value is
    /// no JSON; else when the store failed.
    pub async fn put_setting<T: Serialize + Sync>(
        &self,
        name: &str,
        value: &T,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(StoreError::refused(format!(
                "a setting's name has 1 to {MAX_NAME_BYTES} bytes"
            )));
        }
        let text = serde_json::to_string(value).map_err(|_| {
            StoreError::refused(format!("setting {name} cannot be written as JSON"))
        })?;
        if text.len() > MAX_VALUE_BYTES {
            return Err(StoreError::refused(format!(
                "setting {name} has {} bytes, over the limit of {MAX_VALUE_BYTES}",
                text.len()
            )));
        }
        let mut tx = self.begin().await?;
        put_text(&mut tx, name, text, at).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The value under `name`; none when nobody stored one.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the stored value is no `T`.
    pub async fn setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let text: Option<String> = sqlx::query_scalar("select value from settings where name = $1")
            .bind(name)
            .fetch_optional(self.inner.log.readers())
            .await?;
        text.map(|text| {
            serde_json::from_str(&text).map_err(|_| {
                StoreError::corrupt(format!("setting {name} has another shape than it should"))
            })
        })
        .transpose()
    }

    /// The names that begin with `prefix`, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn setting_names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> =
            sqlx::query_scalar("select name from settings where substr(name, 1, length($1)) = $1")
                .bind(prefix)
                .fetch_all(self.inner.log.readers())
                .await?;
        names.sort();
        Ok(names)
    }

    /// Forgets the value under `name`, if there is one.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn remove_setting(&self, name: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from settings where name = $1")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Stores a value that is JSON already.
pub(crate) async fn put_text(
    connection: &mut Connection,
    name: &str,
    text: String,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into settings (name, value, changed) values ($1, $2, $3) \
         on conflict (name) do update set value = excluded.value, changed = excluded.changed",
    )
    .bind(name)
    .bind(text)
    .bind(at.0)
    .execute(connection)
    .await?;
    Ok(())
}
