//! The protocol between control plane and data plane: types and codecs only.
//!
//! Version 1. Every type refuses unknown fields: both sides ship in one binary, and
//! a mixed pair during an upgrade must say so instead of guessing. Each stored or
//! sent shape has a golden file.
//!
//! The control plane speaks HTTP/1.1 with JSON over the proxy's Unix socket:
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /v1/hello` | - | [`Hello`] |
//! | `PUT /v1/generation` | [`Generation`] | [`Published`], or 409 with [`Refusal`] |
//! | `GET /v1/generation` | - | the [`Generation`] in force, `null` before the first |
//! | `GET /v1/status` | - | [`ProxyStatus`] |
//! | `GET /v1/status?epoch=N` | - | the same, noted as told to the controller of that epoch |
//! | `GET /v1/slices?after=SEQ&wait_ms=N` | - | [`SliceBatch`] |
//! | `POST /v1/slices/ack` | [`SliceAck`] | 204 |
//! | `POST /v1/heartbeat` | [`Heartbeat`] | [`ProxyStatus`], or 409 with [`Refusal`] |
//! | `POST /v1/take-back` | [`TakeBack`] | [`TookBack`] |
//! | `PUT /v1/flags` | [`FlagDocument`] | [`FlagsTaken`], or 409 with [`Refusal`] |
//! | `GET /v1/flags` | - | the [`FlagDocument`] in force, `null` before the first |
//! | `GET /v1/flags/status` | - | [`FlagStatus`] |
//! | `POST /v1/flags/kill` | [`FlagKill`] | [`FlagsKilled`] |
//! | `POST /v1/flags/contexts` | [`AskContexts`] | the contexts, newest first |
//!
//! Any call may be answered 421: another proxy has taken over, and the next connection
//! reaches it. How that goes is in [`ToLeader`] and [`FromLeader`].

mod control;
mod exposure;
mod flags;
mod flags_file;
mod generation;
mod hand_over;
mod left_kill;
mod slices;
mod state_file;
mod take_back;
mod tester;

pub use control::{Heartbeat, Hello, ProxyStatus, Published, Refusal, VersionLoad, WIRE_VERSION};
pub use exposure::{EXPOSURE_VERSION, ExposureRecord, ExposureSource, ExposureStatus};
pub use flags::{
    AskContexts, FlagDocument, FlagKill, FlagStatus, FlagStream, FlagToken, FlagTokenKind,
    FlagsKilled, FlagsTaken, KeylessGuard,
};
pub use flags_file::FlagsFile;
pub use generation::{
    Generation, Instance, JournalEntry, LostControl, LostControlThen, RouteMatch, RoutePattern,
    ServiceRoute, StickySource, Upstream, UpstreamPart, UpstreamTls,
};
pub use hand_over::{
    FOLLOWS_FLAGS_VERSION, FromLeader, HAND_OVER_VERSION, HandedFile, ToLeader, Yours,
};
pub use left_kill::LeftKill;
pub use slices::{SliceAck, SliceBatch, StampedSlice};
pub use state_file::{STATE_FILE_VERSION, StateFile, StateFileError};
pub use take_back::{TakeBack, TakenBack, TookBack};
pub use tester::{TESTER_NAME, TesterGrant, TesterKey};
