//! Flags one by one: what they are, whom they serve what, and what became of them.

pub(super) mod delete;
mod guards;
pub(super) mod kill;
pub(super) mod looks;
pub(crate) mod measured;
pub(super) mod set;
mod stale;
pub(super) mod testers;
mod views;

pub use guards::{GuardTroubleKind, GuardTroubleView};
pub use measured::{ArrivedView, DelaysView, MeasuredView};
pub use views::{
    AppliedView, ApplyFlags, ChangeFlags, ChangedView, DeleteFlag, ExplainFlag, ExplainedView,
    ExposuresView, FlagEntryView, FlagHere, FlagNeeds, FlagRow, FlagStreamView, FlagView,
    FlagsKilledView, FlagsLiftedView, FlagsView, GrantTester, GrantedView, ImportEnv, ImportedView,
    KillFlags, PropagationView, RevertFlags, TesterGrantView, TurnedHere, VariantWho, WhoView,
    WhoWouldChange, WouldChangeView,
};

use crate::error::{ApiError, ErrorKind};
use esclusa_flags::FlagSet;

/// No such environment, with those there are.
pub(super) fn no_environment(set: &FlagSet, name: &str) -> ApiError {
    let known: Vec<&str> = set.environments.iter().map(String::as_str).collect();
    let help = match known.is_empty() {
        true => "no environment is declared yet: see `esclusa flag apply`".to_owned(),
        false => format!("known are {}", known.join(", ")),
    };
    let message = format!("there is no environment {name:?} of flags");
    ApiError::new(ErrorKind::NotFound, "ESC-0743", message, help)
}

/// The environment that is meant: the one that is named, or the only one there is.
fn environment(set: &FlagSet, named: Option<&str>) -> Result<String, ApiError> {
    match (named, set.environments.len()) {
        (Some(name), _) if set.environments.contains(name) => Ok(name.to_owned()),
        (Some(name), _) => Err(no_environment(set, name)),
        (None, 0) => Ok(String::new()),
        (None, 1) => Ok(set.environments.first().cloned().unwrap_or_default()),
        (None, _) => {
            let mut error = no_environment(set, "");
            error.message = "there are several environments of flags, and none is named".into();
            Err(error)
        }
    }
}
