//! A release as the fold of its events, and a service as the fold of its own.
//!
//! Pure. State changes only through [`Release::apply`] and [`Service::apply`]; an
//! event that cannot follow is refused, so that replay gives the same state on
//! every machine. What to do next is the engine's business, not this crate's.

mod event;
mod fold;
mod phase;
mod release;
mod service;
mod source;
mod task;

pub use event::{
    Because, DialEvidence, Event, Evidence, ItemDone, Reached, Requested, ReturnCause, Returned,
    SignOff,
};
pub use phase::Phase;
pub use release::{
    Ended, Exposure, HoldState, Illegal, Pause, Release, Return, StageRecord, TaskState,
};
pub use service::{
    Deployed, DeployedComponent, InstanceRecord, Service, ServiceEvent, ServiceIllegal, Warm,
    upstream_address,
};
pub use source::{Commit, Source};
pub use task::{Task, TaskEnd, TaskParseError};
