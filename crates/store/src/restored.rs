//! The mark of a store that came from a backup, and the one thing that it allows.
//!
//! A backup knows the epoch of its day. Proxies that went on since may know a higher one
//! and refuse this controller, as they refuse every controller that was replaced. For a
//! marked store that is expected once, and its epoch may be raised above theirs. For any
//! other store it means that somebody else is in charge.

use crate::settings::put_text;
use crate::sqlite::Connection;
use crate::store::signed;
use crate::{Store, StoreError};
use esclusa_model::{Epoch, Timestamp};
use serde::{Deserialize, Serialize};

/// The setting that marks a restored store.
const MARK: &str = "restored";
/// The file that stands in a data folder while a backup is put there.
pub(crate) const HALF: &str = "restoring";
/// Far above what openings count up to, far below what the database can hold.
const MAX_EPOCH: u64 = 1 << 53;

/// That and how this store came from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// When it was put back.
    pub at: Timestamp,
    /// When the backup was made.
    pub made_at: Timestamp,
    /// The epoch in the backup.
    pub epoch: Epoch,
    /// Since when it is a store like any other; absent while its epoch may be raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// The end of a restored store's special state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// When.
    pub at: Timestamp,
    /// The epoch from then on.
    pub epoch: Epoch,
}

impl Store {
    /// How this store came from a backup; nothing when it did not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn restored(&self) -> Result<Option<Restored>, StoreError> {
        self.setting(MARK).await
    }

    /// Whether the epoch may be raised: the store was restored, and no proxy has heard it
    /// since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_restored(&self) -> Result<bool, StoreError> {
        Ok(self
            .restored()
            .await?
            .is_some_and(|mark| mark.settled.is_none()))
    }

    /// Makes `epoch` the epoch of this store, durably, unless its own is as high; gives
    /// the one that holds from now on. A store may do so once after it was restored:
    /// whoever refuses it after that is somebody else's.
    ///
    /// # Errors
    /// [`StoreError::NotRestored`] when the store was not restored or has settled since;
    /// [`StoreError::Refused`] for an epoch that nobody can have reached.
    pub async fn raise_epoch_to(&self, epoch: Epoch, now: Timestamp) -> Result<Epoch, StoreError> {
        let mut tx = self.begin().await?;
        let ours = self.epoch();
        if epoch <= ours {
            return Ok(ours);
        }
        let mark = read(&mut tx).await?.filter(|mark| mark.settled.is_none());
        let Some(mark) = mark else {
            return Err(StoreError::NotRestored {
                ours: ours.0,
                known: epoch.0,
            });
        };
        if epoch.0 > MAX_EPOCH {
            return Err(StoreError::refused(format!(
                "no controller can have reached epoch {}",
                epoch.0
            )));
        }
        sqlx::query("update controller set epoch = $1 where id = 1")
            .bind(signed(epoch.0, "the epoch")?)
            .execute(&mut *tx)
            .await?;
        write(&mut tx, &settled(&mark, now, epoch), now).await?;
        tx.commit_and(|| self.set_epoch(epoch)).await?;
        Ok(epoch)
    }

    /// Ends the special state of a restored store: a proxy has taken a generation of it,
    /// so its epoch is high enough. Changes nothing where that is known already.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn settle_restored(&self, now: Timestamp) -> Result<(), StoreError> {
        if !self.is_restored().await? {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let mark = read(&mut tx).await?.filter(|mark| mark.settled.is_none());
        if let Some(mark) = mark {
            write(&mut tx, &settled(&mark, now, self.epoch()), now).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

fn settled(mark: &Restored, at: Timestamp, epoch: Epoch) -> Restored {
    Restored {
        settled: Some(Settled { at, epoch }),
        ..mark.clone()
    }
}

async fn read(connection: &mut Connection) -> Result<Option<Restored>, StoreError> {
    let text: Option<String> = sqlx::query_scalar("select value from settings where name = $1")
        .bind(MARK)
        .fetch_optional(connection)
        .await?;
    text.map(|text| {
        serde_json::from_str(&text)
            .map_err(|_| StoreError::corrupt("the mark of a restored store has another shape"))
    })
    .transpose()
}

/// Marks the store behind `connection`.
pub(crate) async fn write(
    connection: &mut Connection,
    mark: &Restored,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(mark)
        .map_err(|_| StoreError::refused("the mark of a restored store is no JSON"))?;
    put_text(connection, MARK, text, now).await
}
