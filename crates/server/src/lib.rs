//! Runs what the engine decides, and speaks to people and programs.
//!
//! One actor a service owns its streams. Nothing is decided here that the pure crates
//! could decide: the actors carry state to the engine, its answers to the store and
//! the world, and the world's answers back.

mod actor;
mod api;
mod app;
mod auth;
mod backoff;
mod clock;
mod counted;
mod dataplane;
mod dora;
mod error;
mod figures;
mod flags;
mod holder;
mod judging;
mod kill;
mod links;
mod listen;
mod live;
mod notify;
mod page;
mod proof;
mod proxy_keeper;
mod recording;
pub mod report;
mod rollouts;
mod routing;
mod series;
mod serve;
mod service_manager;
mod source;
mod view;
mod world;

pub use api::{body, verify_folder};
pub use app::{App, Ask, AskStart};
pub use error::{ApiError, ErrorKind};
pub use figures::{LatencyMs, Percent};
pub use flags::{NoSql, SqlByHand, check_sinks, sink_by_hand};
pub use kill::proxy_socket_path;
pub use listen::socket_path;
pub use live::VersionTraffic;
pub use notify::check as check_notify;
pub use series::{Bucket, Mark, MarkKind, Series, Side};
pub use serve::{ServeConfig, ServeError, serve};
pub use source::{CommitView, SourceView};
pub use view::{
    InstanceView, ItemView, ReachedView, ReleaseView, ServiceView, SignOffView, StageView,
    TaskView, VersionView, WarmView,
};
