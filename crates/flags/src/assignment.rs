//! An answer, and why it was given.

use crate::bucket::position;
use esclusa_model::BasisPoints;
use std::fmt;

/// Which version a unit is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The version that serves everybody else.
    Stable,
    /// The version that is being released.
    Canary,
}

impl Side {
    /// Whether the unit sees what is new.
    #[must_use]
    pub fn is_exposed(self) -> bool {
        self == Self::Canary
    }
}

/// Where a request goes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// The version.
    pub side: Side,
    /// Why.
    pub reason: Reason<'a>,
}

/// The rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason<'a> {
    /// The condition of the segment of this name holds.
    Segment(&'a str),
    /// The share is 100 %.
    Everyone,
    /// The share is 0 %.
    Nobody,
    /// The request names no unit, so that a partial share cannot stick to it.
    NoUnit,
    /// The bucket lies in the share.
    Share {
        /// The unit's bucket.
        bucket: u64,
        /// The share.
        share: BasisPoints,
    },
    /// The bucket lies outside the share.
    NotInShare {
        /// The unit's bucket.
        bucket: u64,
        /// The share.
        share: BasisPoints,
    },
    /// The unit is known: the first `exposed` of all known units are chosen.
    Rank {
        /// The unit's place among them, from 0.
        rank: usize,
        /// How many are chosen.
        exposed: usize,
        /// How many are known.
        known: usize,
        /// The share that is meant.
        share: BasisPoints,
    },
}

impl Reason<'_> {
    /// The version this reason leads to.
    #[must_use]
    pub fn side(&self) -> Side {
        match *self {
            Self::Segment(_) | Self::Everyone | Self::Share { .. } => Side::Canary,
            Self::Nobody | Self::NoUnit | Self::NotInShare { .. } => Side::Stable,
            Self::Rank { rank, exposed, .. } if rank < exposed => Side::Canary,
            Self::Rank { .. } => Side::Stable,
        }
    }
}

impl<'a> From<Reason<'a>> for Assignment<'a> {
    fn from(reason: Reason<'a>) -> Self {
        Self {
            side: reason.side(),
            reason,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        })
    }
}

/// A clause for people, without the unit's name and the version.
impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |bucket| {
            let position = position(bucket);
            format!("{}.{:02}%", position / 100, position % 100)
        };
        match *self {
            Self::Segment(name) => write!(f, "it belongs to segment {name}"),
            Self::Everyone => f.write_str("the share is 100%: everybody is exposed"),
            Self::Nobody => f.write_str("the share is 0%: nobody is exposed by share"),
            Self::NoUnit => f.write_str("the request names no unit that a share could stick to"),
            Self::Share { bucket, share } => {
                write!(
                    f,
                    "it stands at {}, inside the share of {share}",
                    percent(bucket)
                )
            }
            Self::NotInShare { bucket, share } => {
                write!(
                    f,
                    "it stands at {}, outside the share of {share}",
                    percent(bucket)
                )
            }
            Self::Rank {
                rank,
                exposed,
                known,
                share,
            } => {
                let first = if exposed == 1 {
                    "the first is".into()
                } else {
                    format!("the first {exposed} are")
                };
                let place = rank + 1;
                write!(
                    f,
                    "it is number {place} of {known} known units, and at {share} {first} exposed"
                )
            }
        }
    }
}
