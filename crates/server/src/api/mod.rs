//! The HTTP interface: `/api/v1`, probes, metrics and the page.
//!
//! Handlers translate and nothing else; what may be done is decided by the engine. Who
//! may do it stands in one table ([`scopes`]): an endpoint that is not in it answers
//! nobody. A browser is known by a cookie that goes to this site alone, and asks for more than
//! looking only with what this site's page knows. Deliberately absent: CORS.

mod answer;
mod audit;
mod backup;
mod browser;
mod commands;
mod count;
mod door;
mod dora;
mod events;
mod flags;
mod inbox;
mod kill;
mod links;
mod logs;
mod notifications;
mod openapi;
mod page;
mod plans;
mod probes;
mod recording;
#[cfg(test)]
mod reference;
mod releases;
mod reports;
mod rollouts;
mod routes;
mod scopes;
mod series;
mod services;
mod sessions;
mod state;
mod stream;
mod tokens;

#[cfg(test)]
mod tests;

/// The bodies of requests and answers, for programs that speak to the server.
pub mod body {
    pub use super::audit::{AuditView, DamageView};
    pub use super::backup::{BackUpState, BackedUp};
    pub use super::commands::{Asked, ItemRequest, Reason, SignOffRequest};
    pub use super::events::EventView;
    pub use super::flags::{
        AppliedView, ApplyFlags, ArrivedView, ChangeFlags, ChangedView, DelaysView, DeleteFlag,
        ExplainFlag, ExplainedView, ExposuresView, FlagEntryView, FlagHere, FlagNeeds, FlagRow,
        FlagStreamView, FlagView, FlagsKilledView, FlagsLiftedView, FlagsView, GrantTester,
        GrantedView, GuardTroubleKind, GuardTroubleView, ImportEnv, ImportedView, KillFlags,
        MeasuredView, PropagationView, RevertFlags, TesterGrantView, TurnedHere, VariantWho,
        WhoView, WhoWouldChange, WouldChangeView,
    };
    pub use super::inbox::{InboxEntryView, InboxView};
    pub use super::links::{CreateLink, CreatedLink};
    pub use super::logs::{LogKind, LogText, LogView};
    pub use super::notifications::{
        ChannelView, DeadLetterView, NotificationsView, TestNotification, Tested,
    };
    pub use super::plans::{CheckPlan, CheckedPlan};
    pub use super::recording::PastTraffic;
    pub use super::releases::{Conflict, StartRelease, Started};
    pub use super::services::{CanReturn, Me};
    pub use super::sessions::Login;
    pub use super::stream::{EndView, TrafficView};
    pub use super::tokens::{CreateToken, CreatedToken, FlagScope, FlagTokenFor, TokenView};
    pub use crate::dora::{Dora, DoraFigures, PerWeek};
    pub use crate::flags::{SinkView, StandingView};
    pub use crate::kill::Killed;
    pub use crate::links::LinkAction;
    pub use crate::rollouts::{
        CheckRollout, LowerRollout, Lowered, OfFlag, RolloutState, RunningRollout,
    };
}

pub use audit::verify_folder;
pub(crate) use door::Door;
pub(crate) use routes::router;
pub(crate) use state::ApiState;
