//! Where a release stands. One way forward, one way back.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The artifact is hashed and stored.
    Preparing,
    /// Checks that need no canary, and sign-offs.
    Preflight,
    /// The plan's steps before the canary starts.
    Before,
    /// All components are started.
    Deploying,
    /// Checks that ask the running canary.
    CanaryChecks,
    /// One of the plan's stages, by index.
    Stage(usize),
    /// The plan's steps at 100 %.
    After,
    /// Workers and singletons change hands, the canary becomes stable.
    HandOver,
    /// The canary is stable; the version before may be warm.
    Promoted,
    /// Shares go back to the version before.
    Lowering,
    /// Workers and singletons go back.
    HandingBack,
    /// The canary's instances drain and stop. Before the undos: a request that is
    /// still answered by the canary must not meet a schema that is gone already.
    Stopping,
    /// Undo commands, in reverse order.
    Undoing,
    /// Over.
    Ended,
}

impl Phase {
    /// Whether the release goes back or has gone back.
    #[must_use]
    pub const fn is_returning(self) -> bool {
        matches!(
            self,
            Self::Lowering | Self::HandingBack | Self::Stopping | Self::Undoing | Self::Ended
        )
    }

    /// Whether nothing moves any more without a person.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Promoted | Self::Ended)
    }

    /// Whether `to` may follow directly, given the plan's number of stages.
    #[must_use]
    pub fn may_advance_to(self, to: Self, stages: usize) -> bool {
        match (self, to) {
            (Self::Preparing, Self::Preflight)
            | (Self::Preflight, Self::Before)
            | (Self::Before, Self::Deploying)
            | (Self::Deploying, Self::CanaryChecks)
            | (Self::After, Self::HandOver)
            | (Self::HandOver, Self::Promoted)
            | (Self::Lowering, Self::HandingBack)
            | (Self::HandingBack, Self::Stopping)
            | (Self::Stopping, Self::Undoing) => true,
            // A first deployment and a person may pass over stages, never go back.
            (Self::CanaryChecks, Self::Stage(to)) => to < stages,
            (Self::Stage(from), Self::Stage(to)) => from < to && to < stages,
            (Self::Stage(last), Self::After) => last + 1 == stages,
            _ => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preparing => f.write_str("preparing"),
            Self::Preflight => f.write_str("preflight"),
            Self::Before => f.write_str("before"),
            Self::Deploying => f.write_str("deploying"),
            Self::CanaryChecks => f.write_str("canary checks"),
            Self::Stage(index) => write!(f, "stage {}", index + 1),
            Self::After => f.write_str("after"),
            Self::HandOver => f.write_str("hand-over"),
            Self::Promoted => f.write_str("promoted"),
            Self::Lowering => f.write_str("returning users"),
            Self::HandingBack => f.write_str("handing back"),
            Self::Undoing => f.write_str("undoing"),
            Self::Stopping => f.write_str("stopping the canary"),
            Self::Ended => f.write_str("ended"),
        }
    }
}
