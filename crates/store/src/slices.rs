//! Slices: stored once each, acknowledged, read back in the order of time.
//!
//! A sequence number is stored at most once per proxy and boot, however often it is
//! sent. Numbers that were skipped are kept as gaps, so that what is missing is seen
//! and not taken for silence; a late slice closes its gap.

use crate::segment::{Joined, MAX_SEGMENT_SLICES, Segment, unpack};
use crate::sqlite::Transaction;
use crate::store::{signed, unsigned};
use crate::{Store, StoreError};
use esclusa_model::{BootId, ProxyId, ServiceName, Timestamp};
use esclusa_wire::{SliceAck, SliceBatch, StampedSlice, WIRE_VERSION};
use sqlx::Row as _;
use std::collections::BTreeMap;

/// The most slices stored by one call, oldest first; the acknowledgement says how far
/// it came, and the proxy sends the rest again.
const MAX_BATCH_SLICES: usize = 5_000;

/// Skipped sequence numbers of one boot, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SliceGap {
    /// The boot that skipped them.
    pub boot: BootId,
    /// The first missing number.
    pub first: u64,
    /// The last missing number.
    pub last: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlicesStored {
    /// Slices stored now.
    pub stored: u64,
    /// Slices that were stored before.
    pub repeated: u64,
    /// How far each boot in the batch is stored.
    pub acks: Vec<SliceAck>,
}

impl Store {
    /// Stores the slices of a batch that are not stored yet, all or none of the first
    /// 5,000; `at` dates them for retention. They survive a crash of this process.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the batch is not of `proxy`, or of another wire
    /// version; else when the store failed.
    pub async fn put_slices(
        &self,
        proxy: &ProxyId,
        batch: &SliceBatch,
        at: Timestamp,
    ) -> Result<SlicesStored, StoreError> {
        check(proxy, batch)?;
        let mut boots: BTreeMap<&BootId, Vec<&StampedSlice>> = BTreeMap::new();
        for slice in batch.slices.iter().take(MAX_BATCH_SLICES) {
            boots.entry(&slice.boot).or_default().push(slice);
        }
        let mut result = SlicesStored::default();
        let mut tx = self.inner.slices.begin().await?;
        for (boot, mut slices) in boots {
            slices.sort_by_key(|slice| slice.sequence);
            let mut mark = Mark::load(&mut tx, proxy, boot).await?;
            let mut services: BTreeMap<&ServiceName, Vec<StampedSlice>> = BTreeMap::new();
            for slice in slices {
                if mark.take(slice.sequence) {
                    result.stored += 1;
                    let of_service = services.entry(&slice.slice.service).or_default();
                    of_service.push(slice.clone());
                } else {
                    result.repeated += 1;
                }
            }
            for (service, slices) in services {
                for slices in slices.chunks(MAX_SEGMENT_SLICES) {
                    let segment = Segment {
                        proxy,
                        boot,
                        service,
                        slices,
                    };
                    segment.insert(&mut tx, Joined::AsReceived).await?;
                }
            }
            mark.save(&mut tx, proxy, boot, at).await?;
            result.acks.push(SliceAck {
                boot: boot.clone(),
                sequence: mark.acked,
            });
        }
        note_losses(&mut tx, proxy, batch.lost).await?;
        tx.commit().await?;
        Ok(result)
    }

