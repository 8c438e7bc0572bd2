//! Where a unit stands in the order that a salt gives everybody.
//!
//! Contract (changing it moves users between versions): the bucket is XXH3-64 of
//! the salt's length as one little-endian u64, the salt, and the unit id, with seed 0.
//! A unit is in a share of `p` basis points when `bucket < p * 2^64 / 10000`.

use esclusa_model::{BasisPoints, Salt};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The unit's place among all units under this salt, uniform over `u64`.
#[must_use]
pub fn bucket(salt: &Salt, unit: &str) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&(salt.as_str().len() as u64).to_le_bytes());
    hasher.update(salt.as_str().as_bytes());
    hasher.update(unit.as_bytes());
    hasher.digest()
}

/// A unit's hash without any salt: names it in slices without telling who it is.
#[must_use]
pub fn unit_hash(unit: &str) -> u64 {
    xxh3_64(unit.as_bytes())
}

/// Whether a bucket lies in the share; whoever is in a share is in every larger one.
#[must_use]
pub fn in_share(bucket: u64, share: BasisPoints) -> bool {
    // Exact in 128 bits: full share includes u64::MAX, zero share excludes 0.
    u128::from(bucket) * 10_000 < (u128::from(share.get()) << 64)
}

/// The bucket in basis points, rounded down (0 to 9,999): a unit is in a share exactly
/// when its position is below it, so what people are shown never contradicts the split.
pub(crate) fn position(bucket: u64) -> u16 {
    // Below 10,000 by arithmetic: bucket < 2^64.
    ((u128::from(bucket) * 10_000) >> 64) as u16
}

/// [`bucket`] for one salt and many units: the salt's part is laid out once, and a
/// unit of usual length is hashed in one piece on the stack.
#[derive(Debug, Clone)]
pub(crate) struct UnitOrder {
    salt: Salt,
    prefix: [u8; PIECE],
    prefix_len: usize,
}

/// Holds the longest prefix (8 + 128 bytes) and 56 bytes of unit at least.
const PIECE: usize = 192;

impl UnitOrder {
    pub(crate) fn new(salt: &Salt) -> Self {
        let text = salt.as_str().as_bytes();
        let length = (text.len() as u64).to_le_bytes();
        let mut prefix = [0; PIECE];
        // A salt has at most 128 bytes; the zip would cut a longer one, which
        // `bucket` below then notices by its length.
        for (to, from) in prefix.iter_mut().zip(length.iter().chain(text)) {
            *to = *from;
        }
        Self {
            salt: salt.clone(),
            prefix,
            prefix_len: length.len() + text.len(),
        }
    }

    pub(crate) fn salt(&self) -> &Salt {
        &self.salt
    }

    /// The same as [`bucket`].
    pub(crate) fn bucket(&self, unit: &str) -> u64 {
        let end = self.prefix_len + unit.len();
        let mut piece = self.prefix;
        match piece.get_mut(self.prefix_len..end) {
            Some(place) => {
                place.copy_from_slice(unit.as_bytes());
                xxh3_64(&piece[..end])
            }
            None => bucket(&self.salt, unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn salt(text: &str) -> Salt {
        Salt::new(text).expect("a salt")
    }

    /// The contract. The values come from another implementation (xxHash's own C code,
    /// through Python); a change here moves users between versions.
    #[test]
    fn buckets_are_those_of_the_contract() {
        let long = "x".repeat(300);
        for (text, unit, expected) in [
            ("checkout-2026", "user-000001", 0x4ac8_c267_b93e_c926),
            (
                "0190a6d4-7c1e-7a3b-9f00-000000000001",
                "acme",
                0xc01d_b725_4a7d_f9b4,
            ),
            ("a", "bc", 0xa417_c064_999b_5134),
            ("ab", "c", 0xce70_6513_2bc1_ba7c),
            ("s", "", 0xa9cb_3ed9_52a8_b444),
            ("flag/search", "maría@example.com", 0x4df5_6c31_12aa_3eb7),
            ("s", long.as_str(), 0x7886_e0ff_58a2_9fd6),
        ] {
            assert_eq!(bucket(&salt(text), unit), expected, "{text} {unit}");
            assert_eq!(
                UnitOrder::new(&salt(text)).bucket(unit),
                expected,
                "{text} {unit}"
            );
        }
        assert_eq!(unit_hash("acme"), 0x44ad_9865_5d88_58e1);
    }

    #[test]
    fn no_bucket_is_in_nobody_and_every_bucket_in_everybody() {
        for extreme in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert!(!in_share(extreme, BasisPoints::ZERO), "{extreme}");
            assert!(in_share(extreme, BasisPoints::FULL), "{extreme}");
        }
        let smallest = BasisPoints::new(1).expect("a share");
        assert!(in_share(0, smallest) && !in_share(u64::MAX, smallest));
        let largest = BasisPoints::new(9_999).expect("a share");
        assert!(in_share(0, largest) && !in_share(u64::MAX, largest));
        // 50 % divides the range without a rest.
        let half = BasisPoints::new(5_000).expect("a share");
        assert!(in_share((1 << 63) - 1, half) && !in_share(1 << 63, half));
    }

    proptest! {
        #[test]
        fn one_piece_or_many_give_one_bucket(text in "[a-z0-9/-]{1,128}", unit in ".{0,200}") {
            prop_assert_eq!(UnitOrder::new(&salt(&text)).bucket(&unit), bucket(&salt(&text), &unit));
        }

        #[test]
        fn a_larger_share_holds_the_smaller(bucket: u64, a in 0u16..=10_000, b in 0u16..=10_000) {
            let share = |bp| BasisPoints::new(bp).expect("a share");
            prop_assert!(!in_share(bucket, share(a.min(b))) || in_share(bucket, share(a.max(b))));
        }

        #[test]
        fn what_is_shown_agrees_with_the_split(bucket: u64, bp in 0u16..=10_000) {
            let share = BasisPoints::new(bp).expect("a share");
            prop_assert_eq!(position(bucket) < bp, in_share(bucket, share));
        }
    }
}
