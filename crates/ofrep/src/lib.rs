//! The data plane's flag server: it answers flags and guards from one document.
//!
//! [`FlagTable::compile`] makes a [`FlagDocument`](esclusa_wire::FlagDocument) ready, with
//! one snapshot an environment. [`Shared`] holds the table in force and the open event
//! streams; whoever gets a new document calls [`Shared::publish`], whoever kills calls
//! [`Shared::merge_kills`]. [`serve`] answers on a listener: OFREP (single, bulk, event
//! streams), forward-auth for other web servers, and `/healthz`.
//!
//! A request reads one table once, so that all of its answers are of one revision. Nothing
//! here writes to a disk: exposures are handed to whoever does ([`Exposures`]). Event streams leave the HTTP library as soon as they begin: a few
//! threads hold their sockets and write to them, and what a stream has not been told yet is
//! never more than the latest state.
//!
//! Not here: where documents and kills come from, keeping them, and the guards of requests
//! that the proxy itself carries, which asks the same [`Guard`]s.

mod access;
mod answer;
mod bulk;
mod conn;
mod context;
mod cors;
mod exposures;
mod forward_auth;
mod guards;
mod hub;
mod io;
mod limits;
mod rate;
mod recent;
mod reply;
mod route;
mod scope;
mod server;
mod shared;
mod single;
mod stream;
mod table;
mod tester;
mod ticket;

pub use exposures::{ExposureNote, Exposures, WAITING};
pub use guards::{ClaimError, Claims, Guard};
pub use hub::Hub;
pub use limits::{Limits, Rate};
pub use scope::watcher_secret;
pub use server::serve;
pub use shared::Shared;
pub use table::FlagTable;

#[doc(hidden)]
pub mod fuzzing {
    //! What property tests feed with arbitrary bytes.
    pub use crate::bulk::fuzz_bulk;
    pub use crate::context::fuzz_single;
}
