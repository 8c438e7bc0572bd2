//! Splits, requests and ids to test with.

use esclusa_flags::{CompiledSplit, RequestContext, SegmentRule, SplitSpec};
use esclusa_model::{BasisPoints, Digest, ReleaseId, Salt};
use std::borrow::Cow;

#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) host: &'static str,
    pub(crate) tenant: &'static str,
}

impl RequestContext for Request {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| Cow::Borrowed(*value))
    }
    fn method(&self) -> &str {
        self.method
    }
    fn path(&self) -> &str {
        self.path
    }
    fn host(&self) -> &str {
        self.host
    }
    fn tenant(&self) -> &str {
        self.tenant
    }
}

pub(crate) fn share(bp: u16) -> BasisPoints {
    BasisPoints::new(bp).expect("a share")
}

pub(crate) fn salt(text: &str) -> Salt {
    Salt::new(text).expect("a salt")
}

pub(crate) fn spec(salt_text: &str, bp: u16) -> SplitSpec {
    SplitSpec {
        release: ReleaseId::new("r-1").expect("an id"),
        salt: salt(salt_text),
        canary: Digest::of(b"canary"),
        share: share(bp),
        segments: Vec::new(),
        population: Vec::new(),
        by_flag: None,
    }
}

pub(crate) fn segment(name: &str, when: &str) -> SegmentRule {
    SegmentRule {
        name: name.to_owned(),
        when: when.to_owned(),
    }
}

pub(crate) fn compile(spec: &SplitSpec) -> CompiledSplit {
    CompiledSplit::new(spec).expect("a valid split")
}

/// A split by share alone.
pub(crate) fn split(salt_text: &str, bp: u16) -> CompiledSplit {
    compile(&spec(salt_text, bp))
}

/// SplitMix64: a generator of our own, so that ids do not change with a library.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The forms that systems give their ids.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Family {
    Sequential,
    Integers,
    RandomUuids,
    /// Version 7 of one busy moment: long equal beginnings, counting ends.
    TimeUuids,
    Emails,
}

impl Family {
    pub(crate) const ALL: [Self; 5] = [
        Self::Sequential,
        Self::Integers,
        Self::RandomUuids,
        Self::TimeUuids,
        Self::Emails,
    ];
}

pub(crate) fn ids(family: Family, n: usize) -> Vec<String> {
    let mut numbers = Numbers(7);
    let people = [
        "maria", "jose", "lucia", "wei", "amina", "olaf", "priya", "ines",
    ];
    let hosts = [
        "example.com",
        "example.org",
        "mail.example",
        "correo.example",
    ];
    let mut random_uuid = || {
        let (a, b) = (numbers.next(), numbers.next());
        let (first, second, version) = (a >> 32, (a >> 16) & 0xffff, a & 0xfff);
        let (variant, node) = (0x8000 | (b >> 50), b & 0xffff_ffff_ffff);
        format!("{first:08x}-{second:04x}-4{version:03x}-{variant:04x}-{node:012x}")
    };
    (1..=n)
        .map(|i| match family {
            Family::Sequential => format!("user-{i:06}"),
            Family::Integers => i.to_string(),
            Family::RandomUuids => random_uuid(),
            Family::TimeUuids => format!("0190a6d4-7c1e-7a3b-9f00-{i:012x}"),
            Family::Emails => format!("{}{}@{}", people[i % 8], i / 8, hosts[i / 3 % 4]),
        })
        .collect()
}

/// Salts in the forms that plans have: release ids, names, short ones; one letter apart.
pub(crate) fn salts(n: usize) -> Vec<String> {
    (0..n)
        .map(|i| match i % 3 {
            0 => format!("0190a6d4-7c1e-7a3b-9f00-{i:012x}"),
            1 => format!("checkout/{i}"),
            _ => format!("s{i}"),
        })
        .collect()
}
