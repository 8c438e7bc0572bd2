//! Readings of series: stored as they come, read back in the order of time.
//!
//! They lie beside the slices and are forgotten with them. A reading that is stored again
//! stays as it was first.

use crate::{Store, StoreError};
use esclusa_judge::{SeriesName, SeriesSide, SeriesValue};
use esclusa_model::ReleaseId;
use sqlx::Row as _;

const fn number(side: SeriesSide) -> i64 {
    match side {
        SeriesSide::Baseline => 0,
        SeriesSide::Canary => 1,
    }
}

impl Store {
    /// Stores readings of a release, all or none. They survive a crash of this process.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn put_readings(
        &self,
        release: &ReleaseId,
        readings: &[SeriesValue],
    ) -> Result<(), StoreError> {
        let mut tx = self.inner.slices.begin().await?;
        for reading in readings {
            sqlx::query(
                "insert into readings (release, name, at_second, side, value, why) \
                 values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            )
            .bind(release.as_str())
            .bind(reading.name.as_str())
            .bind(reading.t)
            .bind(number(reading.side))
            .bind(reading.value)
            .bind(reading.why.as_deref())
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    /// All readings of a release that are still kept, by second, name and version.
    ///
    /// # Errors
    /// When the store cannot be read, or a row is damaged.
    pub async fn readings(&self, release: &ReleaseId) -> Result<Vec<SeriesValue>, StoreError> {
        let rows = sqlx::query(
            "select name, at_second, side, value, why from readings where release = $1 \
             order by at_second, name, side",
        )
        .bind(release.as_str())
        .fetch_all(self.inner.slices.readers())
        .await?;
        rows.iter()
            .map(|row| {
                let damaged = |_| StoreError::corrupt("a reading has no valid name");
                Ok(SeriesValue {
                    name: SeriesName::new(&row.try_get::<String, _>("name")?).map_err(damaged)?,
                    t: row.try_get("at_second")?,
                    side: match row.try_get("side")? {
                        0_i64 => SeriesSide::Baseline,
                        1 => SeriesSide::Canary,
                        _ => return Err(StoreError::corrupt("a reading is of no version")),
                    },
                    value: row.try_get("value")?,
                    why: row.try_get("why")?,
                })
            })
            .collect()
    }
}
