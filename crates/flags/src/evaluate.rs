//! The order of choice, in the one place where it is made.
//!
//! 1. **Kill.** Whatever else is said, a killed flag serves its off variant.
//! 2. **State.** A flag that the environment disables serves its off variant.
//! 3. **Prerequisites.** One that serves another variant than is needed: off.
//! 4. **Tester.** A verified token shows its bearer the variant that it names.
//! 5. **Override.** The user's, else the tenant's.
//! 6. **Rules** with a condition or segment, in their order; the first that applies.
//! 7. **Shares**, in their order. Compilation refuses them before rules of 6.
//! 8. **Default** of the environment, else of the flag, else off.
//!
//! A share that needs a unit which the context does not name ends the search with the
//! safe value: nobody is treated as somebody else.

use crate::answer::{Answer, Detail, EvaluationError, FlagReason, RuleRef};
use crate::bucket::in_share;
use crate::context::{Context, Digits, Memo};
use crate::names::Names;
use crate::snapshot::{
    FlagInfo, KnownEdge, Needed, Rule, Serve, Share, TARGETING_KEY, TENANT, USER,
};
use esclusa_model::BasisPoints;

/// What an evaluation came upon; explanations are made of these.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fact {
    Kill(Option<u64>),
    Enabled(bool),
    Prerequisite(Needed, Memo),
    Tester(Option<u32>),
    User(Option<u32>),
    Tenant(Option<u32>),
    Condition(At, u32, Option<bool>),
    Segment(At, u32, Option<bool>),
    Share(At, Share, Result<Drawn, u16>),
    Distribution(At, Result<(u64, u32), u16>),
    Serves(At, u32),
    Default(u32),
}

/// A rule: its place among all rules, and among its flag's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) rule: u32,
    pub(crate) index: u32,
}

/// Whether a unit is in a share.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Drawn {
    /// The share is nobody or everybody.
    Whole(bool),
    /// By the unit's bucket.
    Bucket(u64, bool),
    /// By the unit's place among all known ones.
    Rank(u64, u32, bool),
}

impl Drawn {
    pub(crate) fn is_in(self) -> bool {
        match self {
            Self::Whole(inside) | Self::Bucket(_, inside) | Self::Rank(_, _, inside) => inside,
        }
    }
}

/// Who watches an evaluation.
pub(crate) trait Witness {
    fn saw(&mut self, fact: Fact);
}

/// Nobody does.
struct Silent;

impl Witness for Silent {
    #[inline(always)]
    fn saw(&mut self, _: Fact) {}
}

/// What decided, small enough for two registers; an answer spells it out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cause {
    Killed,
    Disabled,
    /// The place among all prerequisites.
    Prerequisite(u32),
    Tester,
    User,
    Tenant,
    Rule(At),
    Share(At),
    Distribution(At),
    Default,
    /// The slot of a unit that the context lacks.
    Missing(u16),
}

/// The variant and what decided.
pub(crate) type Decision = (u32, Cause);

