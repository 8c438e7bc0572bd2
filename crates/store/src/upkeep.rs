//! Keeping slices small and bounded: joins what came second by second, and forgets
//! the oldest by age and by size. Never touches the event log.

use crate::segment::{Joined, MAX_SEGMENT_SLICES, Segment, unpack};
use crate::sqlite::{Row, Transaction};
use crate::store::unsigned;
use crate::{Store, StoreError};
use esclusa_model::{BootId, Millis, ProxyId, ServiceName, Timestamp};
use sqlx::Row as _;

/// Segments younger than this many seconds still get neighbours.
const JOIN_AFTER_SECONDS: i64 = 60;
/// Segments looked at by one run; the next one goes on.
const MAX_JOINED_ROWS: i64 = 2_000;
/// Packed bytes that are unpacked at once for a join.
const MAX_JOIN_BYTES: u64 = 256 << 10;

/// How long slices are kept. Whichever limit is reached first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceRetention {
    /// The oldest that is kept.
    pub age: Millis,
    /// The most packed bytes that are kept, over all services.
    pub bytes: u64,
}

/// What a run of upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SliceUpkeep {
    /// Segments that were joined into fewer.
    pub joined: u64,
    /// Segments that were forgotten.
    pub removed: u64,
    /// Packed bytes that are kept.
    pub bytes: u64,
}

/// A segment's key and weight.
#[derive(Debug, Clone)]
struct Entry {
    proxy: ProxyId,
    boot: BootId,
    service: ServiceName,
    first_sequence: i64,
    slices: u64,
    bytes: u64,
}

impl Entry {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let damaged = |_| StoreError::corrupt("a segment has no valid name");
        Ok(Self {
            proxy: ProxyId::new(row.try_get::<String, _>("proxy")?).map_err(damaged)?,
            boot: BootId::new(row.try_get::<String, _>("boot")?).map_err(damaged)?,
            service: ServiceName::new(row.try_get::<String, _>("service")?).map_err(damaged)?,
            first_sequence: row.try_get("first_sequence")?,
            slices: unsigned(row.try_get("slices")?, "a number of slices")?,
            bytes: unsigned(row.try_get("bytes")?, "a segment's size")?,
        })
    }

    fn same_source(&self, other: &Self) -> bool {
        (&self.proxy, &self.boot, &self.service) == (&other.proxy, &other.boot, &other.service)
    }
}

impl Store {
    /// Joins and forgets slices. Meant to be called about once a minute.
    ///
    /// # Errors
    /// When the store failed; what was done before stays done.
    pub async fn keep_slices(
        &self,
        retention: SliceRetention,
        now: Timestamp,
    ) -> Result<SliceUpkeep, StoreError> {
        let mut done = SliceUpkeep {
            removed: self.forget_old(retention.age, now).await?,
            ..SliceUpkeep::default()
        };
        done.joined = self.join(now).await?;
        let (removed, bytes) = self.forget_over(retention.bytes).await?;
        done.removed += removed;
        done.bytes = bytes;
        if done.removed > 0 {
            self.inner.slices.shrink().await?;
        }
        Ok(done)
    }

    async fn join(&self, now: Timestamp) -> Result<u64, StoreError> {
        let rows = sqlx::query(
            "select proxy, boot, service, first_sequence, slices, bytes from segments \
             where joined = $1 and to_second < $2 \
             order by proxy, boot, service, first_sequence limit $3",
        )
        .bind(Joined::AsReceived.column())
        .bind(now.unix_second() - JOIN_AFTER_SECONDS)
        .bind(MAX_JOINED_ROWS)
        .fetch_all(self.inner.slices.readers())
        .await?;
        let entries: Vec<Entry> = rows.iter().map(Entry::read).collect::<Result<_, _>>()?;
        let mut joined = 0;
        for group in groups(&entries) {
            // One transaction a group: a batch of slices never waits for all of them.
            let mut tx = self.inner.slices.begin().await?;
            join_group(&mut tx, group).await?;
            tx.commit().await?;
            if group.len() > 1 {
                joined += group.len() as u64;
            }
        }
        Ok(joined)
    }

