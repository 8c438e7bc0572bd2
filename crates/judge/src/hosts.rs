//! Whether the failures of the last minute are those of few instances.
//!
//! Instances that fail while most others of the same version do not are to be replaced;
//! the version is not guilty of it. What this does not do: look at latency, which is not
//! kept by instance.

use crate::math::coin_divergence;
use libm::{lgamma, log};
use std::collections::BTreeMap;

/// Few instances have it when they have this part of the failures beyond the usual.
const NEARLY_ALL: f64 = 0.8;
/// One instance is few, and so is one in three.
const FEW_OF: usize = 3;
/// Nats against "by their part of the requests", beside those for picking the worst.
const NATS: f64 = 3.0;
/// Fewest failures beyond the usual that tell.
const FEWEST: f64 = 4.0;

/// On how many instances the failures lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// One instance serves, or none is told apart, or many fail.
    Version,
    /// All failures lie on few of several; too few to tell whether by chance.
    Unclear,
    /// Few of several have them.
    FewHosts,
}

/// Looks at requests and failures by instance; `usual` is the rate that stable has.
pub(crate) fn spread(instances: &BTreeMap<u32, (u64, u64)>, usual: f64) -> Spread {
    let mut hosts: Vec<(f64, f64, bool)> = instances
        .values()
        .filter(|(requests, _)| *requests > 0)
        .map(|&(requests, failures)| {
            let beyond = (failures as f64 - usual * requests as f64).max(0.0);
            (beyond, requests as f64, failures > 0)
        })
        .collect();
    if hosts.len() < 2 {
        return Spread::Version;
    }
    hosts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let few = (hosts.len() / FEW_OF).max(1);
    let all: f64 = hosts.iter().map(|host| host.0).sum();
    let requests: f64 = hosts.iter().map(|host| host.1).sum();
    let (mut worst, mut theirs) = (0.0, 0.0);
    for (picked, host) in hosts.iter().take(few).enumerate() {
        worst += host.0;
        theirs += host.1;
        let (part, expected) = (worst / all, theirs / requests);
        if all >= FEWEST
            && part >= NEARLY_ALL
            && part > expected
            && all * coin_divergence(part.min(1.0), expected)
                >= NATS + log_choices(hosts.len(), picked + 1)
        {
            return Spread::FewHosts;
        }
    }
    let failing = hosts.iter().filter(|host| host.2).count();
    if (1..=few).contains(&failing) {
        Spread::Unclear
    } else {
        Spread::Version
    }
}

/// Logarithm of the ways to pick `few` of `all`.
fn log_choices(all: usize, few: usize) -> f64 {
    if few == 1 {
        return log(all as f64);
    }
    let factorial = |n: usize| lgamma(n as f64 + 1.0);
    factorial(all) - factorial(few) - factorial(all - few)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(instances: &[(u64, u64)]) -> Spread {
        let instances = instances.iter().enumerate();
        spread(&instances.map(|(i, c)| (i as u32, *c)).collect(), 0.001)
    }

    #[test]
    fn one_of_several_is_told_from_a_version_that_fails() {
        assert_eq!(of(&[(500, 1), (500, 40), (500, 0)]), Spread::FewHosts);
        assert_eq!(of(&[(500, 20), (500, 40), (500, 25)]), Spread::Version);
        // Both of two fail; one of two with few failures is chance.
        assert_eq!(of(&[(500, 9), (500, 12)]), Spread::Version);
        assert_eq!(of(&[(500, 0), (500, 4)]), Spread::Unclear);
        assert_eq!(of(&[(500, 0), (500, 9)]), Spread::FewHosts);
    }

    #[test]
    fn two_of_ten_are_few() {
        let mut instances = [(1_500, 2); 10];
        instances[4].1 = 49;
        instances[5].1 = 60;
        assert_eq!(of(&instances), Spread::FewHosts);
        (0..5).for_each(|host| instances[host].1 = 50);
        assert_eq!(of(&instances), Spread::Version);
    }

    #[test]
    fn a_single_instance_is_the_version() {
        assert_eq!(of(&[(500, 400)]), Spread::Version);
        assert_eq!(of(&[(500, 400), (0, 0)]), Spread::Version);
        assert_eq!(of(&[]), Spread::Version);
    }
}
