//! The event log: append behind an expected position, read, list.

use crate::sqlite::{Connection, Row};
use crate::store::{signed, unsigned};
use crate::{AppendError, Store, StoreError};
use esclusa_model::{Actor, Digest, ENVELOPE_VERSION, Envelope, GENESIS_HASH, StreamId, Timestamp};
use sqlx::Row as _;

/// The most events of one append; an effect records a handful.
pub const MAX_APPEND_EVENTS: usize = 1_000;
/// The longest payload as JSON text. What is longer (logs, artifacts) belongs in a file.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// An event to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Who caused it.
    pub actor: Actor,
    /// Its kind, such as `stage_entered`.
    pub kind: String,
    /// Its fields.
    pub payload: serde_json::Value,
}

impl Store {
    /// Puts `events` behind position `expected` of the stream (0: a new one), all or
    /// none. They are on the disk when this returns. Without events, it only checks
    /// that the stream stands at `expected`.
    ///
    /// A caller that drops the future does not know whether they were stored, and reads.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when the stream stands elsewhere; [`AppendError::Store`]
    /// when a limit is broken or the store failed.
    pub async fn append(
        &self,
        stream: &StreamId,
        expected: u64,
        at: Timestamp,
        events: &[NewEvent],
    ) -> Result<Vec<Envelope>, AppendError> {
        check_limits(events)?;
        let mut tx = self.begin().await?;
        let (actual, mut prev) = head(&mut tx, stream).await?;
        if actual != expected {
            return Err(AppendError::Conflict {
                stream: stream.clone(),
                expected,
                actual,
            });
        }
        let mut sealed = Vec::with_capacity(events.len());
        for (event, position) in events.iter().zip(expected + 1..) {
            let envelope = Envelope::seal(
                stream.clone(),
                position,
                at,
                event.actor.clone(),
                event.kind.clone(),
                event.payload.clone(),
                prev,
            );
            insert(&mut tx, &envelope).await?;
            prev = envelope.hash;
            sealed.push(envelope);
        }
        if let Some(last) = sealed.last() {
            move_head(&mut tx, last).await?;
        }
        tx.commit().await?;
        Ok(sealed)
    }

