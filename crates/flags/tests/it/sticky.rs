//! Who is exposed stays so while a share only grows, and returns when it is zero.

use crate::world::{Request, compile, spec, split};
use esclusa_flags::{CompiledSplit, Reason, Side, bucket};
use proptest::prelude::*;

fn exposed(split: &CompiledSplit, unit: &str) -> bool {
    split.assign(unit, &Request::default()).side.is_exposed()
}

proptest! {
    // TRF-02: sticky users never flip.
    #[test]
    fn a_growing_share_only_adds(
        salt in "[a-z0-9]{1,20}",
        units in prop::collection::vec(".{1,40}", 1..60),
        known in 0usize..60,
        a in 0u16..=10_000,
        b in 0u16..=10_000,
    ) {
        let (small, large) = (a.min(b), a.max(b));
        let at = |bp| {
            let mut spec = spec(&salt, bp);
            spec.population = units.iter().take(known).cloned().collect();
            compile(&spec)
        };
        let (small, large) = (at(small), at(large));
        for unit in &units {
            prop_assert!(!exposed(&small, unit) || exposed(&large, unit), "{unit:?} fell out");
        }
    }

    #[test]
    fn nobody_and_everybody_are_exact(salt in "[a-z0-9]{1,20}", unit in ".{0,40}") {
        prop_assert!(!exposed(&split(&salt, 0), &unit));
        prop_assert!(exposed(&split(&salt, 10_000), &unit));
    }

    #[test]
    fn an_answer_follows_from_its_reason(bp in 0u16..=10_000, unit in ".{0,40}") {
        let split = split("s", bp);
        let assignment = split.assign(&unit, &Request::default());
        prop_assert_eq!(assignment.side, assignment.reason.side());
        match assignment.reason {
            Reason::Share { bucket: b, .. } | Reason::NotInShare { bucket: b, .. } => {
                prop_assert_eq!(b, bucket(split.salt(), &unit));
            }
            Reason::NoUnit => prop_assert!(unit.is_empty()),
            Reason::Nobody => prop_assert_eq!(bp, 0),
            Reason::Everyone => prop_assert_eq!(bp, 10_000),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn requests_without_unit_are_exposed_by_no_partial_share() {
    for bp in [1, 5_000, 9_999] {
        // Whatever the bucket of the empty id is under these salts.
        for salt in ["a", "b", "c", "d", "e", "f"] {
            let split = split(salt, bp);
            let assignment = split.assign("", &Request::default());
            assert_eq!(
                (assignment.side, assignment.reason),
                (Side::Stable, Reason::NoUnit)
            );
        }
    }
}
