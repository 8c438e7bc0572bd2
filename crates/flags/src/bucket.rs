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
