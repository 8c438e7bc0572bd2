//! Flags from environment variables: `FEATURE_*` and `ESCLUSA_FLAGS`.

use crate::compile::{KEY_RULE, is_key};
use crate::definition::{FlagDefinition, FlagSet};
use crate::diff::{Change, diff};
use crate::problem::{Place, Problem, ProblemCode, Problems};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The variable that holds a list, `a=true,b=false`.
pub const LIST_VARIABLE: &str = "ESCLUSA_FLAGS";
/// What the name of a variable for one flag begins with.
pub const FLAG_VARIABLE: &str = "FEATURE_";

/// What a variable for an unknown flag means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// A mistake: nothing is silently off.
    Refuse,
    /// A flag to create. Names in a list are never created.
    Create,
}

/// What an import would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Import {
    /// The set with the variables' values as defaults of the environment.
    pub set: FlagSet,
    /// Flags that are new.
    pub created: Vec<String>,
    /// Where the variables and the set did not agree.
    pub drift: Vec<Change>,
}

/// Whether a variable is there and says nothing: an empty list of flags. `FEATURE_X=` is not
/// among them: it names a flag, and neither turns it on nor off.
#[must_use]
pub fn says_nothing(variable: &str, value: &str) -> bool {
    variable == LIST_VARIABLE && value.split(',').all(|entry| entry.trim().is_empty())
}

/// Reads `a=true,b=false`.
///
/// # Errors
/// Every entry that is no `name=true` or `name=false`, and names that stand twice.
pub fn parse_assignments(text: &str) -> Result<BTreeMap<String, bool>, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut found = BTreeMap::new();
    let root = Place::root(LIST_VARIABLE);
    let entries = text.split(',').map(str::trim);
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        let name = name.trim();
        let place = root.key(name);
        if let Some(value) = switch(&mut problems, &place, value)
            && found.insert(name.to_owned(), value).is_some()
        {
            let message = "the flag is named twice";
            problems.add(&place, ProblemCode::BadName, message);
        }
    }
    match problems.0.is_empty() {
        true => Ok(found),
        false => Err(problems.0),
    }
}

fn switch(problems: &mut Problems, place: &Place<'_>, value: &str) -> Option<bool> {
    match value.trim() {
        "true" => Some(true),
        "false" => Some(false),
        other => {
            let message = format!("{other:?} is neither true nor false");
            problems.add(place, ProblemCode::BadValue, message);
            None
        }
    }
}

/// Takes over all `FEATURE_*` variables and `ESCLUSA_FLAGS` as the defaults of one
/// environment. `FEATURE_JOB_QUEUE` is the flag whose key has the same letters and
/// digits, whatever stands between them: `job_queue`, `job-queue`, `jobQueue`.
/// `ESCLUSA_FLAGS` names keys as they are, and counts more.
///
/// # Errors
/// Every unknown name, ambiguous name, flag that is not boolean, and value that is
/// neither `true` nor `false`.
pub fn import_env<'v>(
    set: &FlagSet,
    environment: &str,
    variables: impl IntoIterator<Item = (&'v str, &'v str)>,
    unknown: Unknown,
) -> Result<Import, Vec<Problem>> {
    let mut problems = Problems::default();
    let (mut created, mut listed) = (Vec::new(), BTreeMap::new());
    let mut said = BTreeMap::new();
    let mut result = set.clone();
    if !result.environments.contains(environment) {
        let place = Place::root("environments");
        let known = set.environments.iter().map(String::as_str);
        let code = ProblemCode::UnknownEnvironment;
        problems.unknown(&place, code, ("environment", environment), known);
    }
    for (variable, value) in variables {
        let place = Place::root(variable);
        if variable == LIST_VARIABLE {
            match parse_assignments(value) {
                Ok(more) => listed = more,
                Err(more) => problems.0.extend(more),
            }
            continue;
        }
        let Some(name) = variable.strip_prefix(FLAG_VARIABLE) else {
            continue;
        };
        let Some(on) = switch(&mut problems, &place, value) else {
            continue;
        };
        let key = match meant(set, name).as_slice() {
            [key] => (*key).to_owned(),
            [] if unknown == Unknown::Create && !name.is_empty() => {
                let key = name.to_ascii_lowercase();
                if !is_key(&key) {
                    let message = format!("{key:?} is no flag's key");
                    problems.add_hint(&place, ProblemCode::BadName, message, KEY_RULE);
                    continue;
                }
                result.flags.insert(key.clone(), FlagDefinition::boolean());
                created.push(key.clone());
                key
            }
            [] => {
                let known = set.flags.keys().map(String::as_str);
                let name = name.to_ascii_lowercase();
                problems.unknown(&place, ProblemCode::UnknownFlag, ("flag", &name), known);
                continue;
            }
            many => {
                let message = format!("this may be each of {}", many.join(", "));
                problems.add(&place, ProblemCode::BadName, message);
                continue;
            }
        };
        if let Some((other, before)) = said.insert(key.clone(), (variable, on))
            && before != on
        {
            let message = format!("{other} says the opposite of the same flag, {key:?}");
            problems.add(&place, ProblemCode::BadValue, message);
        }
        assign(&mut problems, &place, &mut result, environment, &key, on);
    }
    let root = Place::root(LIST_VARIABLE);
    for (key, on) in &listed {
        let place = root.key(key);
        assign(&mut problems, &place, &mut result, environment, key, *on);
    }
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    let drift = diff(set, &result);
    result.revision += u64::from(!drift.is_empty());
    Ok(Import {
        set: result,
        created,
        drift,
    })
}

/// The flags whose keys have these letters and digits.
fn meant<'f>(set: &'f FlagSet, name: &str) -> Vec<&'f str> {
    let plain = |text: &str| -> String {
        let kept = text.chars().filter(char::is_ascii_alphanumeric);
        kept.map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = plain(name);
    let keys = set.flags.keys().map(String::as_str);
    keys.filter(|key| !wanted.is_empty() && plain(key) == wanted)
        .collect()
}

fn assign(
    problems: &mut Problems,
    place: &Place<'_>,
    set: &mut FlagSet,
    environment: &str,
    key: &str,
    on: bool,
) {
    let Some(flag) = set.flags.get_mut(key) else {
        let known = set.flags.keys().map(String::as_str);
        problems.unknown(place, ProblemCode::UnknownFlag, ("flag", key), known);
        return;
    };
    let variants = flag.effective_variants();
    let wanted = variants.iter().find(|(_, v)| **v == Value::Bool(on));
    let Some((variant, _)) = wanted else {
        let message = format!(
            "{key:?} has no variant that is {on}: it is of type {}",
            flag.ty
        );
        problems.add(place, ProblemCode::BadValue, message);
        return;
    };
    let stored = flag.environments.get(environment);
    let stored = stored.and_then(|settings| settings.default.as_ref());
    let default = flag.default.as_ref().unwrap_or(&flag.off);
    // What the flag serves anyway is no drift.
    if stored.unwrap_or(default) != variant {
        let settings = flag.environments.entry(environment.to_owned());
        settings.or_default().default = Some(variant.clone());
    }
}
