//! Feature flags for Rust services: what an esclusa data plane, or any other server that
//! speaks OFREP, answers, kept close at hand.
//!
//! ```
//! use esclusa_client::{Client, Config, Context};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::start(Config::new("http://127.0.0.1:8016")?)?;
//! let context = Context::of("ana@example.com").tenant("acme");
//! // The last argument is the safe value: what holds when nothing else is known.
//! if client.get("exec-reports", &context, false).await {
//!     // the new path
//! }
//! # Ok(()) }
//! ```
//!
//! An answer is asked for once and kept. The server's event stream says when answers have
//! changed; where there is no stream, the server is polled. **A known answer is never waited
//! for**: it is given at once, and renewed behind the scenes. An unknown one is waited for
//! as long as [`Config::timeout`] says and no longer. Where the server cannot be asked, the
//! last known value counts, also one from the disk ([`Config::disk`]), and then the safe
//! value that the caller names. Nothing here panics.
//!
//! - [`Client`] asks, [`State`] says how good its answers are.
//! - [`Provider`] is the same behind OpenFeature's Rust SDK.
//! - [`GuardLayer`] stands before routes of a tower service.
//!
//! Not here: evaluating flags without a server. The server decides, this crate remembers.

mod answer;
mod cache;
mod client;
mod config;
mod context;
mod core;
mod disk;
mod feed;
mod guard;
mod ofrep;
#[cfg(feature = "open-feature")]
mod provider;
mod sse;
mod state;

pub use answer::{Answer, Details, Failure, FlagError, FromFlag, Origin};
pub use client::{Client, StartError};
pub use config::{Config, ConfigError};
pub use context::Context;
pub use guard::{FEATURE_HEADER, Feature, Guard, GuardLayer, GuardService, Route, RouteError};
#[cfg(feature = "open-feature")]
pub use provider::Provider;
pub use state::State;
