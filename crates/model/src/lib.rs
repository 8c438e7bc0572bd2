//! The words every part of esclusa shares: ids, units, outcomes, envelopes.
//!
//! Pure: no I/O, no clock, no randomness. Whatever has a unit has a type here,
//! so that a percentage is never mistaken for a duration or a raw float.

mod check;
mod digest;
mod envelope;
mod generation;
mod ids;
mod outcome;
mod share;
mod time;
mod version;

pub use check::{CheckResult, CheckStatus};
pub use digest::{Digest, DigestError};
pub use envelope::{ChainError, ENVELOPE_VERSION, Envelope, GENESIS_HASH, verify_chain};
pub use generation::{Epoch, GenerationId};
pub use ids::{
    Actor, BootId, ComponentName, IdError, InstanceId, ProxyId, ReleaseId, Salt, ServiceName,
    StreamId, VersionName,
};
pub use outcome::Outcome;
pub use share::{BasisPoints, Fraction, ShareError};
pub use time::{Millis, TimeError, Timestamp};
pub use version::{ComponentKind, Track, VersionRef};