    /// At most `limit` events of the stream behind position `after`, in order. A stream
    /// nobody wrote to is empty.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] for an envelope version this build does not know,
    /// [`StoreError::Corrupt`] for a row that is no envelope. Whether content was
    /// changed is asked of [`Store::verify`].
    pub async fn read(
        &self,
        stream: &StreamId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Envelope>, StoreError> {
        let mut reader = self.inner.log.readers().acquire().await?;
        page(&mut reader, stream.as_str(), after, limit)
            .await?
            .iter()
            .map(envelope)
            .collect()
    }

    /// The streams whose names begin with `prefix`, by name, each with its last position.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn streams(&self, prefix: &str) -> Result<Vec<(StreamId, u64)>, StoreError> {
        let rows = sqlx::query(
            "select stream, position from streams where substr(stream, 1, length($1)) = $1",
        )
        .bind(prefix)
        .fetch_all(self.inner.log.readers())
        .await?;
        let mut streams = rows
            .iter()
            .map(|row| {
                let position = unsigned(row.try_get("position")?, "a stream's position")?;
                Ok((stream_id(row)?, position))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        // Not `order by`: engines disagree about the order of text.
        streams.sort();
        Ok(streams)
    }
}

fn check_limits(events: &[NewEvent]) -> Result<(), StoreError> {
    if events.len() > MAX_APPEND_EVENTS {
        return Err(StoreError::refused(format!(
            "an append of {} events is over the limit of {MAX_APPEND_EVENTS}",
            events.len()
        )));
    }
    for event in events {
        let bytes = event.payload.to_string().len();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(StoreError::refused(format!(
                "the payload of {} has {bytes} bytes, over the limit of {MAX_PAYLOAD_BYTES}",
                event.kind
            )));
        }
    }
    Ok(())
}

/// Where the stream stands, and the hash that the next event names.
async fn head(connection: &mut Connection, stream: &StreamId) -> Result<(u64, Digest), StoreError> {
    let row = sqlx::query("select position, hash from streams where stream = $1")
        .bind(stream.as_str())
        .fetch_optional(connection)
        .await?;
    row.map_or(Ok((0, GENESIS_HASH)), |row| {
        let position = unsigned(row.try_get("position")?, "a stream's position")?;
        Ok((position, digest(&row, "hash")?))
    })
}

async fn insert(connection: &mut Connection, event: &Envelope) -> Result<(), StoreError> {
    sqlx::query(
        "insert into events (stream, position, v, at, actor, kind, payload, prev, hash) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(event.stream.as_str())
    .bind(signed(event.position, "the position")?)
    .bind(i64::from(event.v))
    .bind(event.at.0)
    .bind(event.actor.as_str())
    .bind(event.kind.as_str())
    .bind(event.payload.to_string())
    .bind(event.prev.hex())
    .bind(event.hash.hex())
    .execute(connection)
    .await?;
    Ok(())
}

async fn move_head(connection: &mut Connection, last: &Envelope) -> Result<(), StoreError> {
    sqlx::query(
        "insert into streams (stream, position, hash) values ($1, $2, $3) \
         on conflict (stream) do update set position = excluded.position, hash = excluded.hash",
    )
    .bind(last.stream.as_str())
    .bind(signed(last.position, "the position")?)
    .bind(last.hash.hex())
    .execute(connection)
    .await?;
    Ok(())
}

/// Raw rows of a stream behind `after`, in order.
pub(crate) async fn page(
    connection: &mut Connection,
    stream: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    Ok(sqlx::query(
        "select stream, position, v, at, actor, kind, payload, prev, hash from events \
         where stream = $1 and position > $2 order by position limit $3",
    )
    .bind(stream)
    .bind(i64::try_from(after).unwrap_or(i64::MAX))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?)
}

/// The envelope in a row of [`page`].
pub(crate) fn envelope(row: &Row) -> Result<Envelope, StoreError> {
    let stream = stream_id(row)?;
    let position = unsigned(row.try_get("position")?, "an event's position")?;
    let damaged = |what: &str| {
        StoreError::corrupt(format!("event {position} of {stream} has no valid {what}"))
    };
    let v: i64 = row.try_get("v")?;
    if v != i64::from(ENVELOPE_VERSION) {
        return Err(StoreError::TooNew {
            what: "envelope version",
            found: v,
            known: i64::from(ENVELOPE_VERSION),
        });
    }
    let actor = Actor::new(row.try_get::<String, _>("actor")?).map_err(|_| damaged("actor"))?;
    let payload = serde_json::from_str(row.try_get("payload")?).map_err(|_| damaged("payload"))?;
    Ok(Envelope {
        v: ENVELOPE_VERSION,
        position,
        at: Timestamp(row.try_get("at")?),
        actor,
        kind: row.try_get("kind")?,
        payload,
        prev: digest(row, "prev").map_err(|_| damaged("prev"))?,
        hash: digest(row, "hash").map_err(|_| damaged("hash"))?,
        stream,
    })
}

/// The stream's name in a row.
pub(crate) fn stream_id(row: &Row) -> Result<StreamId, StoreError> {
    StreamId::new(row.try_get::<String, _>("stream")?)
        .map_err(|_| StoreError::corrupt("a stream has no valid name"))
}

/// A digest column, stored as 64 hex digits.
pub(crate) fn digest(row: &Row, column: &str) -> Result<Digest, StoreError> {
    format!("sha256:{}", row.try_get::<&str, _>(column)?)
        .parse()
        .map_err(|_| StoreError::corrupt(format!("column {column} holds no digest")))
}
