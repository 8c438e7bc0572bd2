//! A dial outside of the program: somebody's scripts, one call at a time, and all the
//! ways in which such a dial does something else than it is told.

use esclusa_engine::{DialReading, DialState};
use esclusa_model::{BasisPoints, Millis, Timestamp};
use esclusa_release::Exposure;

/// Longest run of one call; after it the call is ended and its effect unknown.
const CALL_LIMIT: Millis = Millis(30_000);
/// A step of a balancer with weights out of 256, in basis points, rounded up.
const STEP: u16 = 40;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialMood {
    Obeys,
    /// Moves in steps of 1/256.
    Coarse,
    /// Each call lasts this long.
    Slow(Millis),
    /// No call ends.
    Hangs,
    /// Does not go above this share.
    NotAbove(u16),
    /// Does not go below this share once it is there.
    NotBelow(u16),
    /// Goes this much further than asked, where anything was asked.
    Over(u16),
    /// Says what is asked and moves nothing.
    Lies,
    /// Somebody turned it by hand: shows this, and does not move.
    Shows(u16),
}

/// A call that was begun.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub asked: Exposure,
    /// Whether it turns the dial or only reads it.
    pub turns: bool,
}

/// The dial.
#[derive(Debug)]
pub(crate) struct CommandDial {
    pub mood: DialMood,
    pub value: BasisPoints,
    free_at: Timestamp,
    /// Since when what it says has been true: a dial that lied is not to be blamed twice.
    pub lied: bool,
}

fn bp(n: u16) -> BasisPoints {
    BasisPoints::new(n.min(10_000)).unwrap_or(BasisPoints::FULL)
}

impl CommandDial {
    pub(crate) const fn new() -> Self {
        Self {
            mood: DialMood::Obeys,
            value: BasisPoints::ZERO,
            free_at: Timestamp(0),
            lied: false,
        }
    }

    /// When a call that is asked for now will have ended: calls wait for each other.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Timestamp {
        let lasts = match self.mood {
            DialMood::Hangs => CALL_LIMIT,
            DialMood::Slow(lasts) => lasts.min(CALL_LIMIT),
            DialMood::Obeys
            | DialMood::Coarse
            | DialMood::NotAbove(_)
            | DialMood::NotBelow(_)
            | DialMood::Over(_)
            | DialMood::Lies
            | DialMood::Shows(_) => Millis(50),
        };
        self.free_at = now.max(self.free_at).plus(lasts);
        self.free_at
    }

    /// The calls of a controller that died are over.
    pub(crate) fn free(&mut self, now: Timestamp) {
        self.free_at = now;
    }

    /// The end of a call: what it did.
    pub(crate) fn act(&mut self, call: &Call) {
        if let DialMood::Shows(share) = self.mood {
            self.value = bp(share);
            return;
        }
        if !call.turns {
            return;
        }
        let goal = call.asked.share.get();
        self.value = match self.mood {
            DialMood::Obeys | DialMood::Slow(_) => call.asked.share,
            DialMood::Coarse if call.asked.share.is_partial() => {
                bp((goal / 39).max(1).saturating_mul(39).min(9_961))
            }
            DialMood::Coarse => call.asked.share,
            DialMood::NotAbove(most) => bp(goal.min(most)),
            DialMood::NotBelow(least) if self.value.get() >= least => bp(goal.max(least)),
            DialMood::NotBelow(_) => call.asked.share,
            DialMood::Over(extra) if goal > 0 => bp(goal.saturating_add(extra)),
            DialMood::Over(_) => call.asked.share,
            DialMood::Lies => {
                self.lied = true;
                return;
            }
            DialMood::Hangs | DialMood::Shows(_) => return,
        };
    }

    /// What the call's caller is told.
    pub(crate) fn reading(&self, call: &Call, at: Timestamp) -> DialReading {
        let asked = call.asked.clone();
        if self.mood == DialMood::Hangs {
            return DialReading {
                asked,
                achieved: None,
                state: DialState::Unknown,
                generation: None,
                reached: None,
                detail: format!("no end within {CALL_LIMIT}; it was killed"),
                at,
            };
        }
        let achieved = match self.mood {
            DialMood::Lies => asked.share,
            _ => self.value,
        };
        let tolerance = if asked.share.is_partial() && achieved.is_partial() {
            STEP
        } else {
            0
        };
        let arrived = achieved.get().abs_diff(asked.share.get()) <= tolerance;
        DialReading {
            state: if arrived {
                DialState::Converged
            } else {
                DialState::Pending
            },
            detail: format!("read {achieved}"),
            asked,
            achieved: Some(achieved),
            generation: None,
            reached: None,
            at,
        }
    }
}
