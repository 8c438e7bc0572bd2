//! What of a set needs a flag, and would not be what it is without it.

use crate::definition::FlagSet;
use crate::problem::escaped;
use crate::standing::KillTargets;

/// Everything of the set that names a flag, as JSON pointers.
#[must_use]
pub fn flag_uses(set: &FlagSet, flag: &str) -> Vec<String> {
    let mut uses = Vec::new();
    let mut add = |above: &[&str], name: &str, uses_it: bool| {
        if uses_it {
            uses.push(format!("/{}/{}", above.join("/"), escaped(name)));
        }
    };
    for (key, other) in &set.flags {
        let needs = other.prerequisites.iter().any(|needs| needs.flag == flag);
        add(&["flags"], key, needs && key != flag);
    }
    for (name, guard) in &set.guards {
        add(
            &["guards"],
            name,
            guard.routes.iter().any(|r| r.flag == flag),
        );
    }
    for (name, rule) in &set.standing_rules {
        let kills = match &rule.kill {
            KillTargets::All => false,
            KillTargets::Flags(named) => named.iter().any(|named| {
                let meant = set.meant_by(named);
                named == flag || meant == [flag]
            }),
        };
        add(&["standing-rules"], name, kills);
    }
    let exposures = set.exposures.iter().flat_map(|all| &all.environments);
    for (name, rule) in exposures {
        let flags = rule.flags.as_ref();
        let names = flags.is_some_and(|flags| flags.contains(flag));
        add(&["exposures", "environments"], name, names);
    }
    uses
}
