//! Flags from the server's own environment variables, at its start.
//!
//! A name that no flag has, or a value that is neither true nor false, is an error: nothing
//! is silently off. What nobody has decided is set. What somebody has decided since stays
//! as it is, and is reported: a restart turns nothing on again.

use super::Flags;
use crate::error::{ApiError, ErrorKind};
use esclusa_flags::{
    Change, FLAG_VARIABLE, LIST_VARIABLE, Problem, Unknown, import_env, says_nothing,
};
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
    /// Those among all variables that say something of flags.
    pub(crate) fn among(
        all: impl IntoIterator<Item = (String, String)>,
        environment: Option<String>,
    ) -> Self {
        let ours = |(name, value): &(String, String)| {
            let speaks = name == LIST_VARIABLE || name.starts_with(FLAG_VARIABLE);
            speaks && !says_nothing(name, value)
        };
        Self {
            variables: all.into_iter().filter(ours).collect(),
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
        let names: Vec<&str> = asked.variables.keys().map(String::as_str).collect();
        let names = names.join(", ");
        let set = self.set()?;
        let environment = match (&asked.environment, set.environments.len()) {
            (Some(name), _) => name.clone(),
            (None, 1) => set.environments.first().cloned().unwrap_or_default(),
            (None, 0) => {
                let why = "no environment of flags is declared yet";
                return Err(wrong(&format!("{names}: {why}"), &later(&names)));
            }
            (None, _) => {
                let why = "it is not said of which environment";
                let known: Vec<&str> = set.environments.iter().map(String::as_str).collect();
                let help = format!(
                    "name the environment with --flags-environment ({}), or unset {names}",
                    known.join(", ")
                );
                return Err(wrong(&format!("{names}: {why}"), &help));
            }
        };
        let variables = asked.variables.iter();
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
        let import = import_env(&set, &environment, variables, Unknown::Refuse);
        let import =
            import.map_err(|problems| refused_variables(&problems, &later(&named(&problems))))?;
        let (open, drift): (Vec<Change>, Vec<Change>) =
            import.drift.into_iter().partition(|c| c.before.is_none());
        if !open.is_empty() {
            let mut patch = esclusa_flags::Patch {
                revision: set.revision,
                changes: open,
            };
            patch.changes.sort_by(|a, b| a.path.cmp(&b.path));
            let by = Actor::new("environment")
                .map_err(|error| wrong(&error.to_string(), &later(&names)))?;
            self.change(patch, "from the server's environment variables", &by)
                .await?;
        }
        Ok(drift)
    }
}

/// What can be done while the server does not start.
fn later(names: &str) -> String {
    format!(
        "mend {names}; or unset it, start without it, define flags and environment with \
         `esclusa flag apply`, and set it again"
    )
}

/// What is wrong with variables, each by its name.
pub(crate) fn refused_variables(problems: &[Problem], help: &str) -> ApiError {
    let first = problems.first().map(|problem| {
        let hint = problem.hint.as_deref();
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", variable(&problem.path), problem.message)
    });
    let mut message = first.unwrap_or_default();
    if problems.len() > 1 {
        message.push_str(&format!(", and {} more", problems.len() - 1));
    }
    let mut error = wrong(&message, help);
    let details = problems.iter().map(|problem| {
        let mut detail = serde_json::to_value(problem).unwrap_or_default();
        detail["variable"] = variable(&problem.path).into();
        detail
    });
    error.details = details.collect();
    error
}

/// The names of those that are wrong, each once.
fn named(problems: &[Problem]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in problems.iter().map(|problem| variable(&problem.path)) {
        let name = name.split(", ").next().unwrap_or_default().to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// `/ESCLUSA_FLAGS/exec` as `ESCLUSA_FLAGS, exec`.
fn variable(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1);
    let parts: Vec<String> = parts
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    match parts.join(", ") {
        // The one place that is no variable.
        name if name == "environments" => "--flags-environment".to_owned(),
        name => name,
    }
}

fn wrong(message: &str, help: &str) -> ApiError {
    let message = format!("variables of flags are not usable: {message}");
    ApiError::new(ErrorKind::BadInput, "ESC-0746", message, help)
}