    async fn forget_old(&self, age: Millis, now: Timestamp) -> Result<u64, StoreError> {
        let age_seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let cutoff = now.unix_second().saturating_sub(age_seconds);
        let mut tx = self.inner.slices.begin().await?;
        let removed = sqlx::query("delete from segments where to_second < $1")
            .bind(cutoff)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        sqlx::query("delete from readings where at_second < $1")
            .bind(cutoff)
            .execute(&mut *tx)
            .await?;
        // A boot that sent nothing for that long sends nothing again.
        let forgotten = cutoff.saturating_mul(1_000_000);
        sqlx::query(
            "delete from gaps where exists (select 1 from marks where marks.proxy = gaps.proxy \
             and marks.boot = gaps.boot and marks.changed < $1)",
        )
        .bind(forgotten)
        .execute(&mut *tx)
        .await?;
        sqlx::query("delete from marks where changed < $1")
            .bind(forgotten)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(removed)
    }

    /// Forgets the oldest until at most `limit` packed bytes are left.
    async fn forget_over(&self, limit: u64) -> Result<(u64, u64), StoreError> {
        let mut tx = self.inner.slices.begin().await?;
        let kept: i64 =
            sqlx::query_scalar("select cast(coalesce(sum(bytes), 0) as bigint) from segments")
                .fetch_one(&mut *tx)
                .await?;
        let mut kept = unsigned(kept, "the size of all segments")?;
        let mut removed = 0;
        while kept > limit {
            let rows = sqlx::query(
                "select proxy, boot, service, first_sequence, slices, bytes from segments \
                 order by to_second, proxy, boot, service, first_sequence limit 100",
            )
            .fetch_all(&mut *tx)
            .await?;
            if rows.is_empty() {
                break;
            }
            for entry in rows.iter().map(Entry::read) {
                let entry = entry?;
                if kept <= limit {
                    break;
                }
                remove(&mut tx, &entry).await?;
                kept = kept.saturating_sub(entry.bytes);
                removed += 1;
            }
        }
        tx.commit().await?;
        Ok((removed, kept))
    }
}

/// Neighbours from one source that fit into one segment.
fn groups(entries: &[Entry]) -> Vec<&[Entry]> {
    let mut groups = Vec::new();
    let mut start = 0;
    let (mut slices, mut bytes) = (0, 0);
    for (index, entry) in entries.iter().enumerate() {
        slices += entry.slices;
        bytes += entry.bytes;
        let fits = entry.same_source(&entries[start])
            && slices <= MAX_SEGMENT_SLICES as u64
            && bytes <= MAX_JOIN_BYTES;
        if index > start && !fits {
            groups.push(&entries[start..index]);
            start = index;
            (slices, bytes) = (entry.slices, entry.bytes);
        }
    }
    if start < entries.len() {
        groups.push(&entries[start..]);
    }
    groups
}

async fn join_group(tx: &mut Transaction, group: &[Entry]) -> Result<(), StoreError> {
    let Some(source) = group.first() else {
        return Ok(());
    };
    let mut slices = Vec::new();
    for entry in group {
        let row = sqlx::query(
            "select v, body from segments \
             where proxy = $1 and boot = $2 and service = $3 and first_sequence = $4",
        )
        .bind(entry.proxy.as_str())
        .bind(entry.boot.as_str())
        .bind(entry.service.as_str())
        .bind(entry.first_sequence)
        .fetch_optional(&mut **tx)
        .await?;
        if let Some(row) = row {
            slices.extend(unpack(&row)?);
            remove(tx, entry).await?;
        }
    }
    slices.sort_by_key(|slice| slice.sequence);
    let segment = Segment {
        proxy: &source.proxy,
        boot: &source.boot,
        service: &source.service,
        slices: &slices,
    };
    segment.insert(tx, Joined::Joined).await?;
    Ok(())
}

async fn remove(tx: &mut Transaction, entry: &Entry) -> Result<(), StoreError> {
    sqlx::query(
        "delete from segments \
         where proxy = $1 and boot = $2 and service = $3 and first_sequence = $4",
    )
    .bind(entry.proxy.as_str())
    .bind(entry.boot.as_str())
    .bind(entry.service.as_str())
    .bind(entry.first_sequence)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
