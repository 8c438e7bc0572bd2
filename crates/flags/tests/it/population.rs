//! Shares of populations whose units are all known.

use crate::world::{Request, compile, salts, share, spec};
use esclusa_flags::{CompiledSplit, Reason, SplitError, bucket, in_share};
use proptest::prelude::*;

fn tenants(n: usize) -> Vec<String> {
    (1..=n).map(|i| format!("tenant-{i}")).collect()
}

fn split(salt: &str, bp: u16, population: &[String]) -> CompiledSplit {
    let mut spec = spec(salt, bp);
    spec.population = population.to_vec();
    compile(&spec)
}

// ROL-02, FLAG-17: 5 % of 12 tenants is one tenant, under every salt.
#[test]
fn five_percent_of_twelve_tenants_is_one() {
    let tenants = tenants(12);
    let mut ever_exposed = vec![false; tenants.len()];
    for salt in salts(100) {
        let split = split(&salt, 500, &tenants);
        assert_eq!(split.exposed_count(&tenants), 1, "{salt}");
        for (ever, tenant) in ever_exposed.iter_mut().zip(&tenants) {
            *ever |= split.assign(tenant, &Request::default()).side.is_exposed();
        }
    }
    // Nobody is always first, nobody never.
    assert!(ever_exposed.iter().all(|ever| *ever), "{ever_exposed:?}");
}

#[test]
fn a_thousand_tenants_are_exact_at_every_stage() {
    let tenants = tenants(1_000);
    for (bp, expected) in [
        (0, 0),
        (1, 1),
        (500, 50),
        (2_500, 250),
        (5_000, 500),
        (10_000, 1_000),
    ] {
        assert_eq!(
            split("r", bp, &tenants).exposed_count(&tenants),
            expected,
            "{bp}"
        );
    }
}

#[test]
fn a_tenant_created_later_falls_under_the_plain_share() {
    let known = tenants(12);
    let split = split("r", 2_500, &known);
    let mut seen = [false; 2];
    for i in 0..200 {
        let later = format!("later-{i}");
        let expected = in_share(bucket(split.salt(), &later), share(2_500));
        let assignment = split.assign(&later, &Request::default());
        assert_eq!(assignment.side.is_exposed(), expected);
        assert!(matches!(
            assignment.reason,
            Reason::Share { .. } | Reason::NotInShare { .. }
        ));
        seen[usize::from(expected)] = true;
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn a_unit_without_id_is_refused_and_a_repeated_one_counts_once() {
    let mut spec = spec("r", 500);
    spec.population = vec!["a".into(), String::new()];
    assert_eq!(
        CompiledSplit::new(&spec).expect_err("empty"),
        SplitError::EmptyUnit(1)
    );

    spec.population = vec!["a".into(); 40];
    spec.population.push("b".into());
    let split = compile(&spec);
    assert_eq!(split.exposed_count(["a", "b"]), 1, "5% of two units is one");
    let reason = split.assign("a", &Request::default()).reason;
    assert!(
        matches!(
            reason,
            Reason::Rank {
                exposed: 1,
                known: 2,
                ..
            }
        ),
        "{reason:?}"
    );
}

proptest! {
    #[test]
    fn the_first_in_the_salts_order_are_chosen(
        salt in "[a-z]{1,9}", n in 1usize..80, bp in 1u16..10_000,
    ) {
        let tenants = tenants(n);
        let split = split(&salt, bp, &tenants);
        let wanted = (n * usize::from(bp)).div_ceil(10_000).max(1);
        prop_assert_eq!(split.exposed_count(&tenants), wanted);

        let exposed = |unit: &&String| split.assign(unit, &Request::default()).side.is_exposed();
        let (inside, outside): (Vec<_>, Vec<_>) = tenants.iter().partition(exposed);
        let last = inside.iter().map(|unit| bucket(split.salt(), unit)).max();
        let first = outside.iter().map(|unit| bucket(split.salt(), unit)).min();
        prop_assert!(outside.is_empty() || last <= first);
    }
}
