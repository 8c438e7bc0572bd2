//! Demo services: a small shop over HTTP, a worker, a singleton; each a version with
//! a behaviour of its own, so that good and bad releases can be shown and tested.

mod behaviour;
mod singleton;
mod web;
mod worker;

pub use behaviour::{Answer, Behaviour, BehaviourKind, FailAfter, Verdict};
pub use singleton::{ActiveMarker, VIOLATIONS_FILE};
pub use web::{CONTROL_PREFIX, DemoApp, VERSION_HEADER, WebConfig};
pub use worker::{WorkerConfig, WorkerError, WorkerKind, run_worker};
