//! A set with what a file says in it. It goes by the text of the file: what is not
//! written there stays as it is, also where the format has a value for what is missing.

use crate::definition::FlagSet;
use crate::diff::{Change, diff};
use crate::fields::is_merged;
use crate::problem::Problem;
use serde_json::{Map, Value};

impl FlagSet {
    /// The set with every field that `given` writes, at the same revision. Flags are
    /// merged field by field, their environments and overrides one by one; lists of
    /// rules, variants, segments and all else are taken over whole. `null` takes a field
    /// away. Names and values are checked by [`crate::validate`].
    ///
    /// # Errors
    /// Every field that does not exist or has another shape.
    pub fn merged(&self, given: &Value) -> Result<Self, Vec<Problem>> {
        let mut json = self.to_json();
        merge(&mut Vec::new(), &mut json, given);
        let mut set = Self::read(&json)?;
        if !given.get("environments").is_some_and(Value::is_null) {
            set.environments.extend(self.environments.iter().cloned());
        }
        set.revision = self.revision;
        Ok(set)
    }
}

fn merge(at: &mut Vec<String>, stored: &mut Value, given: &Value) {
    // What has another shape is refused when the whole is read.
    if !(stored.is_object() && given.is_object()) {
        *stored = given.clone();
    }
    let (Value::Object(fields), Value::Object(given)) = (stored, given) else {
        return;
    };
    for (key, value) in given {
        at.push(key.clone());
        match value {
            Value::Null => {
                fields.remove(key);
            }
            Value::Object(_) if is_merged(at) => {
                let stored = fields.entry(key.clone());
                let stored = stored.or_insert_with(|| Value::Object(Map::new()));
                merge(at, stored, value);
            }
            _ => {
                fields.insert(key.clone(), value.clone());
            }
        }
        at.pop();
    }
}

/// What a file would set back unseen: the changes from `now` to `wanted` of fields that
/// are not what they were when it was `read`.
#[must_use]
pub fn overwritten(read: &FlagSet, now: &FlagSet, wanted: &FlagSet) -> Vec<Change> {
    let then = read.to_json();
    let mut changes = diff(now, wanted);
    // Who only declares more environments takes none away.
    if wanted.environments.is_superset(&now.environments) {
        changes.retain(|change| change.path != "/environments");
    }
    changes.retain(|change| then.pointer(&change.path) != change.before.as_ref());
    changes
}
