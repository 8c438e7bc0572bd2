//! Proving that the event log is what was written: every chain from its beginning,
//! and every stream's head against its last event.
//!
//! It finds what an edit of the file leaves behind. It cannot find a rewrite of a
//! whole stream with new hashes; for that, keep a noted head hash outside.

use crate::events::{digest, envelope, page};
use crate::sqlite::{Connection, open_to_read, snapshot};
use crate::store::{LOG_FILE, unsigned};
use crate::{Store, StoreError};
use esclusa_model::{ChainError, Digest, ENVELOPE_VERSION, GENESIS_HASH, StreamId};
use sqlx::Row as _;
use std::path::Path;

/// Events checked at a time, so that memory does not grow with the stream.
const PAGE: usize = 1_000;

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
        verify_all(&mut reader).await
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

async fn verify_all(connection: &mut Connection) -> Result<Verification, StoreError> {
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
    let mut names: Vec<String> =
        sqlx::query_scalar("select stream from streams union select stream from events")
            .fetch_all(connection)
            .await?;
    names.sort();
    names
        .into_iter()
        .map(|name| {
            StreamId::new(name).map_err(|_| StoreError::corrupt("a stream has no valid name"))
        })
        .collect()
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
                return broken(position, "unknown envelope version");
            }
            let Ok(event) = envelope(row) else {
                return broken(position, "cannot be read");
            };
            if event.position != position {
                return broken(position, "position missing or repeated");
            } else if event.prev != prev {
                return broken(position, "does not follow its predecessor");
            } else if event.hash != event.compute_hash() {
                return broken(position, "content does not match its hash");
            }
            prev = event.hash;
        }
        if rows.len() < PAGE {
            break;
        }
    }
    match stored_head(connection, stream).await? {
        Some(head) if head == (position, prev) => Ok(Ok(position)),
        Some((last, _)) if last > position => broken(position + 1, "the stream's end is missing"),
        Some(_) => broken(position, "is not the event that the stream's head names"),
        None => broken(position, "the stream's head is missing"),
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
