//! Names that no flag has, and what was probably meant by them. Pure.

use crate::error::{ApiError, ErrorKind};
use esclusa_flags::FlagSet;
use std::collections::BTreeSet;

/// Most names that are listed.
const SHOWN: usize = 20;
/// A part of a key that is shorter fits too many.
const SHORTEST_PART: usize = 3;

/// Every name by which something can be killed.
fn known_names(set: &FlagSet) -> Vec<&str> {
    let keys = set.flags.keys();
    let aliases = set.flags.values().flat_map(|flag| &flag.aliases);
    let names: BTreeSet<&str> = keys.chain(aliases).map(String::as_str).collect();
    names.into_iter().collect()
}

/// Nothing can be killed or lifted by this name.
pub(super) fn unknown(set: &FlagSet, name: &str) -> ApiError {
    let known = known_names(set);
    let nearest = esclusa_flags::nearest(name, known.iter().copied());
    let help = match nearest {
        Some(meant) => format!("did you mean {meant}? {}", listed(&known)),
        None => listed(&known),
    };
    let message = format!("no flag has the key or alias {name}");
    ApiError::new(ErrorKind::NotFound, "ESC-0742", message, help)
}

/// No flag has this key.
pub(crate) fn no_flag(set: &FlagSet, key: &str) -> ApiError {
    let keys: Vec<&str> = set.flags.keys().map(String::as_str).collect();
    let help = hint(set, key).unwrap_or_else(|| listed(&keys));
    let message = format!("there is no flag {key}");
    ApiError::new(ErrorKind::NotFound, "ESC-0742", message, help)
}

/// Which flag was probably meant, as a question or a pointer.
pub(crate) fn hint(set: &FlagSet, key: &str) -> Option<String> {
    let aliased: Vec<&str> = set.meant_by(key);
    if !aliased.is_empty() {
        return Some(format!(
            "{key} is an alias, by which one kills {}: name its key here",
            aliased.join(" and ")
        ));
    }
    let keys = || set.flags.keys().map(String::as_str);
    let part = || {
        let mut with = keys().filter(|known| known.contains(key));
        let only = with.next().filter(|_| key.len() >= SHORTEST_PART);
        only.filter(|_| with.next().is_none())
    };
    let meant = esclusa_flags::nearest(key, keys()).or_else(part)?;
    Some(format!("did you mean {meant}?"))
}

fn listed(known: &[&str]) -> String {
    match known.len() {
        0 => "no flag is defined yet: see `esclusa flag apply`".to_owned(),
        n if n > SHOWN => format!(
            "known are {} and {} more: see `esclusa flag list`",
            known[..SHOWN].join(", "),
            n - SHOWN
        ),
        _ => format!("known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // FLAG-16: a name that no flag has is answered with the one that was meant.
    #[test]
    fn what_was_meant_is_said() {
        let set = FlagSet::from_json(json!({ "flags": {
            "exec-reports": { "type": "boolean", "aliases": ["reports", "emergency"] },
            "exec-export": { "type": "boolean", "aliases": ["emergency"] },
            "checkout": { "type": "boolean" },
        } }))
        .expect("a set");
        for (name, expected) in [
            ("exec-report", "did you mean exec-reports?"),
            (
                "reports",
                "reports is an alias, by which one kills exec-reports: name its key here",
            ),
            (
                "emergency",
                "emergency is an alias, by which one kills exec-export and exec-reports: \
                 name its key here",
            ),
            ("check", "did you mean checkout?"),
            ("exec", "known are checkout, exec-export, exec-reports"),
            ("nope", "known are checkout, exec-export, exec-reports"),
        ] {
            assert_eq!(no_flag(&set, name).help, expected, "{name}");
        }
        let near = unknown(&set, "emergenci");
        assert!(near.help.starts_with("did you mean emergency? known are"));
        let none = no_flag(&FlagSet::default(), "nope");
        assert!(none.help.contains("no flag is defined yet"), "{none}");
    }
}
