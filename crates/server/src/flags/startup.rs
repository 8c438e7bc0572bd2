//! Flags from the server's own environment variables, at its start.
//!
//! A name that no flag has, or a value that is neither true nor false, is an error: nothing
//! is silently off. What nobody has decided is set. What somebody has decided since stays
//! as it is, and is reported: a restart turns nothing on again.

use super::Flags;
use crate::error::{ApiError, ErrorKind};
use esclusa_flags::{Change, FLAG_VARIABLE, LIST_VARIABLE, Unknown, import_env};
use esclusa_model::Actor;
use std::collections::BTreeMap;

/// The variables, and the environment that they speak of.
#[derive(Debug, Clone, Default)]
pub(crate) struct StartVariables {
    pub variables: BTreeMap<String, String>,
    /// The environment of flags; the only one there is without.
    pub environment: Option<String>,
}

impl StartVariables {
    /// Those among all variables that speak of flags.
    pub(crate) fn among(
        all: impl IntoIterator<Item = (String, String)>,
        environment: Option<String>,
    ) -> Self {
        let ours = |name: &str| name == LIST_VARIABLE || name.starts_with(FLAG_VARIABLE);
        Self {
            variables: all.into_iter().filter(|(name, _)| ours(name)).collect(),
            environment,
        }
    }
}

impl Flags {
    /// Takes up the variables; gives where the set differs from them.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) async fn take_variables(
        &self,
        asked: &StartVariables,
    ) -> Result<Vec<Change>, ApiError> {
        if asked.variables.is_empty() {
            return Ok(Vec::new());
        }
        let set = self.set()?;
        let environment = match (&asked.environment, set.environments.len()) {
            (Some(name), _) => name.clone(),
            (None, 1) => set.environments.first().cloned().unwrap_or_default(),
            (None, _) => {
                return Err(wrong(
                    "it is not said of which environment the variables FEATURE_* and \
                     ESCLUSA_FLAGS speak",
                ));
            }
        };
        let variables = asked.variables.iter();
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
        let import = import_env(&set, &environment, variables, Unknown::Refuse);
        let import = import.map_err(|problems| {
            let mut error = super::refused(&problems);
            error.message = wrong(&error.message).message;
            error.code = WRONG.into();
            error.help = HELP.into();
            error
        })?;
        let (open, drift): (Vec<Change>, Vec<Change>) =
            import.drift.into_iter().partition(|c| c.before.is_none());
        if !open.is_empty() {
            let mut patch = esclusa_flags::Patch {
                revision: set.revision,
                changes: open,
            };
            patch.changes.sort_by(|a, b| a.path.cmp(&b.path));
            let by = Actor::new("environment").map_err(|error| wrong(&error.to_string()))?;
            self.change(patch, "from the server's environment variables", &by)
                .await?;
        }
        Ok(drift)
    }
}

const WRONG: &str = "ESC-0746";
const HELP: &str = "mend or unset the variable, define its flag with `esclusa flag apply` first, \
                    or name the environment with --flags-environment";

fn wrong(message: &str) -> ApiError {
    let message = format!("variables of flags are not usable: {message}");
    ApiError::new(ErrorKind::BadInput, WRONG, message, HELP)
}
