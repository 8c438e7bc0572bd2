//! What kinds of version are released, and how each must end.

/// A kind of version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Nothing is wrong with it.
    Good,
    /// From 25 % on it fails 60 of 100 requests.
    #[value(name = "failing-60")]
    Failing60,
    /// From 25 % on it fails 30 of 100 requests.
    #[value(name = "failing-30")]
    Failing30,
    /// Every answer takes twice as long.
    Slow,
    /// Its first answers take four times as long, then it is as fast as the other.
    ColdStart,
}

impl Scenario {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Failing60 => "failing-60",
            Self::Failing30 => "failing-30",
            Self::Slow => "slow",
            Self::ColdStart => "cold-start",
        }
    }

    /// How the demo app is told to behave; `BREAK` stands for a file that, once it
    /// exists, makes the version fail.
    pub(crate) const fn behaviour(self) -> &'static str {
        match self {
            Self::Good => "--behaviour good",
            Self::Failing60 => "--behaviour failing --fail-rate 0.6 --fail-after-file BREAK",
            Self::Failing30 => "--behaviour failing --fail-rate 0.3 --fail-after-file BREAK",
            Self::Slow => "--behaviour slow --slow-factor 2",
            Self::ColdStart => "--behaviour cold-start",
        }
    }

    pub(crate) const fn must_end(self) -> &'static str {
        match self {
            Self::Good | Self::ColdStart => "promoted",
            Self::Failing60 | Self::Failing30 | Self::Slow => "rolled_back",
        }
    }

    pub(crate) const fn breaks(self) -> bool {
        matches!(self, Self::Failing60 | Self::Failing30)
    }

    /// Most seconds of canary traffic after the first failure, most failed user requests.
    pub(crate) const fn bounds(self) -> (f64, u64) {
        match self {
            Self::Failing60 => (8.0, 150),
            Self::Failing30 => (12.0, 120),
            Self::Good | Self::Slow | Self::ColdStart => (0.0, 0),
        }
    }
}
