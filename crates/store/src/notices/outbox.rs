//! The outbox: what waits for a channel, in the order in which it was put there.

use crate::sqlite::{Connection, Row};
use crate::store::{signed, unsigned};
use crate::{Store, StoreError};
use esclusa_model::{Digest, Millis, Timestamp};
use sqlx::Row as _;

const WAITING: &str = "waiting";
const DELIVERED: &str = "delivered";
const DEAD: &str = "dead";
/// The longest error that is kept, in bytes.
const MAX_ERROR_BYTES: usize = 1_000;

/// What waits first in a channel's line.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its id, the same over all tries.
    pub id: String,
    /// What it says.
    pub notice: serde_json::Value,
    /// Since when it waits.
    pub at: Timestamp,
    /// Tries so far.
    pub attempts: u32,
    /// Not before this.
    pub next_at: Timestamp,
}

/// What was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// When it was given up.
    pub at: Timestamp,
    /// Tries that were made.
    pub attempts: u32,
    /// Why, as it was told last.
    pub error: Option<String>,
}

/// A channel's line in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelState {
    /// The channel.
    pub channel: String,
    /// What waits.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
    /// What was delivered and is still remembered.
    pub delivered: u64,
    /// What was given up and is still remembered.
    pub dead: u64,
    /// What went wrong last with anything that is not delivered.
    pub last_error: Option<(String, Timestamp)>,
}

/// What asking for another try found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It is at the end of this channel's line.
    Again(String),
    /// It was not given up.
    NotDead,
    /// Nothing has this id, or not any more.
    Unknown,
}

impl Store {
    /// What waits first in a channel's line, due or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn first_waiting(&self, channel: &str) -> Result<Option<Waiting>, StoreError> {
        let row = sqlx::query(
            "select id, notice, at, attempts, next_at from outbox \
             where channel = $1 and state = $2 order by number limit 1",
        )
        .bind(channel)
        .bind(WAITING)
        .fetch_optional(self.inner.log.readers())
        .await?;
        row.map(|row| {
            Ok(Waiting {
                id: row.try_get("id")?,
                notice: json(row.try_get("notice")?)?,
                at: Timestamp(row.try_get("at")?),
                attempts: attempts(&row)?,
                next_at: Timestamp(row.try_get("next_at")?),
            })
        })
        .transpose()
    }

    /// It was delivered.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn delivered(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.tried(id, DELIVERED, at, at, None).await
    }

    /// A try failed; the next one is at `next_at`.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn put_off(
        &self,
        id: &str,
        at: Timestamp,
        next_at: Timestamp,
        error: &str,
    ) -> Result<(), StoreError> {
        self.tried(id, WAITING, at, next_at, Some(error)).await
    }

    /// It is given up.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn give_up(&self, id: &str, at: Timestamp, error: &str) -> Result<(), StoreError> {
        self.tried(id, DEAD, at, at, Some(error)).await
    }

    async fn tried(
        &self,
        id: &str,
        state: &str,
        at: Timestamp,
        next_at: Timestamp,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "update outbox set state = $2, changed = $3, next_at = $4, error = $5, \
             attempts = attempts + 1 where id = $1",
        )
        .bind(id)
        .bind(state)
        .bind(at.0)
        .bind(next_at.0)
        .bind(error.map(short))
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Puts what was given up to the end of its channel's line, with all tries before it.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn retry_letter(&self, id: &str, now: Timestamp) -> Result<Retried, StoreError> {
        let mut tx = self.begin().await?;
        let found = sqlx::query("select channel, state from outbox where id = $1")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(found) = found else {
            return Ok(Retried::Unknown);
        };
        if found.try_get::<&str, _>("state")? != DEAD {
            return Ok(Retried::NotDead);
        }
        let channel: String = found.try_get("channel")?;
        sqlx::query(
            "update outbox set state = $2, at = $3, changed = $3, next_at = $3, attempts = 0, \
             number = (select coalesce(max(number), 0) + 1 from outbox) where id = $1",
        )
        .bind(id)
        .bind(WAITING)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Retried::Again(channel))
    }

    /// Gives up what waits for channels that are none of these.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn give_up_others(
        &self,
        channels: &[String],
        at: Timestamp,
        error: &str,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let waiting: Vec<String> =
            sqlx::query_scalar("select distinct channel from outbox where state = $1")
                .bind(WAITING)
                .fetch_all(&mut *tx)
                .await?;
        let mut given_up = 0;
        for channel in waiting.iter().filter(|waits| !channels.contains(waits)) {
            given_up += sqlx::query(
                "update outbox set state = $3, changed = $4, error = $5 \
                 where channel = $1 and state = $2",
            )
            .bind(channel.as_str())
            .bind(WAITING)
            .bind(DEAD)
            .bind(at.0)
            .bind(error)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        }
        tx.commit().await?;
        Ok(given_up)
    }

    /// The lines of all channels that anything is remembered of, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn channel_states(&self) -> Result<Vec<ChannelState>, StoreError> {
        let mut reader = self.inner.log.readers().acquire().await?;
        let rows = sqlx::query(
            "select channel, state, count(*) as many, min(at) as oldest from outbox \
             group by channel, state",
        )
        .fetch_all(&mut *reader)
        .await?;
        let mut states = std::collections::BTreeMap::<String, ChannelState>::new();
        for row in &rows {
            let channel: String = row.try_get("channel")?;
            let many = unsigned(row.try_get("many")?, "a count of messages")?;
            let known = states
                .entry(channel.clone())
                .or_insert_with(|| ChannelState {
                    channel,
                    ..ChannelState::default()
                });
            match row.try_get::<&str, _>("state")? {
                WAITING => {
                    known.waiting = many;
                    known.oldest = Some(Timestamp(row.try_get("oldest")?));
                }
                DELIVERED => known.delivered = many,
                _ => known.dead = many,
            }
        }
        for known in states.values_mut() {
            let row = sqlx::query(
                "select error, changed from outbox where channel = $1 and state <> $2 \
                 and error is not null order by changed desc limit 1",
            )
            .bind(known.channel.as_str())
            .bind(DELIVERED)
            .fetch_optional(&mut *reader)
            .await?;
            if let Some(row) = row {
                let at = Timestamp(row.try_get("changed")?);
                known.last_error = Some((row.try_get("error")?, at));
            }
        }
        Ok(states.into_values().collect())
    }

    /// What was given up, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = sqlx::query(
            "select id, channel, changed, attempts, error from outbox where state = $1 \
             order by changed desc, number desc limit $2",
        )
        .bind(DEAD)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.inner.log.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(DeadLetter {
                    id: row.try_get("id")?,
                    channel: row.try_get("channel")?,
                    at: Timestamp(row.try_get("changed")?),
                    attempts: attempts(row)?,
                    error: row.try_get("error")?,
                })
            })
            .collect()
    }
}

