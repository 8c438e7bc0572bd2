//! Changes of single fields by compare-and-set: all of them, or none.

use crate::compile::validate;
use crate::definition::FlagSet;
use crate::diff::Change;
use crate::fields::{is_part, steps};
use crate::problem::{Problem, ProblemCode, escaped};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields to change together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Patch {
    /// The revision that was read. The set may have moved on since: others' changes of
    /// other fields stay.
    pub revision: u64,
    /// The fields, each with what was read as `before`, which it must still be. A path
    /// is a JSON pointer to a member of an object. Objects that are nothing but the place
    /// of their members, such as the overrides for tenants, come and go with them; what
    /// else stands above must exist.
    pub changes: Vec<Change>,
}

impl Patch {
    /// The patch that takes this one back, for the revision that it led to. Where an
    /// object came with its first member, the member alone goes: others may have come
    /// since, and stay.
    #[must_use]
    pub fn inverse(&self, revision: u64) -> Self {
        let turned = self.changes.iter().rev().map(|change| Change {
            path: change.path.clone(),
            before: change.after.clone(),
            after: change.before.clone(),
        });
        Self {
            revision,
            changes: turned.flat_map(members).collect(),
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
            if let Err(problem) = change_field(&mut json, change) {
                problems.push(problem);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut set = Self::read(&json)?;
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

/// A change of an object that came or went with its members, as changes of those.
fn members(change: Change) -> Vec<Change> {
    let (all, comes) = match (&change.before, &change.after) {
        (None, Some(Value::Object(all))) => (all, true),
        (Some(Value::Object(all)), None) => (all, false),
        _ => return vec![change],
    };
    if all.is_empty() || !is_part(&steps(&change.path)) {
        return vec![change];
    }
    let member = |(key, value): (&String, &Value)| Change {
        path: format!("{}/{}", change.path, escaped(key)),
        before: (!comes).then(|| value.clone()),
        after: comes.then(|| value.clone()),
    };
    all.iter().map(member).flat_map(members).collect()
}

/// Changes a field, with the objects above it that come and go with their members.
fn change_field(json: &mut Value, change: &Change) -> Result<(), Problem> {
    let steps = steps(&change.path);
    let above = steps.split_last().map_or(&[][..], |(_, above)| above);
    make_parts(json, above);
    set_field(json, change)?;
    clear_parts(json, above, 0);
    Ok(())
}

fn make_parts(json: &mut Value, above: &[String]) {
    let mut at = json;
    for (i, key) in above.iter().enumerate() {
        let Value::Object(fields) = at else { return };
        if is_part(&above[..=i]) && !fields.contains_key(key) {
            fields.insert(key.clone(), Value::Object(Map::new()));
        }
        match fields.get_mut(key) {
            Some(below) => at = below,
            None => return,
        }
    }
}

/// Clears what is empty on the way, the deepest first.
fn clear_parts(at: &mut Value, above: &[String], depth: usize) {
    let (Some(key), Value::Object(fields)) = (above.get(depth), at) else {
        return;
    };
    if let Some(below) = fields.get_mut(key) {
        clear_parts(below, above, depth + 1);
        let empty = below.as_object().is_some_and(Map::is_empty);
        if empty && is_part(&above[..=depth]) {
            fields.remove(key);
        }
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
    if let Some(missing) = missing_object(json, above) {
        return Err(nowhere(format!(
            "there is no object at {missing:?} to change"
        )));
    }
    let Some(Value::Object(parent)) = json.pointer_mut(above) else {
        return Err(nowhere("there is no object to change".to_owned()));
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

/// The first on the way to `above` that is no object.
fn missing_object<'p>(json: &Value, above: &'p str) -> Option<&'p str> {
    let ends = above.match_indices('/').skip(1).map(|(at, _)| at);
    let mut prefixes = ends.chain([above.len()]).filter_map(|end| above.get(..end));
    prefixes.find(|prefix| !json.pointer(prefix).is_some_and(Value::is_object))
}
