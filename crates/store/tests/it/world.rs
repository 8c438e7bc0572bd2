//! What the tests share: a folder that goes away, names, events.

use esclusa_model::{Actor, StreamId, Timestamp};
use esclusa_store::{NewEvent, Store};
use std::path::Path;

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub(crate) async fn open(dir: &Path) -> Store {
    Store::open(dir, NOW).await.expect("the store opens")
}

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::new(name).expect("a valid name")
}

pub(crate) fn actor(name: &str) -> Actor {
    Actor::new(name).expect("a valid name")
}

pub(crate) fn event(number: u64) -> NewEvent {
    NewEvent {
        actor: actor("judge"),
        kind: "verdict".into(),
        payload: serde_json::json!({ "number": number, "ratio": 0.1 * 3.0 }),
    }
}

/// Does to the file what nobody should: edits it behind the store's back.
pub(crate) async fn tamper(dir: &Path, sql: &'static str) -> u64 {
    use sqlx::{ConnectOptions, Connection};
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(dir.join("esclusa.db"))
        .connect()
        .await
        .expect("the file opens");
    let done = sqlx::query(sql)
        .execute(&mut connection)
        .await
        .expect("the edit works");
    connection.close().await.expect("the file closes");
    done.rows_affected()
}
