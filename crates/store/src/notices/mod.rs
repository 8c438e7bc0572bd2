//! What people are told, as it is kept: cursors, the outbox, open incidents, the inbox.
//!
//! A notice and the cursor behind the event that it tells of are stored in one
//! transaction, so that a process that dies loses none and repeats none. What a notice
//! says is its maker's business: here it is JSON. Deliberately absent: sending.

mod inbox;
mod incidents;
mod outbox;
mod upkeep;

pub use inbox::{Inbox, InboxEntry};
pub use incidents::{Incident, IncidentKey};
pub use outbox::{ChannelState, DeadLetter, Retried, Waiting};
pub use upkeep::{NoticeRetention, NoticeUpkeep};

use crate::sqlite::Connection;
use crate::store::{signed, unsigned};
use crate::{Store, StoreError};
use esclusa_model::{StreamId, Timestamp};
use sqlx::Row as _;

/// The longest notice as JSON text in bytes.
const MAX_NOTICE_BYTES: usize = 64 << 10;
/// Most streams that one look gives.
const MAX_BEHIND: i64 = 1_000;

/// A notice to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewNotice {
    /// What it says, as its maker reads it back.
    pub body: serde_json::Value,
    /// When what it tells of happened.
    pub at: Timestamp,
    /// The channels that it goes to.
    pub channels: Vec<String>,
    /// The alarm that it raises; the second of the same kind is counted and not told.
    pub alarm: Option<IncidentKey>,
}

/// One event of a stream, and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// The event's position.
    pub position: u64,
    /// What there is to say; mostly nothing.
    pub notice: Option<NewNotice>,
}

/// What to do with an open incident together with a notice about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentStep {
    /// Nothing: the notice may open or count one by itself.
    None,
    /// It is over.
    End(IncidentKey),
    /// It is told once more.
    Remind(IncidentKey),
}

/// A stream with events that nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The stream.
    pub stream: StreamId,
    /// The last position that was looked at; 0 for none.
    pub looked: u64,
    /// The stream's last position.
    pub last: u64,
}

impl Store {
    /// Streams under `prefix` that have events behind their cursor, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn streams_behind(&self, prefix: &str) -> Result<Vec<Behind>, StoreError> {
        let rows = sqlx::query(
            "select streams.stream as stream, streams.position as last, \
             coalesce(notice_cursors.position, 0) as looked \
             from streams left join notice_cursors on notice_cursors.stream = streams.stream \
             where substr(streams.stream, 1, length($1)) = $1 \
             and streams.position > coalesce(notice_cursors.position, 0) limit $2",
        )
        .bind(prefix)
        .bind(MAX_BEHIND)
        .fetch_all(self.inner.log.readers())
        .await?;
        let mut behind = rows
            .iter()
            .map(|row| {
                Ok(Behind {
                    stream: crate::events::stream_id(row)?,
                    looked: unsigned(row.try_get("looked")?, "a cursor")?,
                    last: unsigned(row.try_get("last")?, "a stream's position")?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        behind.sort_by(|a, b| a.stream.cmp(&b.stream));
        Ok(behind)
    }

    /// Puts the cursors of all streams under `prefix` to their ends, once in the life of
    /// a data folder: what was recorded before anybody listened is told to nobody.
    /// Whether this was that time.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn begin_notices(&self, prefix: &str, at: Timestamp) -> Result<bool, StoreError> {
        const BEGUN: &str = "notices-begun";
        if self.setting::<i64>(BEGUN).await?.is_some() {
            return Ok(false);
        }
        let mut tx = self.begin().await?;
        sqlx::query(
            "insert into notice_cursors (stream, position) select stream, position from streams \
             where substr(stream, 1, length($1)) = $1 \
             on conflict (stream) do update set position = excluded.position",
        )
        .bind(prefix)
        .execute(&mut *tx)
        .await?;
        crate::settings::put_text(&mut tx, BEGUN, at.0.to_string(), at).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Keeps what there is to say about these events of a stream and moves its cursor
    /// behind the last of them. Events that were looked at before are passed over.
    ///
    /// # Errors
    /// When the store failed; nothing is kept then.
    pub async fn note(
        &self,
        stream: &StreamId,
        looked: &[Looked],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(last) = looked.last() else {
            return Ok(());
        };
        let mut tx = self.begin().await?;
        let cursor = cursor(&mut tx, stream.as_str()).await?;
        for one in looked.iter().filter(|one| one.position > cursor) {
            if let Some(notice) = &one.notice {
                keep(&mut tx, stream.as_str(), one.position, notice, now).await?;
            }
        }
        if last.position > cursor {
            move_cursor(&mut tx, stream.as_str(), last.position).await?;
        }
        tx.commit().await
    }

    /// Keeps a notice that tells of no event, in a line `of` its own, with what it does
    /// to an incident.
    ///
    /// # Errors
    /// When the store failed; nothing is kept then.
    pub async fn note_own(
        &self,
        of: &str,
        notice: &NewNotice,
        step: &IncidentStep,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let position = cursor(&mut tx, of).await?.saturating_add(1);
        match step {
            IncidentStep::None => {}
            IncidentStep::End(key) => incidents::end(&mut tx, key).await?,
            IncidentStep::Remind(key) => incidents::reminded(&mut tx, key, now).await?,
        }
        keep(&mut tx, of, position, notice, now).await?;
        move_cursor(&mut tx, of, position).await?;
        tx.commit().await
    }
}

async fn cursor(connection: &mut Connection, stream: &str) -> Result<u64, StoreError> {
    let found: Option<i64> =
        sqlx::query_scalar("select position from notice_cursors where stream = $1")
            .bind(stream)
            .fetch_optional(connection)
            .await?;
    found.map_or(Ok(0), |found| unsigned(found, "a cursor"))
}

async fn move_cursor(
    connection: &mut Connection,
    stream: &str,
    position: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into notice_cursors (stream, position) values ($1, $2) \
         on conflict (stream) do update set position = excluded.position",
    )
    .bind(stream)
    .bind(signed(position, "a position")?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts a notice into its incident, or puts it where people find it.
async fn keep(
    connection: &mut Connection,
    stream: &str,
    position: u64,
    notice: &NewNotice,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = notice.body.to_string();
    if text.len() > MAX_NOTICE_BYTES {
        return Err(StoreError::refused(format!(
            "a notice of {} bytes is over the limit of {MAX_NOTICE_BYTES}",
            text.len()
        )));
    }
    if let Some(key) = &notice.alarm
        && let Some(entry) = incidents::count(connection, key, notice.at).await?
    {
        return inbox::count(connection, entry).await;
    }
    let entry = inbox::put(connection, notice.at, &text).await?;
    if let Some(key) = &notice.alarm {
        incidents::open(connection, key, notice.at, now, entry, &text).await?;
    }
    for channel in &notice.channels {
        outbox::put(connection, (stream, position), channel, &text, now).await?;
    }
    Ok(())
}