fn attempts(row: &Row) -> Result<u32, StoreError> {
    let found: i64 = row.try_get("attempts")?;
    u32::try_from(found).map_err(|_| StoreError::corrupt("a count of tries is out of range"))
}

/// A stored notice.
pub(super) fn json(text: &str) -> Result<serde_json::Value, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::corrupt("a notice is no JSON"))
}

/// At most so many bytes of an error, whole characters.
fn short(error: &str) -> &str {
    let mut end = error.len().min(MAX_ERROR_BYTES);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    error.get(..end).unwrap_or_default()
}

/// The id of what tells `channel` of this event: it is the same however often it is made.
fn id(stream: &str, position: u64, channel: &str) -> String {
    let name = format!("{}:{stream}:{position}:{channel}", stream.len());
    let digest = Digest::of(name.as_bytes()).hex();
    format!("msg_{}", digest.get(..32).unwrap_or(&digest))
}

/// Puts a notice at the end of a channel's line, once.
pub(super) async fn put(
    connection: &mut Connection,
    (stream, position): (&str, u64),
    channel: &str,
    notice: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into outbox (id, stream, position, channel, number, notice, at, state, attempts, \
         next_at, changed, error) values ($1, $2, $3, $4, \
         (select coalesce(max(number), 0) + 1 from outbox), $5, $6, $7, 0, $6, $6, null) \
         on conflict (stream, position, channel) do nothing",
    )
    .bind(id(stream, position, channel))
    .bind(stream)
    .bind(signed(position, "a position")?)
    .bind(channel)
    .bind(notice)
    .bind(now.0)
    .bind(WAITING)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what was decided before these times.
pub(super) async fn forget(
    connection: &mut Connection,
    now: Timestamp,
    delivered: Millis,
    dead: Millis,
) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    for (state, age) in [(DELIVERED, delivered), (DEAD, dead)] {
        forgotten += sqlx::query("delete from outbox where state = $1 and changed < $2")
            .bind(state)
            .bind(before(now, age))
            .execute(&mut *connection)
            .await?
            .rows_affected();
    }
    Ok(forgotten)
}

/// Gives up the oldest where more than `most` wait for one channel.
pub(super) async fn give_up_over(
    connection: &mut Connection,
    most: u64,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let most = signed(most, "a limit")?;
    let full: Vec<String> = sqlx::query_scalar(
        "select channel from outbox where state = $1 group by channel having count(*) > $2",
    )
    .bind(WAITING)
    .bind(most)
    .fetch_all(&mut *connection)
    .await?;
    let mut given_up = 0;
    for channel in full {
        given_up += sqlx::query(
            "update outbox set state = $3, changed = $4, error = $5 where id in \
             (select id from outbox where channel = $1 and state = $2 order by number desc \
             limit $7 offset $6)",
        )
        .bind(channel)
        .bind(WAITING)
        .bind(DEAD)
        .bind(now.0)
        .bind(format!("more than {most} messages waited for this channel"))
        .bind(most)
        .bind(i64::MAX)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    }
    Ok(given_up)
}

/// So long before now.
pub(super) fn before(now: Timestamp, age: Millis) -> i64 {
    let micros = i64::try_from(age.0.saturating_mul(1_000)).unwrap_or(i64::MAX);
    now.0.saturating_sub(micros)
}
