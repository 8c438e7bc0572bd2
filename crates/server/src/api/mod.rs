//! The HTTP interface: `/api/v1`, probes, metrics and the page.
//!
//! Handlers translate and nothing else; what may be done is decided by the engine. Who
//! may do it stands in one table ([`scopes`]): an endpoint that is not in it answers
//! nobody. Deliberately absent: cookies and CORS, so that no other page can act for
//! somebody who is logged in here.

mod answer;
mod audit;
mod backup;
mod commands;
mod count;
mod door;
mod events;
mod inbox;
mod kill;
mod notifications;
mod openapi;
mod page;
mod plans;
mod probes;
#[cfg(test)]
mod reference;
mod releases;
mod reports;
mod routes;
mod scopes;
mod services;
mod state;
mod stream;
mod tokens;

#[cfg(test)]
mod tests;

/// The bodies of requests and answers, for programs that speak to the server.
pub mod body {
    pub use super::audit::{AuditView, DamageView};
    pub use super::backup::{BackUpState, BackedUp};
    pub use super::commands::{Asked, Reason, SignOffRequest};
    pub use super::events::EventView;
    pub use super::inbox::{InboxEntryView, InboxView};
    pub use super::notifications::{
        ChannelView, DeadLetterView, NotificationsView, TestNotification, Tested,
    };
    pub use super::plans::{CheckPlan, CheckedPlan};
    pub use super::releases::{Conflict, StartRelease, Started};
    pub use super::services::{CanReturn, Me};
    pub use super::stream::{EndView, TrafficView};
    pub use super::tokens::{CreateToken, CreatedToken, TokenView};
    pub use crate::kill::Killed;
}

pub use audit::verify_folder;
pub(crate) use door::Door;
pub(crate) use routes::router;
pub(crate) use state::ApiState;
