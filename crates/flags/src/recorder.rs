//! The steps of an explanation, written down while the evaluator walks.

use crate::assignment::Reason;
use crate::context::{Context, Digits, Found, Memo};
use crate::evaluate::{At, Drawn, Fact, Witness, range};
use crate::explain::{Stage, Step};
use crate::snapshot::{Share, TENANT, USER};
use std::collections::BTreeSet;

/// Watches an evaluation and writes down its steps.
pub(crate) struct Recorder<'c, 's> {
    context: &'c Context<'s>,
    steps: Vec<Step>,
}

impl<'c, 's> Recorder<'c, 's> {
    pub(crate) fn new(context: &'c Context<'s>) -> Self {
        Self {
            context,
            steps: Vec::new(),
        }
    }

    /// The steps; the last one decided.
    pub(crate) fn finish(mut self) -> Vec<Step> {
        if let Some(last) = self.steps.last_mut() {
            last.decides = true;
        }
        self.steps
    }

    fn step(&mut self, stage: Stage, asked: impl Into<String>, found: impl Into<String>) {
        self.steps.push(Step {
            stage,
            asked: asked.into(),
            found: found.into(),
            decides: false,
            because: Vec::new(),
        });
    }

    fn variant(&self, id: u32) -> &'s str {
        &self.context.snapshot().variants[id as usize].name
    }

    fn rule(&self, at: At) -> String {
        let rule = &self.context.snapshot().rules[at.rule as usize];
        match &rule.name {
            Some(name) => format!("rule {} {name:?}", at.index + 1),
            None => format!("rule {}", at.index + 1),
        }
    }

    fn name(&self, slot: u16) -> &'s str {
        &self.context.snapshot().attributes[usize::from(slot)].name
    }

    /// A value as it is. It is the client's text, so it is quoted and cut.
    fn value(&self, slot: u16) -> String {
        let name = self.name(slot);
        match self.context.found(slot) {
            Found::Absent => format!("{name} is missing"),
            Found::Mistyped => format!("{name} is of another type, so missing"),
            Found::Text(text) => format!("{name} is {}", quoted(text)),
            Found::Integer(number) => format!("{name} is {number}"),
            Found::Float(number) => format!("{name} is {number:?}"),
            Found::Boolean(value) => format!("{name} is {value}"),
        }
    }

    fn values(&self, slots: impl IntoIterator<Item = u16>) -> String {
        let words: Vec<String> = slots.into_iter().map(|slot| self.value(slot)).collect();
        words.join(", ")
    }

    /// What a condition asks for, as it is.
    fn read_by(&self, condition: u32) -> String {
        let reads = self.context.snapshot().conditions[condition as usize].reads();
        self.values(reads.into_iter().map(|slot| slot.0))
    }

    /// What a segment, with those inside it, asks for in vain.
    fn lacking(&self, segment: u32) -> String {
        let snapshot = self.context.snapshot();
        let (mut slots, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut open = vec![segment];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let segment = &snapshot.segments[id as usize];
            if segment.keys.len() > 0 {
                slots.insert(segment.of);
            }
            if let Some(condition) = segment.condition {
                let reads = snapshot.conditions[condition as usize].reads();
                slots.extend(reads.into_iter().map(|slot| slot.0));
            }
            open.extend(&snapshot.inner_segments[range(&segment.inner)]);
        }
        slots.retain(|slot| matches!(self.context.found(*slot), Found::Absent | Found::Mistyped));
        self.values(slots)
    }

    /// Whether somebody has an override, and for what variant.
    fn overridden(&mut self, slot: u16, variant: Option<u32>) {
        let asked = format!("is there an override for this {}?", self.name(slot));
        let found = match variant {
            Some(variant) => format!("yes, {} gets {:?}", self.unit(slot), self.variant(variant)),
            None => format!("no, {}", self.value(slot)),
        };
        self.step(Stage::Override, asked, found);
    }

    /// Names the unit as the client wrote it, quoted and cut.
    fn unit(&self, slot: u16) -> String {
        let name = self.name(slot);
        let mut digits = Digits::default();
        match self.context.unit(slot, &mut digits) {
            Some(unit) => format!("{name} {}", quoted(unit)),
            None => format!("no {name}"),
        }
    }

    fn drawn(&self, share: &Share, drawn: Drawn) -> String {
        let snapshot = self.context.snapshot();
        let order = &snapshot.orders[share.order as usize];
        let reason = match drawn {
            Drawn::Whole(true) => Reason::Everyone,
            Drawn::Whole(false) => Reason::Nobody,
            Drawn::Bucket(bucket, true) => Reason::Share {
                bucket,
                share: share.share,
            },
            Drawn::Bucket(bucket, false) => Reason::NotInShare {
                bucket,
                share: share.share,
            },
            Drawn::Rank(bucket, tenant, _) => {
                let ids = snapshot.directory.ids.iter();
                let places = ids.map(|id| order.bucket(id)).zip(0u32..);
                Reason::Rank {
                    rank: places.filter(|place| *place < (bucket, tenant)).count(),
                    exposed: share.known.map_or(0, |edge| edge.exposed as usize),
                    known: snapshot.directory.ids.len(),
                    share: share.share,
                }
            }
        };
        match drawn {
            Drawn::Whole(_) => reason.to_string(),
            _ => format!(
                "{}: {reason} (order of salt {})",
                self.unit(share.of),
                order.salt()
            ),
        }
    }
}

fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    format!("{cut:?}")
}

fn known(outcome: Option<bool>, yes: &str, no: &str) -> String {
    match outcome {
        Some(true) => yes.to_owned(),
        Some(false) => no.to_owned(),
        None => "not known".to_owned(),
    }
}

impl Witness for Recorder<'_, '_> {
    fn saw(&mut self, fact: Fact) {
        let snapshot = self.context.snapshot();
        match fact {
            Fact::Kill(None) => self.step(Stage::Kill, "is it killed?", "no"),
            Fact::Kill(Some(epoch)) => {
                self.step(Stage::Kill, "is it killed?", format!("yes, epoch {epoch}"));
            }
            Fact::Enabled(enabled) => {
                let asked = format!("is it enabled in {}?", snapshot.environment);
                self.step(Stage::State, asked, if enabled { "yes" } else { "no" });
            }
            Fact::Prerequisite(needed, got) => {
                let flag = snapshot.keys.text(needed.flag);
                let wanted = self.variant(needed.variant);
                let found = match got {
                    Memo::Serves(got) => format!("it serves {:?}", self.variant(got)),
                    Memo::Undecided | Memo::Unasked => "it cannot decide".to_owned(),
                };
                let asked = format!("does {flag:?} serve {wanted:?}?");
                self.step(Stage::Prerequisite, asked, found);
                if got != Memo::Serves(needed.variant) {
                    // One unmet flag a level: the way down is never longer than the nesting.
                    let mut below = Recorder::new(self.context);
                    let _ = self.context.decide(needed.flag, &mut below);
                    let because = below.finish();
                    if let Some(last) = self.steps.last_mut() {
                        last.because = because;
                    }
                }
            }
            Fact::Tester(variant) => {
                let found = match variant {
                    Some(variant) => format!("yes, for {:?}", self.variant(variant)),
                    None if self.context.has_grants() => "yes, and not for this flag".to_owned(),
                    None => "no".to_owned(),
                };
                self.step(Stage::Tester, "is there a tester token?", found);
            }
            Fact::User(variant) => self.overridden(USER, variant),
            Fact::Tenant(variant) => self.overridden(TENANT, variant),
            Fact::Condition(at, condition, holds) => {
                let source = snapshot.conditions[condition as usize].source();
                let asked = format!("{}, when {source}", self.rule(at));
                let outcome = known(holds, "holds", "does not hold");
                let read = self.read_by(condition);
                let found = match read.is_empty() {
                    true => outcome,
                    false => format!("{outcome}, {read}"),
                };
                self.step(Stage::Rule, asked, found);
            }
            Fact::Segment(at, segment, belongs) => {
                let name = &snapshot.segments[segment as usize].name;
                let asked = format!("{}, segment {name:?}", self.rule(at));
                let outcome = known(belongs, "belongs to it", "does not belong to it");
                let found = match belongs {
                    Some(_) => outcome,
                    None => format!("{outcome}, {}", self.lacking(segment)),
                };
                self.step(Stage::Rule, asked, found);
            }
            Fact::Share(at, share, drawn) => {
                let asked = format!("{}, a share of {}", self.rule(at), share.share);
                let found = match drawn {
                    Ok(drawn) => self.drawn(&share, drawn),
                    Err(slot) => format!("{} in the context: the safe value", self.unit(slot)),
                };
                self.step(Stage::Share, asked, found);
            }
            Fact::Distribution(at, drawn) => {
                let asked = format!("{}, its distribution", self.rule(at));
                let found = match drawn {
                    Ok((bucket, variant)) => {
                        let position = crate::bucket::position(bucket);
                        let (whole, rest) = (position / 100, position % 100);
                        let name = self.variant(variant);
                        format!("the unit stands at {whole}.{rest:02}%: {name:?}")
                    }
                    Err(slot) => format!("{} in the context: the safe value", self.unit(slot)),
                };
                self.step(Stage::Share, asked, found);
            }
            Fact::Serves(at, variant) => {
                let found = format!("{:?}", self.variant(variant));
                self.step(Stage::Rule, format!("{} serves", self.rule(at)), found);
            }
            Fact::Default(variant) => {
                let found = format!("{:?}", self.variant(variant));
                self.step(Stage::Default, "no rule applies, the default is", found);
            }
        }
    }
}
