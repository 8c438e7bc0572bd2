//! Why an answer is what it is: the evaluator's own steps, written down.

use crate::answer::{Answer, FlagReason};
use crate::assignment::Reason;
use crate::context::{Context, Found, Memo};
use crate::evaluate::{At, Drawn, Fact, Witness};
use crate::snapshot::Share;
use crate::value::FlagValue;
use serde::Serialize;
use std::fmt;

/// An answer with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// The flag.
    pub flag: String,
    /// The environment.
    pub environment: String,
    /// The revision.
    pub revision: u64,
    /// The variant; `None` when there is no such flag.
    pub variant: Option<String>,
    /// Its value.
    pub value: Option<FlagValue>,
    /// OpenFeature's reason.
    pub reason: FlagReason,
    /// Our own, in words.
    pub detail: String,
    /// OpenFeature's error code, when nothing could be decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// What was asked, in its order; the last one decided.
    pub steps: Vec<Step>,
}

/// One question on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Which part of the order of choice.
    pub stage: Stage,
    /// What was asked.
    pub asked: String,
    /// What was found.
    pub found: String,
    /// Whether this decided.
    pub decides: bool,
    /// The steps of another flag that led to this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Step>,
}

/// The parts of the order of choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Kills.
    Kill,
    /// The state in this environment.
    State,
    /// Other flags.
    Prerequisite,
    /// Tester tokens.
    Tester,
    /// Single users and tenants.
    Override,
    /// Conditions and segments.
    Rule,
    /// Shares and distributions.
    Share,
    /// The defaults.
    Default,
}

impl Context<'_> {
    /// The answer for one flag, with every step that led to it.
    #[must_use]
    pub fn explain(&self, key: &str) -> Explanation {
        let snapshot = self.snapshot();
        let (answer, steps) = match snapshot.keys.find(key) {
            Some(id) => {
                let mut recorder = Recorder::new(self);
                let decision = self.decide(id, &mut recorder);
                (self.answer(id, decision), recorder.finish())
            }
            None => (self.evaluate(key), Vec::new()),
        };
        let Answer {
            value,
            variant,
            reason,
            detail,
        } = answer;
        Explanation {
            flag: key.to_owned(),
            environment: snapshot.environment.clone(),
            revision: snapshot.revision,
            variant: variant.map(str::to_owned),
            value: value.cloned(),
            reason,
            detail: detail.to_string(),
            error: answer.error().map(|error| error.code()),
            steps,
        }
    }
}

struct Recorder<'c, 's> {
    context: &'c Context<'s>,
    steps: Vec<Step>,
}

impl<'c, 's> Recorder<'c, 's> {
    fn new(context: &'c Context<'s>) -> Self {
        Self {
            context,
            steps: Vec::new(),
        }
    }

    fn finish(mut self) -> Vec<Step> {
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

    /// The values that a condition reads, as they are. A value is the client's text,
    /// so it is quoted and cut.
    fn read_by(&self, condition: u32) -> String {
        let snapshot = self.context.snapshot();
        let reads = snapshot.conditions[condition as usize].reads();
        let words = reads.into_iter().map(|slot| {
            let name = &snapshot.attributes[usize::from(slot.0)].name;
            match self.context.found(slot.0) {
                Found::Absent => format!("{name} is missing"),
                Found::Mistyped => format!("{name} is of another type, so missing"),
                Found::Text(text) => {
                    let cut: String = text.chars().take(80).collect();
                    format!("{name} is {cut:?}")
                }
                Found::Integer(number) => format!("{name} is {number}"),
                Found::Float(number) => format!("{name} is {number:?}"),
                Found::Boolean(value) => format!("{name} is {value}"),
            }
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Names the unit as the client wrote it, quoted and cut.
    fn unit(&self, slot: u16) -> String {
        let name = &self.context.snapshot().attributes[usize::from(slot)].name;
        let mut digits = Default::default();
        match self.context.unit(slot, &mut digits) {
            Some(unit) => {
                let cut: String = unit.chars().take(80).collect();
                format!("{name} {cut:?}")
            }
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
            Fact::Tester(variant) | Fact::User(variant) | Fact::Tenant(variant) => {
                let (stage, asked) = match fact {
                    Fact::Tester(_) => (Stage::Tester, "is there a tester token?".to_owned()),
                    Fact::User(_) => {
                        let user = self.unit(crate::snapshot::USER);
                        (Stage::Override, format!("an override for {user}?"))
                    }
                    _ => {
                        let tenant = self.unit(crate::snapshot::TENANT);
                        (Stage::Override, format!("an override for {tenant}?"))
                    }
                };
                let found = match variant {
                    Some(variant) => format!("yes, {:?}", self.variant(variant)),
                    None => "no".to_owned(),
                };
                self.step(stage, asked, found);
            }
            Fact::Condition(at, condition, holds) => {
                let source = snapshot.conditions[condition as usize].source();
                let asked = format!("{}: {source}", self.rule(at));
                let outcome = known(holds, "holds", "does not hold");
                let read = self.read_by(condition);
                let found = match read.is_empty() {
                    true => outcome,
                    false => format!("{outcome}: {read}"),
                };
                self.step(Stage::Rule, asked, found);
            }
            Fact::Segment(at, segment, belongs) => {
                let segment = &snapshot.segments[segment as usize];
                let asked = format!("{}: segment {:?}", self.rule(at), segment.name);
                let outcome = known(belongs, "belongs to it", "does not belong to it");
                let found = match segment.keys.len() {
                    0 => outcome,
                    _ => format!("{} {outcome}", self.unit(segment.of)),
                };
                self.step(Stage::Rule, asked, found);
            }
            Fact::Share(at, share, drawn) => {
                let asked = format!("{}: a share of {}", self.rule(at), share.share);
                let found = match drawn {
                    Ok(drawn) => self.drawn(&share, drawn),
                    Err(slot) => format!("{} in the context: the safe value", self.unit(slot)),
                };
                self.step(Stage::Share, asked, found);
            }
            Fact::Distribution(at, drawn) => {
                let asked = format!("{}: which variant of its distribution?", self.rule(at));
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
                let asked = format!("{}: what does it serve?", self.rule(at));
                self.step(Stage::Rule, asked, format!("{:?}", self.variant(variant)));
            }
            Fact::Default(variant) => {
                let found = format!("{:?}", self.variant(variant));
                self.step(Stage::Default, "no rule applies: the default?", found);
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(variant) = &self.variant else {
            return write!(f, "{:?}: {}", self.flag, self.detail);
        };
        write!(f, "{} serves {variant:?}", self.flag)?;
        if let Some(value) = &self.value {
            write!(f, " = {}", value.to_json())?;
        }
        let (environment, revision) = (&self.environment, self.revision);
        writeln!(f, " in {environment} at revision {revision}")?;
        write!(f, "{}: {}", self.reason, self.detail)?;
        write_steps(f, &self.steps, 1)
    }
}

fn write_steps(f: &mut fmt::Formatter<'_>, steps: &[Step], depth: usize) -> fmt::Result {
    for (i, step) in steps.iter().enumerate() {
        let mark = if step.decides { "=>" } else { "  " };
        let indent = "    ".repeat(depth - 1);
        let number = i + 1;
        write!(
            f,
            "\n{indent}{mark} {number}. {} {}",
            step.asked, step.found
        )?;
        write_steps(f, &step.because, depth + 1)?;
    }
    Ok(())
}
