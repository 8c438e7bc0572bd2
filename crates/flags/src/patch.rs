//! Changes of single fields by compare-and-set: all of them, or none.

use crate::compile::validate;
use crate::definition::FlagSet;
use crate::diff::Change;
use crate::problem::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Fields to change together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Patch {
    /// The revision that was read. The set may have moved on since: others' changes of
    /// other fields stay.
    pub revision: u64,
    /// The fields, each with what was read as `before`, which it must still be. A path
    /// is a JSON pointer to a member of an object; its parents must exist.
    pub changes: Vec<Change>,
}

impl Patch {
    /// The patch that takes this one back, for the revision that it led to.
    #[must_use]
    pub fn inverse(&self, revision: u64) -> Self {
        let turned = self.changes.iter().rev().map(|change| Change {
            path: change.path.clone(),
            before: change.after.clone(),
            after: change.before.clone(),
        });
        Self {
            revision,
            changes: turned.collect(),
        }
    }
}

impl FlagSet {
    /// The set after a patch, one revision on.
    ///
    /// # Errors
    /// Every field that somebody else changed, that does not exist, or that would make
    /// the set invalid; then nothing is changed.
    pub fn patched(&self, patch: &Patch) -> Result<Self, Vec<Problem>> {
        let mut json = self.to_json();
        let mut problems = Vec::new();
        if patch.revision > self.revision {
            let (read, is) = (patch.revision, self.revision);
            problems.push(problem(
                "/revision",
                ProblemCode::Conflict,
                format!("revision {read} was read, but this is only {is}"),
            ));
        }
        for change in &patch.changes {
            if let Err(problem) = set_field(&mut json, change) {
                problems.push(problem);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut set = Self::from_json(json).map_err(|problem| vec![problem])?;
        set.revision = self.revision + 1;
        let problems = validate(&set);
        match problems.is_empty() {
            true => Ok(set),
            false => Err(problems),
        }
    }

    /// The patch that makes this set into `wanted`.
    #[must_use]
    pub fn patch_to(&self, wanted: &Self) -> Patch {
        Patch {
            revision: self.revision,
            changes: crate::diff::diff(self, wanted),
        }
    }
}

/// Makes changes to a set that is JSON, as [`FlagSet::to_json`] gives it, without asking
/// whether the result is valid: for changes that were accepted before.
///
/// # Errors
/// Every change whose field is not what it was; the others are made.
pub fn replay(json: &mut Value, changes: &[Change]) -> Result<(), Vec<Problem>> {
    let made = changes.iter().map(|change| set_field(json, change));
    let problems: Vec<Problem> = made.filter_map(Result::err).collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems),
    }
}

fn problem(path: &str, code: ProblemCode, message: String) -> Problem {
    Problem {
        path: path.to_owned(),
        code,
        message,
        hint: None,
    }
}

fn set_field(json: &mut Value, change: &Change) -> Result<(), Problem> {
    let path = change.path.as_str();
    let nowhere = |what: String| problem(path, ProblemCode::Format, what);
    if path == "/revision" {
        return Err(nowhere("a revision counts changes, nobody sets it".into()));
    }
    let Some((above, key)) = path.rsplit_once('/') else {
        return Err(nowhere(
            "a field is named by a JSON pointer, such as /flags".into(),
        ));
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    let Some(Value::Object(parent)) = json.pointer_mut(above) else {
        return Err(nowhere(format!(
            "there is no object at {above:?} to change"
        )));
    };
    let now = parent.get(&key);
    if now != change.before.as_ref() {
        let words = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        let (read, is) = (words(change.before.as_ref()), words(now));
        let message = format!("this was {read} when it was read, and is {is} now");
        return Err(problem(path, ProblemCode::Conflict, message));
    }
    match &change.after {
        Some(value) => parent.insert(key, value.clone()),
        None => parent.remove(&key),
    };
    Ok(())
}
