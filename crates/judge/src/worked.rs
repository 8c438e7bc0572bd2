//! All worked numbers of the judge's formulas in one place, each to nine digits.
//!
//! The numbers are in `tests/worked-numbers.json`; a number that nothing computes, or that
//! is computed and not there, fails too.

use crate::burn::burn;
use crate::comparison::combine;
use crate::config::JudgeConfig;
use crate::dispersion::{fano, phi_of_residuals};
use crate::evidence::{ChangePoint, Counts, HARMLESS_FACTORS, HarmProcess, Temper};
use crate::histogram::{Histogram, bucket_of, lower_edge, upper_edge};
use crate::judge::Judge;
use crate::math::{e_benjamini_hochberg, log_mean_exp, rate_lower, rate_upper, theta};
use crate::second::{Comparable, StageInfo};
use crate::series::{half_width, sign_log_e};
use crate::stratum::Edges;
use esclusa_model::{BasisPoints, Digest};
use libm::{exp, log};
use std::collections::BTreeMap;

const FACTORS: &[f64] = &[1.3, 1.6, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];
const BLOCKS: [[u64; 4]; 4] = [
    [1, 250, 3, 4_750],
    [5, 250, 2, 4_750],
    [9, 250, 3, 4_750],
    [12, 250, 4, 4_750],
];
/// Times stable's rate that is tolerated.
const RHO: f64 = 1.25;

fn nats(counts: [u64; 4], rho: f64, factors: &[f64], cap: f64) -> Vec<f64> {
    let temper = Temper {
        phi_for: 1.0,
        phi_against: 1.0,
        cap,
    };
    let counts = Counts::from(counts);
    factors
        .iter()
        .map(|factor| temper.apply(counts.log_ratio(rho, *factor)))
        .collect()
}

/// The expected likelihood ratio when `bad` of all requests are drawn without putting
/// them back: the weights follow from each other.
fn expected_ratio(canary: u64, baseline: u64, bad: u64, rho: f64, factor: f64) -> f64 {
    let (mut weight, mut total, mut mean) = (1.0, 0.0, 0.0);
    for x in bad.saturating_sub(baseline)..=bad.min(canary) {
        let counts = Counts::from([x, canary, bad - x, baseline]);
        total += weight;
        mean += weight * exp(counts.log_ratio(rho, factor));
        let left = (canary - x) as f64 * (bad - x) as f64;
        let grown = (x + 1) as f64 * (baseline + x + 1 - bad) as f64;
        weight *= rho * left / grown;
    }
    mean / total
}

fn capped() -> Vec<f64> {
    let mut sums = vec![0.0; FACTORS.len()];
    BLOCKS
        .iter()
        .map(|block| {
            let block = nats(*block, RHO, FACTORS, 1.5);
            sums.iter_mut().zip(block).for_each(|(sum, l)| *sum += l);
            log_mean_exp(&sums)
        })
        .collect()
}

fn with_beginnings() -> Vec<f64> {
    let prior = ChangePoint {
        start: 0.5,
        blocks: 120.0,
        late: 0.0,
    };
    let mut process = HarmProcess::new(prior, FACTORS.len());
    BLOCKS
        .iter()
        .map(|block| {
            process.absorb(&nats(*block, RHO, FACTORS, 1.5));
            process.log_evidence()
        })
        .collect()
}

fn interval(bad: f64, total: f64) -> Vec<f64> {
    vec![rate_lower(bad, total, 0.05), rate_upper(bad, total, 0.05)]
}

fn bucket(micros: u64) -> Vec<f64> {
    let bucket = bucket_of(micros);
    vec![
        f64::from(bucket),
        lower_edge(bucket) as f64,
        upper_edge(bucket) as f64,
    ]
}

fn edges() -> Vec<f64> {
    let mut history = Histogram::default();
    history.add(367, 100);
    let edges = Edges::of(&history, 0.95, 0.10, 0.20).expect("enough latencies");
    let first = f64::from(bucket_of(edges.baseline));
    vec![first, edges.harm as f64, edges.harmless as f64]
}

/// The error margin of a proof before the next share.
fn tolerated(next: u16) -> f64 {
    let mut judge = Judge::new(JudgeConfig::default(), Digest::of(b"v1"), Digest::of(b"v2"));
    judge.enter_stage(StageInfo {
        entered_at_s: 0,
        share: BasisPoints::new(100).expect("a share"),
        next_share: BasisPoints::new(next).expect("a share"),
        min_watch_s: 60,
        comparable: Comparable::Random,
        chosen: false,
    });
    judge.error_margins().delta_harmless
}

fn harmless(failures: u64) -> f64 {
    let block = [failures, 1_000, 20, 20_000];
    log_mean_exp(&nats(block, 5.25, HARMLESS_FACTORS, f64::INFINITY))
}

/// The part of 30 days' budget that so many hours at a burn cost.
fn spent(burn: f64, hours: f64) -> f64 {
    burn * hours / (30.0 * 24.0)
}

/// What one canary request brings on average when stable's rate is known.
fn nats_a_request(canary: f64, tolerated: f64) -> f64 {
    canary * log(canary / tolerated) - canary + tolerated
}

