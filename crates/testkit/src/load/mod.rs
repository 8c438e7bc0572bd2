//! An open-model load generator over real sockets that counts every request.
//!
//! Requests leave by the clock: late replies do not slow the schedule, as they would
//! not slow a crowd. Nothing is retried; a request that failed is counted as failed.
//! It knows nothing of esclusa but the header in which the demo app names its version.

mod config;
mod connections;
mod jar;
mod report;
mod run;
mod tally;

pub use config::{Arrivals, LoadConfig, Protocol, RequestTemplate, TemplateError};
pub use report::{LoadReport, SecondCount, VersionReport};
pub use run::{Load, LoadHandle};
