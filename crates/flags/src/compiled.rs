//! A split made ready to be asked for each request.
//!
//! Without segments an answer costs one hash and one comparison (with a known
//! population a binary search), and no allocation. Segments come first: the release
//! exposes them whatever the share. What comes before both (a kill, an abort) is
//! whether there is a split at all, and is decided where generations are made.

use crate::assignment::{Assignment, Reason};
use crate::bucket::{UnitOrder, in_share};
use crate::population::KnownPopulation;
use crate::request::{RequestContext, RequestScope, request_schema};
use crate::split::SplitSpec;
use esclusa_expr::{ExprError, Program};
use esclusa_model::{BasisPoints, Digest, Salt};
use std::fmt;

/// Most segments in one split.
pub const MAX_SEGMENTS: usize = 64;

/// Why a split cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Conditions that do not compile; all of them.
    #[error("{}", join(.0))]
    Segments(Vec<SegmentError>),
    /// Two segments of one name, which no explanation could tell apart.
    #[error("segment {0:?} is there twice")]
    DuplicateSegment(String),
    /// More segments than are evaluated for one request.
    #[error("the split has {0} segments, {MAX_SEGMENTS} are allowed")]
    TooManySegments(usize),
    /// A known unit without an id.
    #[error("unit {0} of the known units is empty")]
    EmptyUnit(usize),
}

/// What is wrong with one segment's condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentError {
    /// The segment's place in the split, from 0.
    pub index: usize,
    /// The segment's name.
    pub name: String,
    /// Every problem, with its place in the condition; never none.
    pub errors: Vec<ExprError>,
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {:?}: ", self.name)?;
        for (i, error) in self.errors.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}at {}: {error}", error.span)?;
        }
        Ok(())
    }
}

fn join(errors: &[SegmentError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[derive(Debug, Clone)]
struct Segment {
    name: String,
    when: Program,
}

/// A split that has been checked and can be asked.
#[derive(Debug, Clone)]
pub struct CompiledSplit {
    canary: Digest,
    share: BasisPoints,
    order: UnitOrder,
    segments: Vec<Segment>,
    known: Option<KnownPopulation>,
}

impl CompiledSplit {
    /// Checks and prepares a split.
    ///
    /// # Errors
    /// [`SplitError`] when a segment's condition does not compile, segments are too
    /// many or share a name, or a known unit has no id.
    pub fn new(spec: &SplitSpec) -> Result<Self, SplitError> {
        if let Some(index) = spec.population.iter().position(String::is_empty) {
            return Err(SplitError::EmptyUnit(index));
        }
        let order = UnitOrder::new(&spec.salt);
        let known = (spec.share.is_partial() && !spec.population.is_empty())
            .then(|| KnownPopulation::new(&spec.population, &order, spec.share));
        let segments = compile_segments(spec)?;
        Ok(Self {
            canary: spec.canary,
            share: spec.share,
            order,
            segments,
            known,
        })
    }

    /// Where `unit`'s request goes: segments in their order, then the share.
    ///
    /// An empty `unit` means that the request names none. Such requests have nothing
    /// to stick to and are one crowd, so that a partial share never holds them.
    #[must_use]
    pub fn assign(&self, unit: &str, request: &dyn RequestContext) -> Assignment<'_> {
        if !self.segments.is_empty()
            && let Some(segment) = self.matching(request)
        {
            return Reason::Segment(&segment.name).into();
        }
        self.by_share(unit).into()
    }

    /// How many of these units the share exposes. Segments are left out: whether one
    /// holds is known only for a request.
    #[must_use]
    pub fn exposed_count<I>(&self, population: I) -> usize
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let exposed = |unit: &I::Item| self.by_share(unit.as_ref()).side().is_exposed();
        population.into_iter().filter(exposed).count()
    }

    /// The answer of [`CompiledSplit::assign`] in words.
    #[must_use]
    pub fn explain(&self, unit: &str, request: &dyn RequestContext) -> String {
        let assignment = self.assign(unit, request);
        // Quoted and escaped: a unit's id is the client's text.
        let who = if unit.is_empty() {
            "a request without unit".into()
        } else {
            format!("{unit:?}")
        };
        let goes = match assignment.side.is_exposed() {
            true => format!("goes to the canary {}", self.canary.short()),
            false => "stays with the stable version".to_owned(),
        };
        let mut text = format!("{who} {goes}: {}", assignment.reason);
        match assignment.reason {
            Reason::Segment(name) => {
                if let Some(segment) = self.segments.iter().find(|s| s.name == name) {
                    text.push_str(&format!(" ({})", segment.when.source()));
                }
            }
            Reason::Share { .. } | Reason::NotInShare { .. } | Reason::Rank { .. } => {
                text.push_str(&format!(" (order of salt {})", self.order.salt()));
            }
            Reason::Everyone | Reason::Nobody | Reason::NoUnit => {}
        }
        if !matches!(assignment.reason, Reason::Segment(_)) && !self.segments.is_empty() {
            let names: Vec<_> = self.segments.iter().map(|s| s.name.as_str()).collect();
            text.push_str(&format!("; no segment holds ({})", names.join(", ")));
        }
        text
    }

    /// The version that chosen units are sent to.
    #[must_use]
    pub fn canary(&self) -> Digest {
        self.canary
    }

    /// The share of units by hash.
    #[must_use]
    pub fn share(&self) -> BasisPoints {
        self.share
    }

    /// What orders the units.
    #[must_use]
    pub fn salt(&self) -> &Salt {
        self.order.salt()
    }

    fn matching(&self, request: &dyn RequestContext) -> Option<&Segment> {
        let scope = RequestScope(request);
        self.segments
            .iter()
            .find(|segment| segment.when.eval(&scope))
    }

    fn by_share(&self, unit: &str) -> Reason<'static> {
        let share = self.share;
        if share == BasisPoints::ZERO {
            return Reason::Nobody;
        }
        if share == BasisPoints::FULL {
            return Reason::Everyone;
        }
        if unit.is_empty() {
            return Reason::NoUnit;
        }
        let bucket = self.order.bucket(unit);
        if let Some(known) = &self.known
            && let Some(rank) = known.rank(bucket, unit)
        {
            return Reason::Rank {
                rank,
                exposed: known.exposed(),
                known: known.len(),
                share,
            };
        }
        if in_share(bucket, share) {
            Reason::Share { bucket, share }
        } else {
            Reason::NotInShare { bucket, share }
        }
    }
}

fn compile_segments(spec: &SplitSpec) -> Result<Vec<Segment>, SplitError> {
    if spec.segments.len() > MAX_SEGMENTS {
        return Err(SplitError::TooManySegments(spec.segments.len()));
    }
    let schema = request_schema();
    let (mut segments, mut broken) = (Vec::<Segment>::new(), Vec::new());
    for (index, rule) in spec.segments.iter().enumerate() {
        if spec.segments[..index]
            .iter()
            .any(|earlier| earlier.name == rule.name)
        {
            return Err(SplitError::DuplicateSegment(rule.name.clone()));
        }
        match Program::compile(&rule.when, &schema) {
            Ok(when) => segments.push(Segment {
                name: rule.name.clone(),
                when,
            }),
            Err(errors) => broken.push(SegmentError {
                index,
                name: rule.name.clone(),
                errors,
            }),
        }
    }
    if broken.is_empty() {
        Ok(segments)
    } else {
        Err(SplitError::Segments(broken))
    }
}
