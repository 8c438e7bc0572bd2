//! Shares are unbiased and independent for every family of ids.

use crate::world::{Family, Request, ids, salt, salts, share, split};
use esclusa_flags::{Reason, bucket, in_share};

const N: usize = 100_000;

/// Splits judged one by one: of these, two may be beyond 3 standard deviations.
const JUDGED: usize = 100;
/// Splits over which bias is averaged. At 50 % a fair hash's mean over 100 salts has a
/// standard deviation of 0.016 points, too near the limit of 0.02 to tell anything;
/// over 300 it has 0.009.
const AVERAGED: usize = 300;
const SHARES: [u16; 3] = [500, 2_500, 5_000];

/// How many of `ids` each of [`SHARES`] exposes under one salt.
fn exposed(salt_text: &str, ids: &[String]) -> [usize; 3] {
    let split = split(salt_text, SHARES[1]);
    let request = Request::default();
    let shares = SHARES.map(share);
    let mut counts = [0; 3];
    for id in ids {
        let (Reason::Share { bucket, .. } | Reason::NotInShare { bucket, .. }) =
            split.assign(id, &request).reason
        else {
            unreachable!("a partial share of an unknown population");
        };
        for (count, share) in counts.iter_mut().zip(shares) {
            *count += usize::from(in_share(bucket, share));
        }
    }
    counts
}

// TRF-02: the measured share is the one that was set.
fn favours_nobody(family: Family) {
    let ids = ids(family, N);
    let counts: Vec<_> = salts(AVERAGED)
        .iter()
        .map(|salt| exposed(salt, &ids))
        .collect();
    for (i, bp) in SHARES.into_iter().enumerate() {
        let p = share(bp).fraction();
        let deviation = (N as f64 * p * (1.0 - p)).sqrt();
        let misses: Vec<f64> = counts.iter().map(|c| c[i] as f64 - N as f64 * p).collect();
        let z: Vec<f64> = misses[..JUDGED]
            .iter()
            .map(|miss| (miss / deviation).abs())
            .collect();
        let far = z.iter().filter(|z| **z >= 3.0).count();
        let worst = z.iter().copied().fold(0.0, f64::max);
        let bias = misses.iter().sum::<f64>() / (AVERAGED * N) as f64 * 100.0;
        println!("{family:?} at {bp} bp: {far} beyond 3, worst {worst:.2}, bias {bias:+.4} points");
        assert!(far <= 2, "{family:?} at {bp} bp: {far} salts beyond 3");
        assert!(worst < 4.5, "{family:?} at {bp} bp: {worst}");
        assert!(bias.abs() < 0.02, "{family:?} at {bp} bp: {bias} points");
    }
}

#[test]
fn sequential_ids_are_not_favoured() {
    favours_nobody(Family::Sequential);
}

#[test]
fn integers_are_not_favoured() {
    favours_nobody(Family::Integers);
}

#[test]
fn random_uuids_are_not_favoured() {
    favours_nobody(Family::RandomUuids);
}

#[test]
fn uuids_of_one_moment_are_not_favoured() {
    favours_nobody(Family::TimeUuids);
}

#[test]
fn e_mails_are_not_favoured() {
    favours_nobody(Family::Emails);
}

/// Correlation of being chosen under one salt and under another.
fn phi(a: &[bool], b: &[bool]) -> f64 {
    let n = a.len() as f64;
    let mean = |x: &[bool]| x.iter().filter(|x| **x).count() as f64 / n;
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count() as f64 / n;
    let (pa, pb) = (mean(a), mean(b));
    (both - pa * pb) / (pa * (1.0 - pa) * pb * (1.0 - pb)).sqrt()
}

#[test]
fn two_salts_choose_independently() {
    let salts = salts(40);
    // Under independence phi has standard deviation 1/sqrt(n).
    let bound = 4.5 / (N as f64).sqrt();
    for family in Family::ALL {
        let ids = ids(family, N);
        let chosen = |text: &str, bp| -> Vec<bool> {
            let (salt, share) = (salt(text), share(bp));
            ids.iter()
                .map(|id| in_share(bucket(&salt, id), share))
                .collect()
        };
        for bp in [500, 5_000] {
            let mut previous = chosen(&salts[0], bp);
            let mut sum = 0.0;
            for text in &salts[1..] {
                let next = chosen(text, bp);
                let phi = phi(&previous, &next);
                assert!(phi.abs() < bound, "{family:?}, {text} at {bp}: {phi}");
                sum += phi;
                previous = next;
            }
            assert!(
                (sum / 39.0).abs() < bound / 39.0_f64.sqrt(),
                "{family:?} at {bp}"
            );
        }
    }
}

// One salt, named twice, is one order: that is what naming it is for.
#[test]
fn one_salt_chooses_the_same_people() {
    let ids = ids(Family::Sequential, 1_000);
    let (a, b) = (split("shared", 2_500), split("shared", 2_500));
    let request = Request::default();
    assert!(
        ids.iter()
            .all(|id| a.assign(id, &request).side == b.assign(id, &request).side)
    );
}
