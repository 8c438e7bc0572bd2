//! Who would get another answer, before a change is made.

use crate::answer::FlagReason;
use crate::context::{AttributeValue, ContextBuffer};
use crate::definition::FlagSet;
use crate::snapshot::Snapshot;
use crate::value::FlagValue;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A context whose answer changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Changed {
    /// The context's place in the list that was asked about.
    pub context: usize,
    /// The flag.
    pub flag: String,
    /// The answer so far; `None` when there was no such flag.
    pub before: Option<Outcome>,
    /// The answer then; `None` when there is no such flag any more.
    pub after: Option<Outcome>,
}

/// An answer that outlives its snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The variant.
    pub variant: String,
    /// Its value.
    pub value: FlagValue,
    /// OpenFeature's reason.
    pub reason: FlagReason,
}

/// Every answer that differs in variant or value between two snapshots, over a list of
/// contexts. Reasons alone make no difference.
#[must_use]
pub fn who_would_change(
    old: &Snapshot,
    new: &Snapshot,
    contexts: &[Map<String, Value>],
) -> Vec<Changed> {
    let keys: BTreeSet<&str> = old.keys.iter().chain(new.keys.iter()).collect();
    let mut changed = Vec::new();
    let (mut old_buffer, mut new_buffer) = (ContextBuffer::default(), ContextBuffer::default());
    for (place, values) in contexts.iter().enumerate() {
        let mut before = old.context_in(old_buffer);
        let mut after = new.context_in(new_buffer);
        before.set_all(values);
        after.set_all(values);
        for key in &keys {
            let (a, b) = (before.evaluate(key), after.evaluate(key));
            if (a.variant, a.value) != (b.variant, b.value) {
                changed.push(Changed {
                    context: place,
                    flag: (*key).to_owned(),
                    before: outcome(&a),
                    after: outcome(&b),
                });
            }
        }
        (old_buffer, new_buffer) = (before.into_buffer(), after.into_buffer());
    }
    changed
}

fn outcome(answer: &crate::answer::Answer<'_>) -> Option<Outcome> {
    Some(Outcome {
        variant: answer.variant?.to_owned(),
        value: answer.value?.clone(),
        reason: answer.reason,
    })
}

/// How many of the people whom a set names have a flag's variant: members of segments by name,
/// and those with a setting of their own. Whom nobody named is not counted.
#[must_use]
pub fn named_people_with(set: &FlagSet, snapshot: &Snapshot, flag: &str, variant: &str) -> usize {
    let of_segments = set.segments.values().filter(|segment| {
        let of = segment.of.as_deref();
        of.is_none_or(|of| of == "user")
    });
    let members = of_segments.flat_map(|segment| &segment.keys);
    let own = set.flags.get(flag).into_iter();
    let own = own.flat_map(|flag| flag.environments.values().flat_map(|one| one.users.keys()));
    let people: BTreeSet<&String> = members.chain(own).collect();
    let mut buffer = ContextBuffer::default();
    let mut found = 0;
    for person in people {
        let mut context = snapshot.context_in(buffer);
        context.set("targetingKey", AttributeValue::Text(person));
        context.set("user", AttributeValue::Text(person));
        found += usize::from(context.evaluate(flag).variant == Some(variant));
        buffer = context.into_buffer();
    }
    found
}

/// Which tenants of the directory a flag gives which variant, by variant: the real
/// count behind a percentage.
#[must_use]
pub fn tenants_by_variant(snapshot: &Snapshot, flag: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut buffer = ContextBuffer::default();
    for id in snapshot.directory.ids.iter() {
        let mut context = snapshot.context_in(buffer);
        context.set("tenant", AttributeValue::Text(id));
        if let Some(variant) = context.evaluate(flag).variant {
            match found.iter_mut().find(|(name, _)| name == variant) {
                Some((_, ids)) => ids.push(id.to_owned()),
                None => found.push((variant.to_owned(), vec![id.to_owned()])),
            }
        }
        buffer = context.into_buffer();
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // ROL-01, ROL-07: people who are named are counted, whatever names them.
    #[test]
    fn people_are_counted_whom_the_set_names() {
        let set = FlagSet::from_json(json!({
            "environments": ["production"],
            "segments": {
                "team": { "keys": ["ana", "luis"] },
                "staff": { "keys": ["eva"], "segments": ["team"] },
                "tenants": { "keys": ["acme"], "of": "tenant" },
            },
            "flags": { "exec": { "type": "boolean", "environments": { "production": {
                "users": { "joe": "on", "luis": "off" },
                "rules": [{ "segment": "staff", "variant": "on" }],
            } } } },
        }))
        .expect("a set");
        let snapshot = Snapshot::compile(&set, "production").expect("valid");
        let with = |variant| named_people_with(&set, &snapshot, "exec", variant);
        assert_eq!((with("on"), with("off")), (3, 1));
        assert_eq!(named_people_with(&set, &snapshot, "none", "on"), 0);
    }
}