    /// How far each boot of the proxy is stored, by boot.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn acked(&self, proxy: &ProxyId) -> Result<Vec<SliceAck>, StoreError> {
        let rows = sqlx::query("select boot, acked from marks where proxy = $1")
            .bind(proxy.as_str())
            .fetch_all(self.inner.slices.readers())
            .await?;
        let mut acks = rows
            .iter()
            .map(|row| {
                Ok(SliceAck {
                    boot: boot_id(row.try_get("boot")?)?,
                    sequence: unsigned(row.try_get("acked")?, "a sequence")?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        acks.sort_by(|a, b| a.boot.cmp(&b.boot));
        Ok(acks)
    }

    /// The sequence numbers of the proxy that never came, by boot.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn slice_gaps(&self, proxy: &ProxyId) -> Result<Vec<SliceGap>, StoreError> {
        let rows =
            sqlx::query("select boot, first_sequence, last_sequence from gaps where proxy = $1")
                .bind(proxy.as_str())
                .fetch_all(self.inner.slices.readers())
                .await?;
        let mut gaps = rows
            .iter()
            .map(|row| {
                Ok(SliceGap {
                    boot: boot_id(row.try_get("boot")?)?,
                    first: unsigned(row.try_get("first_sequence")?, "a sequence")?,
                    last: unsigned(row.try_get("last_sequence")?, "a sequence")?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        gaps.sort();
        Ok(gaps)
    }

    /// The highest number of slices the proxy ever reported as lost for good.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn slices_lost(&self, proxy: &ProxyId) -> Result<u64, StoreError> {
        let lost: Option<i64> = sqlx::query_scalar("select lost from losses where proxy = $1")
            .bind(proxy.as_str())
            .fetch_optional(self.inner.slices.readers())
            .await?;
        unsigned(lost.unwrap_or(0), "a loss")
    }

    /// The service's slices of the seconds from `from_second` up to but without
    /// `to_second` (seconds since 1970), by second, then proxy, boot and sequence.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a segment in this time cannot be unpacked: a part
    /// is never given for the whole.
    pub async fn slices(
        &self,
        service: &ServiceName,
        from_second: i64,
        to_second: i64,
    ) -> Result<Vec<(ProxyId, StampedSlice)>, StoreError> {
        let rows = sqlx::query(
            "select proxy, v, body from segments \
             where service = $1 and to_second >= $2 and from_second < $3",
        )
        .bind(service.as_str())
        .bind(from_second)
        .bind(to_second)
        .fetch_all(self.inner.slices.readers())
        .await?;
        let mut found = Vec::new();
        for row in &rows {
            let proxy = ProxyId::new(row.try_get::<String, _>("proxy")?)
                .map_err(|_| StoreError::corrupt("a segment has no valid proxy"))?;
            let wanted = unpack(row)?
                .into_iter()
                .filter(|slice| (from_second..to_second).contains(&slice.slice.second));
            found.extend(wanted.map(|slice| (proxy.clone(), slice)));
        }
        found.sort_by(|(a_proxy, a), (b_proxy, b)| {
            let key = |slice: &StampedSlice| slice.slice.second;
            (key(a), a_proxy, &a.boot, a.sequence).cmp(&(key(b), b_proxy, &b.boot, b.sequence))
        });
        Ok(found)
    }
}

fn check(proxy: &ProxyId, batch: &SliceBatch) -> Result<(), StoreError> {
    if batch.v != WIRE_VERSION {
        return Err(StoreError::refused(format!(
            "a batch of wire version {} is not read by this build, which speaks {WIRE_VERSION}",
            batch.v
        )));
    }
    if batch.proxy != *proxy {
        return Err(StoreError::refused(format!(
            "a batch of proxy {} was sent by proxy {proxy}",
            batch.proxy
        )));
    }
    if batch.slices.iter().any(|slice| slice.sequence == 0) {
        return Err(StoreError::refused(
            "a slice has sequence 0; they count from 1",
        ));
    }
    Ok(())
}

/// What is stored of one boot: everything up to `acked` but the gaps.
#[derive(Debug, Default)]
struct Mark {
    acked: u64,
    /// First missing number to last missing number.
    gaps: BTreeMap<u64, u64>,
    changed_gaps: bool,
}

impl Mark {
    async fn load(
        tx: &mut Transaction,
        proxy: &ProxyId,
        boot: &BootId,
    ) -> Result<Self, StoreError> {
        let acked: Option<i64> =
            sqlx::query_scalar("select acked from marks where proxy = $1 and boot = $2")
                .bind(proxy.as_str())
                .bind(boot.as_str())
                .fetch_optional(&mut **tx)
                .await?;
        let rows = sqlx::query(
            "select first_sequence, last_sequence from gaps where proxy = $1 and boot = $2",
        )
        .bind(proxy.as_str())
        .bind(boot.as_str())
        .fetch_all(&mut **tx)
        .await?;
        let gaps = rows
            .iter()
            .map(|row| {
                Ok((
                    unsigned(row.try_get("first_sequence")?, "a sequence")?,
                    unsigned(row.try_get("last_sequence")?, "a sequence")?,
                ))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Self {
            acked: unsigned(acked.unwrap_or(0), "a sequence")?,
            gaps,
            changed_gaps: false,
        })
    }

    /// Whether this sequence is new; from then on it is not.
    fn take(&mut self, sequence: u64) -> bool {
        if sequence > self.acked {
            if sequence > self.acked + 1 {
                self.gaps.insert(self.acked + 1, sequence - 1);
                self.changed_gaps = true;
            }
            self.acked = sequence;
            return true;
        }
        let around = self.gaps.range(..=sequence).next_back();
        let Some((first, last)) = around
            .map(|(first, last)| (*first, *last))
            .filter(|(_, last)| sequence <= *last)
        else {
            return false;
        };
        self.gaps.remove(&first);
        if first < sequence {
            self.gaps.insert(first, sequence - 1);
        }
        if sequence < last {
            self.gaps.insert(sequence + 1, last);
        }
        self.changed_gaps = true;
        true
    }

    async fn save(
        &self,
        tx: &mut Transaction,
        proxy: &ProxyId,
        boot: &BootId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into marks (proxy, boot, acked, changed) values ($1, $2, $3, $4) \
             on conflict (proxy, boot) do update \
             set acked = excluded.acked, changed = excluded.changed",
        )
        .bind(proxy.as_str())
        .bind(boot.as_str())
        .bind(signed(self.acked, "the sequence")?)
        .bind(at.0)
        .execute(&mut **tx)
        .await?;
        if !self.changed_gaps {
            return Ok(());
        }
        sqlx::query("delete from gaps where proxy = $1 and boot = $2")
            .bind(proxy.as_str())
            .bind(boot.as_str())
            .execute(&mut **tx)
            .await?;
        for (first, last) in &self.gaps {
            sqlx::query(
                "insert into gaps (proxy, boot, first_sequence, last_sequence) \
                 values ($1, $2, $3, $4)",
            )
            .bind(proxy.as_str())
            .bind(boot.as_str())
            .bind(signed(*first, "the sequence")?)
            .bind(signed(*last, "the sequence")?)
            .execute(&mut **tx)
            .await?;
        }
        Ok(())
    }
}

async fn note_losses(tx: &mut Transaction, proxy: &ProxyId, lost: u64) -> Result<(), StoreError> {
    if lost == 0 {
        return Ok(());
    }
    sqlx::query(
        "insert into losses (proxy, lost) values ($1, $2) on conflict (proxy) do update \
         set lost = case when excluded.lost > losses.lost then excluded.lost else losses.lost end",
    )
    .bind(proxy.as_str())
    .bind(signed(lost, "the number of lost slices")?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn boot_id(text: String) -> Result<BootId, StoreError> {
    BootId::new(text).map_err(|_| StoreError::corrupt("a row has no valid boot"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// In whatever order and however often numbers come, each is new exactly once
        /// and the gaps are exactly what never came.
        #[test]
        fn each_sequence_is_new_once(sequences in prop::collection::vec(1u64..40, 1..80)) {
            let mut mark = Mark::default();
            let mut seen = BTreeSet::new();
            for sequence in sequences {
                prop_assert_eq!(mark.take(sequence), seen.insert(sequence));
                let missing: BTreeSet<u64> =
                    mark.gaps.iter().flat_map(|(first, last)| *first..=*last).collect();
                let expected: BTreeSet<u64> =
                    (1..=mark.acked).filter(|n| !seen.contains(n)).collect();
                prop_assert_eq!(missing, expected);
                prop_assert_eq!(Some(&mark.acked), seen.last());
            }
        }
    }
}
