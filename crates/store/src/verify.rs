//! Proving that the event log is what was written: every chain from its beginning,
//! and every stream's head against its last event.
//!
//! It finds what an edit of the file leaves behind. It cannot find a rewrite of a
//! whole stream with new hashes; for that, keep a noted head hash outside.

use crate::events::{digest, envelope, page};
use crate::sqlite::{Connection, Row, open_to_read, snapshot};
use crate::store::{LOG_FILE, unsigned};
use crate::{Store, StoreError};
use esclusa_model::{ChainError, Digest, ENVELOPE_VERSION, GENESIS_HASH, StreamId};
use sqlx::Row as _;
use std::path::Path;

/// Events checked at a time, so that memory does not grow with the stream.
const PAGE: usize = 1_000;

const NO_HEAD: &str = "the stream's head is missing";
const NO_END: &str = "the stream's end is missing";
const NOT_NAMED: &str = "is not the event that the stream's head names";
const CHANGED: &str = "content does not match its hash";
const UNKNOWN_VERSION: &str = "unknown envelope version";
const UNREADABLE: &str = "cannot be read";

/// What a check of all streams found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Streams looked at.
    pub streams: u64,
    /// Events that fit, over all streams.
    pub events: u64,
    /// The first misfit of each damaged stream, by stream. Empty: nothing was changed.
    pub broken: Vec<ChainError>,
}

impl Store {
    /// Checks every stream. Damage is a finding, not an error. A stream that grows
    /// meanwhile is checked as it was at one moment.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub async fn verify(&self) -> Result<Verification, StoreError> {
        let mut reader = self.inner.log.readers().acquire().await?;
        let found = verify_all(&mut reader).await?;
        self.note_verification(&found);
        Ok(found)
    }

    /// Checks the end of every stream alone: that its head names its last event, and
    /// that this event is what was written. Its work grows with streams, not with events.
    /// What does not fit is remembered like a finding of [`Store::verify`].
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub async fn verify_heads(&self) -> Result<Verification, StoreError> {
        let mut reader = self.inner.log.readers().acquire().await?;
        let mut found = Verification::default();
        let mut after = String::new();
        loop {
            let rows = ends(&mut reader, &after).await?;
            for row in &rows {
                after = row.try_get("head_stream")?;
                found.streams += 1;
                match verify_end(row)? {
                    Ok(()) => found.events += 1,
                    Err(broken) => found.broken.push(broken),
                }
            }
            if rows.len() < PAGE {
                break;
            }
        }
        for stream in headless(&mut reader).await? {
            found.streams += 1;
            found.broken.push(ChainError {
                stream,
                position: 1,
                what: NO_HEAD,
            });
        }
        if !found.broken.is_empty() {
            self.note_verification(&found);
        }
        Ok(found)
    }
}

