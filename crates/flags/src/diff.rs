//! What two sets of flags differ in, field by field.

use crate::definition::FlagSet;
use crate::problem::escaped;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Change {
    /// The field, as a JSON pointer.
    pub path: String,
    /// What it was; `None` when it was not there.
    #[serde(default)]
    pub before: Option<Value>,
    /// What it is; `None` when it is not there.
    #[serde(default)]
    pub after: Option<Value>,
}

/// Every field that differs, in the order of the paths; the revision aside. Lists, such
/// as rules, are one field: their order is part of their meaning.
#[must_use]
pub fn diff(old: &FlagSet, new: &FlagSet) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut old, mut new) = (old.clone(), new.clone());
    (old.revision, new.revision) = (0, 0);
    compare(
        String::new(),
        Some(&old.to_json()),
        Some(&new.to_json()),
        &mut changes,
    );
    changes
}

fn compare(path: String, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = format!("{path}/{}", escaped(key));
                compare(path, a.get(key), b.get(key), changes);
            }
        }
        (old, new) if old == new => {}
        (old, new) => changes.push(Change {
            path,
            before: old.cloned(),
            after: new.cloned(),
        }),
    }
}

/// One line for people.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "+ {}: {after}", self.path),
            (Some(before), None) => write!(f, "- {}: {before}", self.path),
            (Some(before), Some(after)) => write!(f, "~ {}: {before} -> {after}", self.path),
            (None, None) => write!(f, "  {}", self.path),
        }
    }
}
