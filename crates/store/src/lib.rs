//! What esclusa keeps on disk: event streams, slices, tokens, settings, what may happen
//! only once, and what people are told.
//!
//! A data folder has one owner at a time. [`Store::open`] takes an exclusive lock on
//! it, which is the controller's lease, and counts the [`Epoch`](esclusa_model::Epoch)
//! up; a store whose epoch was overtaken refuses to write. What [`Store::append`]
//! returned survives a crash and a power cut. Slices live in a file of their own, so
//! that a second's worth of counts never waits for, grows or damages the event log.
//!
//! The SQL is portable (ids as text, times as bigint microseconds, JSON as text);
//! what only SQLite knows stands in `sqlite.rs`. The crate reads no clock: times come
//! from the caller. It does not know what events mean; folding them is `release`'s job.

pub mod backup;
mod copy;
mod error;
mod events;
mod lock;
mod notices;
mod readings;
mod restored;
mod schema;
mod segment;
mod settings;
mod slices;
mod spent;
mod sqlite;
mod store;
mod tokens;
mod upkeep;
mod verify;

pub use error::{AppendError, StoreError, TokenError};
pub use events::{MAX_APPEND_EVENTS, MAX_PAYLOAD_BYTES, NewEvent};
pub use notices::{
    Behind, ChannelState, DeadLetter, Inbox, InboxEntry, Incident, IncidentKey, IncidentStep,
    Looked, NewNotice, NoticeRetention, NoticeUpkeep, Retried, Waiting,
};
pub use restored::{Restored, Settled};
pub use slices::{SliceGap, SlicesStored};
pub use store::Store;
pub use tokens::{FlagGrant, NewToken, Revocation, TokenRecord};
pub use upkeep::{SliceRetention, SliceUpkeep};
pub use verify::{Verification, verify_folder};