/// The same of a data folder that this process does not own: its event log is read and
/// nothing else. Nothing when there is none.
///
/// # Errors
/// When there is one and it cannot be read.
pub async fn verify_folder(dir: &Path) -> Result<Option<Verification>, StoreError> {
    let path = dir.join(LOG_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let mut connection = open_to_read(&path).await?;
    verify_all(&mut connection).await.map(Some)
}

pub(crate) async fn verify_all(connection: &mut Connection) -> Result<Verification, StoreError> {
    let mut found = Verification::default();
    for name in all_stream_names(connection).await? {
        found.streams += 1;
        // A snapshot a stream: one of everything would keep the log from being emptied.
        let mut snapshot = snapshot(connection).await?;
        match verify_stream(&mut snapshot, &name).await? {
            Ok(events) => found.events += events,
            Err(broken) => found.broken.push(broken),
        }
        snapshot.rollback().await?;
    }
    Ok(found)
}

/// Streams with a head, with events, or both.
async fn all_stream_names(connection: &mut Connection) -> Result<Vec<StreamId>, StoreError> {
    let mut names = headless(connection).await?;
    let heads: Vec<String> = sqlx::query_scalar("select stream from streams")
        .fetch_all(connection)
        .await?;
    for name in heads {
        names.push(stream_name(name)?);
    }
    // Not `order by`: engines disagree about the order of text.
    names.sort();
    Ok(names)
}

/// Streams with events and no head. Each stream costs a look into the index; a plain
/// `distinct` would walk over all events.
async fn headless(connection: &mut Connection) -> Result<Vec<StreamId>, StoreError> {
    let names: Vec<String> = sqlx::query_scalar(
        "with recursive names (stream) as ( \
             select min(stream) from events \
             union all \
             select (select min(e.stream) from events e where e.stream > names.stream) \
             from names where names.stream is not null \
         ) \
         select stream from names where stream is not null \
         and stream not in (select stream from streams)",
    )
    .fetch_all(connection)
    .await?;
    names.into_iter().map(stream_name).collect()
}

fn stream_name(name: String) -> Result<StreamId, StoreError> {
    StreamId::new(name).map_err(|_| StoreError::corrupt("a stream has no valid name"))
}

/// Heads behind the stream `after`, each with the event that it names and how many stand
/// where the next one would.
async fn ends(connection: &mut Connection, after: &str) -> Result<Vec<Row>, StoreError> {
    Ok(sqlx::query(
        "select s.stream as head_stream, s.position as head_position, s.hash as head_hash, \
         e.stream, e.position, e.v, e.at, e.actor, e.kind, e.payload, e.prev, e.hash, \
         (select count(*) from events n \
          where n.stream = s.stream and n.position = s.position + 1) as more \
         from streams s \
         left join events e on e.stream = s.stream and e.position = s.position \
         where s.stream > $1 order by s.stream limit $2",
    )
    .bind(after)
    .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?)
}

/// Whether a row of [`ends`] fits.
fn verify_end(row: &Row) -> Result<Result<(), ChainError>, StoreError> {
    let stream = stream_name(row.try_get("head_stream")?)?;
    let last = unsigned(row.try_get("head_position")?, "a stream's position")?;
    let broken = |position, what| {
        Ok(Err(ChainError {
            stream: stream.clone(),
            position,
            what,
        }))
    };
    let there: Option<i64> = row.try_get("position")?;
    if there.is_none() {
        return broken(last, NO_END);
    }
    if row.try_get::<i64, _>("more")? > 0 {
        return broken(last + 1, NOT_NAMED);
    }
    match envelope(row) {
        Ok(event) if digest(row, "head_hash").ok() != Some(event.hash) => broken(last, NOT_NAMED),
        Ok(event) if event.hash != event.compute_hash() => broken(last, CHANGED),
        Ok(_) => Ok(Ok(())),
        Err(StoreError::TooNew { .. }) => broken(last, UNKNOWN_VERSION),
        Err(_) => broken(last, UNREADABLE),
    }
}

async fn verify_stream(
    connection: &mut Connection,
    stream: &StreamId,
) -> Result<Result<u64, ChainError>, StoreError> {
    let broken = |position, what| {
        Ok(Err(ChainError {
            stream: stream.clone(),
            position,
            what,
        }))
    };
    let (mut position, mut prev) = (0, GENESIS_HASH);
    loop {
        let rows = page(connection, stream.as_str(), position, PAGE).await?;
        for row in &rows {
            position += 1;
            let v: Result<i64, _> = row.try_get("v");
            if v.is_ok_and(|v| v != i64::from(ENVELOPE_VERSION)) {
                return broken(position, UNKNOWN_VERSION);
            }
            let Ok(event) = envelope(row) else {
                return broken(position, UNREADABLE);
            };
            if event.position != position {
                return broken(position, "position missing or repeated");
            } else if event.prev != prev {
                return broken(position, "does not follow its predecessor");
            } else if event.hash != event.compute_hash() {
                return broken(position, CHANGED);
            }
            prev = event.hash;
        }
        if rows.len() < PAGE {
            break;
        }
    }
    match stored_head(connection, stream).await? {
        Some(head) if head == (position, prev) => Ok(Ok(position)),
        Some((last, _)) if last > position => broken(position + 1, NO_END),
        Some(_) => broken(position, NOT_NAMED),
        None => broken(position, NO_HEAD),
    }
}

async fn stored_head(
    connection: &mut Connection,
    stream: &StreamId,
) -> Result<Option<(u64, Digest)>, StoreError> {
    let row = sqlx::query("select position, hash from streams where stream = $1")
        .bind(stream.as_str())
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        let position = unsigned(row.try_get("position")?, "a stream's position")?;
        // A head that holds no digest fits no event.
        Ok((position, digest(&row, "hash").unwrap_or(GENESIS_HASH)))
    })
    .transpose()
}
