//! What happened in a release, to be drawn into its charts.

use crate::report::decision_of;
use esclusa_model::Envelope;
use esclusa_release::{Event, Phase, Release};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most marks in one answer; older ones are counted, not shown.
const MOST: usize = 500;

/// What a mark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A stage began.
    Stage,
    /// It went on to something that is no stage.
    Phase,
    /// It waits for something that is missing.
    Hold,
    /// What was missing is there.
    HoldEnd,
    /// The judge says something else than before.
    Judged,
    /// A person decided something, or agreed.
    Person,
    /// It goes back.
    Return,
    /// It is over.
    End,
    /// Anything else that was decided.
    Other,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Mark {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What it is about.
    pub kind: MarkKind,
    /// What, in words.
    pub what: String,
    /// Why, possibly empty.
    pub why: String,
    /// Who.
    pub by: String,
    /// Its event's position in the release's stream.
    pub position: u64,
}

/// The newest marks, oldest first, and how many older ones there are.
pub(super) fn marks(release: &Release, events: &[Envelope]) -> (Vec<Mark>, u64) {
    let stages = crate::view::stage_words(&release.requested.plan);
    let mut marks: Vec<Mark> = events
        .iter()
        .filter_map(|event| mark(event, &stages))
        .collect();
    let older = marks.len().saturating_sub(MOST);
    marks.drain(..older);
    (marks, older as u64)
}

fn mark(stored: &Envelope, stages: &[String]) -> Option<Mark> {
    let decision = decision_of(stored, stages)?;
    let kind = match Event::from_stored(&stored.kind, &stored.payload) {
        Ok(event) => kind(&event),
        Err(_) => MarkKind::Other,
    };
    let evidence = decision.evidence.unwrap_or_default();
    Some(Mark {
        at_ms: stored.at.0.div_euclid(1_000),
        kind,
        what: decision.what,
        why: if decision.why.is_empty() {
            evidence
        } else {
            decision.why
        },
        by: decision.by,
        position: stored.position,
    })
}

const fn kind(event: &Event) -> MarkKind {
    match event {
        Event::Advanced {
            to: Phase::Stage(_),
            ..
        } => MarkKind::Stage,
        Event::Advanced { .. } => MarkKind::Phase,
        Event::HoldBegan { .. } => MarkKind::Hold,
        Event::HoldEnded => MarkKind::HoldEnd,
        Event::Judged(_) => MarkKind::Judged,
        Event::SignedOff(_)
        | Event::Paused(_)
        | Event::Resumed(_)
        | Event::Skipped(_)
        | Event::PromoteAsked(_)
        | Event::Requested(_) => MarkKind::Person,
        Event::ReturnDecided(_) | Event::ReturnedByProxy { .. } => MarkKind::Return,
        Event::Ended { .. } => MarkKind::End,
        Event::OverBudget { .. }
        | Event::Prepared { .. }
        | Event::TaskStarted { .. }
        | Event::TaskEnded { .. }
        | Event::Deployed { .. }
        | Event::FlagsChange { .. }
        | Event::DialConfirmed(_) => MarkKind::Other,
    }
}