impl<'s> Context<'s> {
    /// The answer for one flag.
    #[must_use]
    pub fn evaluate(&self, key: &str) -> Answer<'s> {
        match self.snapshot().keys.find(key) {
            Some(id) => self.quick(id),
            None => Answer {
                value: None,
                variant: None,
                reason: FlagReason::Error,
                detail: Detail::Error(EvaluationError::FlagNotFound),
            },
        }
    }

    /// The answers for all flags, in the order of their keys, of one revision.
    pub fn evaluate_all(&self) -> impl Iterator<Item = (FlagInfo<'s>, Answer<'s>)> + '_ {
        let flags = self.snapshot().flags();
        (0u32..).zip(flags).map(|(id, info)| (info, self.quick(id)))
    }

    /// Where there is nothing to ask, the default is what [`Context::decide`] would
    /// come to.
    #[inline]
    fn quick(&self, id: u32) -> Answer<'s> {
        let flag = &self.snapshot().flags[id as usize];
        if !flag.plain || self.has_grants() {
            return self.answer(id, self.decide(id, &mut Silent));
        }
        let variant = &self.snapshot().variants[flag.default as usize];
        Answer {
            value: Some(&variant.value),
            variant: Some(&variant.name),
            reason: FlagReason::Static,
            detail: match flag.default_of_environment {
                true => Detail::EnvironmentDefault,
                false => Detail::FlagDefault,
            },
        }
    }

    #[inline]
    pub(crate) fn answer(&self, id: u32, (variant, cause): Decision) -> Answer<'s> {
        let snapshot = self.snapshot();
        let flag = &snapshot.flags[id as usize];
        let variant = &snapshot.variants[variant as usize];
        let named = |at: At| RuleRef {
            index: at.index,
            name: snapshot.rules[at.rule as usize].name.as_deref(),
        };
        let detail = match cause {
            Cause::Killed => Detail::Killed {
                epoch: flag.killed.unwrap_or_default(),
            },
            Cause::Disabled => Detail::Disabled,
            Cause::Prerequisite(place) => self.unmet(place),
            Cause::Tester => Detail::Tester,
            Cause::User => Detail::User,
            Cause::Tenant => Detail::Tenant,
            Cause::Rule(at) => Detail::Rule(named(at)),
            Cause::Share(at) => Detail::Share {
                rule: named(at),
                share: match &snapshot.rules[at.rule as usize].share {
                    Some(share) => share.share,
                    None => BasisPoints::FULL, // a rule with a share has one
                },
            },
            Cause::Distribution(at) => Detail::Distribution(named(at)),
            Cause::Default if flag.default_of_environment => Detail::EnvironmentDefault,
            Cause::Default => Detail::FlagDefault,
            Cause::Missing(slot) => Detail::Error(self.missing(slot)),
        };
        Answer {
            value: Some(&variant.value),
            variant: Some(&variant.name),
            reason: detail.reason(flag.alike),
            detail,
        }
    }

    pub(crate) fn decide<W: Witness>(&self, id: u32, witness: &mut W) -> Decision {
        let snapshot = self.snapshot();
        let flag = &snapshot.flags[id as usize];
        witness.saw(Fact::Kill(flag.killed));
        if flag.killed.is_some() {
            return (flag.off, Cause::Killed);
        }
        witness.saw(Fact::Enabled(flag.enabled));
        if !flag.enabled {
            return (flag.off, Cause::Disabled);
        }
        let needed = &snapshot.prerequisites[range(&flag.prerequisites)];
        for (needed, place) in needed.iter().zip(flag.prerequisites.start..) {
            let got = self.parent(needed.flag);
            witness.saw(Fact::Prerequisite(*needed, got));
            if got != Memo::Serves(needed.variant) {
                return (flag.off, Cause::Prerequisite(place));
            }
        }
        let granted = self.granted(id);
        witness.saw(Fact::Tester(granted));
        if let Some(variant) = granted {
            return (variant, Cause::Tester);
        }
        let (user, tenant) = match &flag.overrides {
            Some(overrides) => (
                self.overridden(&overrides.users, USER),
                self.overridden(&overrides.tenants, TENANT),
            ),
            None => (None, None),
        };
        witness.saw(Fact::User(user));
        if let Some(variant) = user {
            return (variant, Cause::User);
        }
        witness.saw(Fact::Tenant(tenant));
        if let Some(variant) = tenant {
            return (variant, Cause::Tenant);
        }
        let first = flag.rules.start;
        for (rule, at) in snapshot.rules[range(&flag.rules)].iter().zip(first..) {
            let at = At {
                rule: at,
                index: at - first,
            };
            match self.rule(rule, at, witness) {
                Ok(None) => {}
                Ok(Some(decision)) => return decision,
                Err(slot) => return (flag.safe, Cause::Missing(slot)),
            }
        }
        witness.saw(Fact::Default(flag.default));
        (flag.default, Cause::Default)
    }

    /// What a prerequisite serves, decided once a context.
    fn parent(&self, id: u32) -> Memo {
        let place = self.snapshot().flags[id as usize].parent;
        if let Some(place) = place
            && let known @ (Memo::Serves(_) | Memo::Undecided) = self.parent_memo(place)
        {
            return known;
        }
        // No deeper than MAX_NESTING, which compilation has seen to.
        let memo = match self.decide(id, &mut Silent) {
            (_, Cause::Missing(_)) => Memo::Undecided,
            (variant, _) => Memo::Serves(variant),
        };
        if let Some(place) = place {
            self.keep_parent(place, memo);
        }
        memo
    }

    #[cold]
    fn unmet(&self, place: u32) -> Detail<'s> {
        let snapshot = self.snapshot();
        let needed = snapshot.prerequisites[place as usize];
        let got = self.parent(needed.flag);
        let name = |variant: u32| &*snapshot.variants[variant as usize].name;
        Detail::Prerequisite {
            flag: snapshot.keys.text(needed.flag),
            wanted: name(needed.variant),
            got: match got {
                Memo::Serves(variant) => Some(name(variant)),
                Memo::Undecided | Memo::Unasked => None,
            },
        }
    }

    fn overridden(&self, (units, variants): &(Names, Vec<u32>), slot: u16) -> Option<u32> {
        if variants.is_empty() {
            return None;
        }
        let mut digits = Digits::default();
        let unit = units.find(self.unit(slot, &mut digits)?)?;
        variants.get(unit as usize).copied()
    }

    /// The rule's decision, when it applies; the slot of a unit that it needs and the
    /// context lacks as an error.
    fn rule<W: Witness>(
        &self,
        rule: &Rule,
        at: At,
        witness: &mut W,
    ) -> Result<Option<Decision>, u16> {
        if let Some(condition) = rule.condition {
            let holds = self.snapshot().conditions[condition as usize].outcome(self);
            witness.saw(Fact::Condition(at, condition, holds));
            if holds != Some(true) {
                return Ok(None);
            }
        }
        if let Some(segment) = rule.segment {
            let belongs = self.belongs(segment);
            witness.saw(Fact::Segment(at, segment, belongs));
            if belongs != Some(true) {
                return Ok(None);
            }
        }
        if let Some(share) = &rule.share {
            let drawn = self.draw(share);
            witness.saw(Fact::Share(at, *share, drawn));
            if !drawn?.is_in() {
                return Ok(None);
            }
        }
        match &rule.serve {
            Serve::Variant(variant) => {
                witness.saw(Fact::Serves(at, *variant));
                let cause = match rule.share {
                    Some(_) => Cause::Share(at),
                    None => Cause::Rule(at),
                };
                Ok(Some((*variant, cause)))
            }
            Serve::Distribution { of, order, parts } => {
                let drawn = self.bucket(*of, *order).map(|(bucket, _)| {
                    let parts = &self.snapshot().weights[range(parts)];
                    let part = parts.iter().find(|part| in_share(bucket, part.below));
                    // The last part ends at 100 %, which compilation has seen to.
                    (bucket, part.or(parts.last()).map_or(0, |part| part.variant))
                });
                witness.saw(Fact::Distribution(at, drawn));
                let (_, variant) = drawn?;
                Ok(Some((variant, Cause::Distribution(at))))
            }
        }
    }

    /// Whether the context belongs to a segment, decided once a context; `None` when
    /// that hangs on something that is not known.
    pub(crate) fn belongs(&self, id: u32) -> Option<bool> {
        if let Some(known) = self.segment_memo(id) {
            return known;
        }
        let segment = &self.snapshot().segments[id as usize];
        let mut digits = Digits::default();
        let by_key = match self.unit(segment.of, &mut digits) {
            _ if segment.keys.len() == 0 => Some(false),
            Some(unit) => Some(segment.keys.find(unit).is_some()),
            None => None,
        };
        let by_condition = || match segment.condition {
            Some(condition) => self.snapshot().conditions[condition as usize].outcome(self),
            None => Some(false),
        };
        let mut belongs = by_key;
        if belongs != Some(true) {
            belongs = either(belongs, by_condition());
        }
        for inner in &self.snapshot().inner_segments[range(&segment.inner)] {
            if belongs == Some(true) {
                break;
            }
            // No deeper than MAX_NESTING, which compilation has seen to.
            belongs = either(belongs, self.belongs(*inner));
        }
        self.keep_segment(id, belongs);
        belongs
    }

    fn bucket(&self, of: u16, order: u32) -> Result<(u64, Option<u32>), u16> {
        let mut digits = Digits::default();
        let unit = self.unit(of, &mut digits).ok_or(of)?;
        let known = match of {
            TENANT => self.snapshot().directory.ids.find(unit),
            _ => None,
        };
        let bucket = self.snapshot().orders[order as usize].bucket(unit);
        Ok((bucket, known))
    }

    fn draw(&self, share: &Share) -> Result<Drawn, u16> {
        if !share.share.is_partial() {
            return Ok(Drawn::Whole(share.share.get() > 0));
        }
        let (bucket, tenant) = self.bucket(share.of, share.order)?;
        Ok(match (share.known, tenant) {
            (Some(edge), Some(tenant)) => {
                Drawn::Rank(bucket, tenant, is_before(&edge, bucket, tenant))
            }
            _ => Drawn::Bucket(bucket, in_share(bucket, share.share)),
        })
    }

    fn missing(&self, slot: u16) -> EvaluationError<'s> {
        match slot {
            TARGETING_KEY => EvaluationError::TargetingKeyMissing,
            slot => EvaluationError::UnitMissing {
                attribute: &self.snapshot().attributes[usize::from(slot)].name,
            },
        }
    }
}

/// Whether a unit stands no later than the last one that is exposed.
fn is_before(edge: &KnownEdge, bucket: u64, tenant: u32) -> bool {
    (bucket, tenant) <= (edge.bucket, edge.tenant)
}

fn either(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (None, _) | (_, None) => None,
        _ => Some(false),
    }
}

pub(crate) fn range(range: &std::ops::Range<u32>) -> std::ops::Range<usize> {
    range.start as usize..range.end as usize
}
