//! Ready-made stages, so that a plan needs none of its own.

use crate::model::{Audience, Expose, Stage};
use esclusa_model::{BasisPoints, Millis};

/// The names of all templates.
pub(crate) const NAMES: [&str; 4] = ["minutes", "days", "flags", "blue-green"];

/// A ready-made list of stages. Each ends with 100 % and a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// 1, 5, 25 and 50 % for 15, 30, 45 and 30 minutes.
    Minutes,
    /// 5, 25 and 50 % for 24, 12 and 8 hours, then 100 % watched for 48 hours.
    Days,
    /// The segment `team`, then 5, 25 and 50 % for 15, 30 and 30 minutes.
    Flags,
    /// 100 % at once, the version before kept warm.
    BlueGreen,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

impl Template {
    /// All templates, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Minutes, Self::Days, Self::Flags, Self::BlueGreen];

    /// The template of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == name)
    }

    /// The name used in plans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minutes => NAMES[0],
            Self::Days => NAMES[1],
            Self::Flags => NAMES[2],
            Self::BlueGreen => NAMES[3],
        }
    }

    /// The stages that the template stands for.
    #[must_use]
    pub fn stages(self) -> Vec<Stage> {
        // (basis points, seconds); CAN-01, CAN-11, CAN-12.
        let (shares, watch): (&[(u16, u64)], u64) = match self {
            Self::Minutes => (
                &[
                    (100, 15 * MINUTE),
                    (500, 30 * MINUTE),
                    (2_500, 45 * MINUTE),
                    (5_000, 30 * MINUTE),
                ],
                HOUR,
            ),
            Self::Days => (
                &[(500, 24 * HOUR), (2_500, 12 * HOUR), (5_000, 8 * HOUR)],
                48 * HOUR,
            ),
            Self::Flags => (
                &[
                    (500, 15 * MINUTE),
                    (2_500, 30 * MINUTE),
                    (5_000, 30 * MINUTE),
                ],
                HOUR,
            ),
            Self::BlueGreen => (&[], HOUR),
        };
        let team = (self == Self::Flags).then(|| {
            let audience = Audience::Segment("team".to_owned());
            expose(audience, 15 * MINUTE)
        });
        let partial = shares.iter().filter_map(|(share, seconds)| {
            let share = BasisPoints::new(*share).ok()?;
            Some(expose(Audience::Share(share), *seconds))
        });
        let full = expose(Audience::Share(BasisPoints::FULL), watch);
        team.into_iter().chain(partial).chain([full]).collect()
    }
}

fn expose(to: Audience, seconds: u64) -> Stage {
    Stage::Expose(Expose {
        to,
        for_: Millis::from_secs(seconds),
        early: false,
        budget: None,
    })
}