fn named() -> Vec<f64> {
    let e = [120.0, 45.0, 18.0, 3.0, 0.2];
    let log_e: BTreeMap<u32, f64> = (0..).zip(e.map(log)).collect();
    e_benjamini_hochberg(&log_e, 0.05)
        .into_iter()
        .map(|at| e[at as usize])
        .collect()
}

fn computed() -> BTreeMap<&'static str, Vec<f64>> {
    let one = |counts, factor| Counts::from(counts).log_ratio(RHO, factor);
    // The rest of the weight, 0.3, is of metrics without evidence.
    let parts = [(0.3, 2.0), (0.2, 5.5), (0.1, -1.0), (0.1, 0.0)];
    let margin = RHO + 0.000_2 / 0.001;
    let nats_each = nats_a_request(0.003, margin * 0.001);
    let counts = [6, 5, 7, 6, 46, 40, 5, 6].map(|bad| (bad, 400)).into();
    BTreeMap::from([
        (
            "expected part of bad events, equal rates",
            vec![theta(1.0, 50, 950)],
        ),
        (
            "expected part of bad events, a quarter more",
            vec![theta(RHO, 50, 950)],
        ),
        (
            "nats of one block, 6 of 10 on the canary",
            vec![one([6, 250, 4, 4_750], 3.0)],
        ),
        (
            "nats of one block, 0 of 5 on the canary",
            vec![one([0, 250, 5, 4_750], 3.0)],
        ),
        (
            "nats of a mixture of factors",
            vec![log_mean_exp(&nats(
                [12, 1_000, 40, 19_000],
                RHO,
                FACTORS,
                f64::INFINITY,
            ))],
        ),
        (
            "expected ratio of common events",
            vec![
                expected_ratio(50, 950, 100, RHO, 2.0),
                expected_ratio(20, 20, 30, 1.0, 2.0),
            ],
        ),
        ("capped blocks", capped()),
        ("blocks with an unknown beginning", with_beginnings()),
        ("combined evidence", vec![combine(&parts)]),
        ("interval of 0 of 300", interval(0.0, 300.0)),
        ("interval of 5 of 1000", interval(5.0, 1_000.0)),
        ("interval of 950 of 1000", interval(950.0, 1_000.0)),
        ("interval of 9500 of 10000", interval(9_500.0, 10_000.0)),
        ("bucket and edges of 31 us", bucket(31)),
        ("bucket and edges of 64 us", bucket(64)),
        ("bucket and edges of 1 ms", bucket(1_000)),
        ("bucket and edges of 12345 us", bucket(12_345)),
        ("bucket and edges of 250 ms", bucket(250_000)),
        ("bucket and edges of 1 s", bucket(1_000_000)),
        ("edges of p95: bucket, harm, harmless", edges()),
        (
            "rate that a proof excludes, times stable's",
            vec![RHO + tolerated(2_500) / 0.001],
        ),
        (
            "nats for harmlessness, 0 and 3 failures",
            vec![harmless(0), harmless(3)],
        ),
        (
            "overdispersion of residuals",
            vec![phi_of_residuals(&[0.2, -0.5, 7.0, -0.4, 0.1], 4)],
        ),
        ("burn of a budget", vec![burn(30, 2_000, 1.0 - 0.999)]),
        (
            "part of a month's budget",
            vec![spent(14.4, 1.0), spent(6.0, 6.0), spent(1.0, 72.0)],
        ),
        (
            "tolerated errors before 5, 25, 50 and 100 %",
            [500, 2_500, 5_000, 10_000].map(tolerated).to_vec(),
        ),
        ("named of 120, 45, 18, 3, 0.2", named()),
        (
            "nats of a canary request, and requests to decide",
            vec![nats_each, log(100.0 / 0.3) / nats_each],
        ),
        (
            "clean requests that exclude 1 %",
            vec![log(0.05) / libm::log1p(-0.01)],
        ),
        (
            "sign bets 7/7, 10/10, 12/15, 10/20",
            [(7, 7), (10, 10), (12, 15), (10, 20)]
                .map(|(worse, pairs)| sign_log_e(worse, pairs))
                .to_vec(),
        ),
        (
            "half widths of a mean after 20, 60, 240",
            [20, 60, 240]
                .map(|n| half_width(n, 1.0, 0.05, 60.0))
                .to_vec(),
        ),
        ("burstiness of counts", vec![fano(&counts)]),
    ])
}

// CAN-08: every formula gives its worked number.
#[test]
fn every_worked_number_is_reached() {
    let numbers: BTreeMap<String, Vec<f64>> =
        serde_json::from_str(include_str!("../tests/worked-numbers.json")).expect("numbers");
    let computed = computed();
    assert!(
        numbers
            .keys()
            .map(String::as_str)
            .eq(computed.keys().copied())
    );
    for (case, expected) in &numbers {
        let found = &computed[case.as_str()];
        assert_eq!(found.len(), expected.len(), "{case}");
        for (found, expected) in found.iter().zip(expected) {
            let error = (found - expected).abs() / expected.abs().max(1e-12);
            assert!(error <= 1e-9, "{case}: {found} is not {expected}");
        }
    }
}
