//! What the shell saw of the world. What it could not see is `None`, never a guess.

use esclusa_model::{BasisPoints, GenerationId, Millis, Timestamp};
use esclusa_release::{Evidence, Exposure, Reached};

/// How far a dial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialState {
    /// It shows what was asked for.
    Converged,
    /// It is on its way, as far as it can tell.
    Pending,
    /// It cannot tell.
    Unknown,
}

/// A dial as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialReading {
    /// What was asked for when it was read.
    pub asked: Exposure,
    /// The share it shows, if it shows one.
    pub achieved: Option<BasisPoints>,
    /// How far it is.
    pub state: DialState,
    /// The generation in which it is so, for the built-in proxy.
    pub generation: Option<GenerationId>,
    /// Who that is, where units are known by name.
    pub reached: Option<Reached>,
    /// What it said, for people.
    pub detail: String,
    /// When it was read.
    pub at: Timestamp,
}

/// What the judge says right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// Harm: go back.
    Rollback,
    /// Harmlessness is proved.
    Proceed,
    /// Neither.
    Hold,
}

/// What the judge says at the end of the stage's watch, the plan's policy applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageEnd {
    /// Go on; the reason says what was proved.
    Advance(String),
    /// Wait; the reason says for what.
    Hold(String),
    /// Go back.
    Rollback(String),
}

/// The judge's view of the present stage and of no other: what was said of the stage
/// before is `None` until the judge has looked at this one.
///
/// At 100 % and on a first deployment there is nothing to compare with. Whoever makes
/// the judgement still says how the stage ends: `at_end` advances when no limit is
/// broken, also without traffic, and its words say on how little that rests.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Right now.
    pub opinion: Opinion,
    /// If the watch ended now.
    pub at_end: StageEnd,
    /// In words and numbers.
    pub evidence: Evidence,
}

/// Everything the engine may look at besides the release's own state.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Now.
    pub now: Timestamp,
    /// Since when this shell has carried the release without a gap. A dial and a task
    /// have their whole time again after a restart: nobody turned or ran them meanwhile.
    pub watching_since: Timestamp,
    /// The newest reading of the dial.
    pub dial: Option<DialReading>,
    /// Whether the traffic driver counts requests by version at all.
    pub observes: bool,
    /// The judge's view, once there is one.
    pub judgement: Option<Judgement>,
    /// How long no counts have arrived, where the driver counts.
    pub silent_for: Millis,
    /// A number that a proof is asked of and that nobody could read for longer than the
    /// plan tolerates: which and why, in words.
    pub unread: Option<String>,
    /// A proxy returned this release's share by itself because control was lost, and has
    /// not been told since that nobody is exposed.
    pub returned_by_proxy: bool,
    /// An instance of the canary ended by itself or cannot be started again: which, how,
    /// and its last lines, in words. One that went with its machine is no such news.
    pub canary_ended: Option<String>,
    /// Whether anything runs that [`desired`](crate::desired) does not list for the very
    /// state that is asked about: tasks that still have to be cancelled, and cancelled
    /// ones that have not ended. Nothing is put back beside them.
    pub busy: bool,
}
