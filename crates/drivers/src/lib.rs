//! The outside world: what runs versions, turns traffic, answers checks and tells people.
//!
//! One folder a kind, each with its trait, its registry and its part of the
//! [`Catalog`]; a new adapter is one file and one line there. Drivers do what they are
//! told and tell what they see. When, how much and why is decided elsewhere; nothing
//! here remembers a release.

pub mod check;
mod clock;
mod context;
mod error;
mod fields;
mod findings;
mod http;
mod kept_log;
mod lasting;
mod mask;
pub mod metrics;
pub mod notify;
mod probe;
mod proc;
pub mod run;
mod secret;
pub mod sink;
mod step;
mod template;
pub mod traffic;

pub use context::Identity;
pub use error::{DriverError, Fault, Retry};
pub use esclusa_plan::Placeholders;
pub use kept_log::{KeptLog, LogPart};
pub use lasting::{LastingEnd, LastingStep};
pub use step::{StepEnd, StepOutcome, StepRun, run_step};
pub use template::fill_words;

use esclusa_plan::Catalog;

/// Every driver of this program, for the plan to be checked against.
#[must_use]
pub fn catalog() -> Catalog {
    Catalog {
        run: run::entries(),
        traffic: traffic::entries(),
        check: check::entries(),
        metric: metrics::entries(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_unique_within_their_kind() {
        let catalog = super::catalog();
        for entries in [
            &catalog.run,
            &catalog.traffic,
            &catalog.check,
            &catalog.metric,
        ] {
            let mut names: Vec<&str> = entries.iter().map(|e| e.name.as_str()).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert!(all > 0 && names.len() == all, "{names:?}");
        }
    }
}
