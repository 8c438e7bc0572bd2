//! From definitions to a [`Snapshot`], or to all that is wrong with them.

mod attributes;
mod flags;
mod rules;
mod segments;

pub(crate) use flags::{KEY_RULE, is_key};

use crate::bucket::UnitOrder;
use crate::definition::{AttributeType, FlagSet};
use crate::guard::check_guards;
use crate::kill::Kills;
use crate::names::Names;
use crate::problem::{Place, Problem, ProblemCode, Problems};
use crate::snapshot::{Directory, KnownEdge, Snapshot};
use esclusa_expr::{Program, Schema};
use esclusa_model::{BasisPoints, Salt};
use std::collections::BTreeMap;

/// Most flags in one set.
pub const MAX_FLAGS: usize = 20_000;
/// Most segments in one set.
pub const MAX_FLAG_SEGMENTS: usize = 10_000;
/// Most declared attributes.
pub const MAX_ATTRIBUTES: usize = 500;
/// Most rules of one flag in one environment, as they are stored.
pub const MAX_RULES: usize = 500;
/// Rules that running releases may put before them.
const ROLLOUT_RULES: usize = 100;
/// How many prerequisites, or segments, may stand under one another.
pub const MAX_NESTING: usize = 32;

impl Snapshot {
    /// Checks a set and compiles one of its environments.
    ///
    /// # Errors
    /// Everything that is wrong, with the places; never nothing.
    pub fn compile(set: &FlagSet, environment: &str) -> Result<Self, Vec<Problem>> {
        Self::compile_with(set, environment, &Kills::default())
    }

    /// The same with the kills that hold already, so that no moment is without them.
    ///
    /// # Errors
    /// As [`Snapshot::compile`].
    pub fn compile_with(
        set: &FlagSet,
        environment: &str,
        kills: &Kills,
    ) -> Result<Self, Vec<Problem>> {
        Self::compile_within(set, environment, kills, MAX_RULES + ROLLOUT_RULES)
    }

    fn compile_within(
        set: &FlagSet,
        environment: &str,
        kills: &Kills,
        max_rules: usize,
    ) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler::new(set, environment);
        compiler.max_rules = max_rules;
        compiler.limits();
        compiler.attributes();
        compiler.directory();
        compiler.segments();
        compiler.flags();
        crate::standing::check(set, &mut compiler.problems);
        crate::exposure::check(set, &mut compiler.problems);
        let Compiler {
            problems, built, ..
        } = compiler;
        if !problems.0.is_empty() {
            return Err(problems.0);
        }
        let mut snapshot = built;
        snapshot.sampling = crate::exposure::compile(set, environment);
        snapshot.merge_kills(kills);
        Ok(snapshot)
    }
}

/// Everything that is wrong with a set in any of its environments, sorted by place.
#[must_use]
pub fn validate(set: &FlagSet) -> Vec<Problem> {
    let names: Vec<&str> = match set.environments.is_empty() {
        true => vec![""],
        false => set.environments.iter().map(String::as_str).collect(),
    };
    let none = Kills::default();
    let compile = |name| Snapshot::compile_within(set, name, &none, MAX_RULES);
    let compiled = names.into_iter().map(compile);
    let mut problems: Vec<Problem> = compiled.filter_map(Result::err).flatten().collect();
    problems.extend(check_guards(set));
    problems.sort();
    problems.dedup();
    problems
}

struct Compiler<'a> {
    set: &'a FlagSet,
    environment: &'a str,
    max_rules: usize,
    problems: Problems,
    schema: Schema,
    slots: BTreeMap<&'a str, (u16, AttributeType)>,
    conditions: BTreeMap<&'a str, u32>,
    salts: BTreeMap<Salt, u32>,
    edges: BTreeMap<(u32, BasisPoints), KnownEdge>,
    segments: BTreeMap<&'a str, u32>,
    built: Snapshot,
}

impl<'a> Compiler<'a> {
    fn new(set: &'a FlagSet, environment: &'a str) -> Self {
        Self {
            set,
            environment,
            max_rules: MAX_RULES,
            problems: Problems::default(),
            schema: Schema::new(),
            slots: BTreeMap::new(),
            conditions: BTreeMap::new(),
            salts: BTreeMap::new(),
            edges: BTreeMap::new(),
            segments: (0..)
                .zip(set.segments.keys())
                .map(|(i, name)| (name.as_str(), i))
                .collect(),
            built: Snapshot {
                revision: set.revision,
                environment: environment.to_owned(),
                keys: set.flags.keys().map(String::as_str).collect(),
                flags: Vec::with_capacity(set.flags.len()),
                variants: Vec::new(),
                prerequisites: Vec::new(),
                rules: Vec::new(),
                weights: Vec::new(),
                conditions: Vec::new(),
                segments: Vec::with_capacity(set.segments.len()),
                inner_segments: Vec::new(),
                orders: Vec::new(),
                context_keys: Names::default(),
                context_slots: Vec::new(),
                attributes: Vec::new(),
                directory: Directory::default(),
                parents: 0,
                kills: Kills::default(),
                sampling: None,
            },
        }
    }

    fn limits(&mut self) {
        for (what, count, most) in [
            ("flags", self.set.flags.len(), MAX_FLAGS),
            ("segments", self.set.segments.len(), MAX_FLAG_SEGMENTS),
            ("attributes", self.set.attributes.len(), MAX_ATTRIBUTES),
        ] {
            if count > most {
                let message = format!("there are {count} {what}, {most} are allowed");
                self.problems
                    .add(&Place::root(what), ProblemCode::TooMany, message);
            }
        }
        let known = self.set.environments.iter().map(String::as_str);
        let named = self.environment;
        if !(self.set.environments.contains(named) || named.is_empty()) {
            let place = Place::root("environments");
            let code = ProblemCode::UnknownEnvironment;
            self.problems
                .unknown(&place, code, ("environment", named), known);
        }
    }

    /// The slot and type of an attribute by its name in rules.
    fn slot(&mut self, place: &Place<'_>, name: &str) -> Option<(u16, AttributeType)> {
        let found = self.slots.get(name).copied();
        if found.is_none() {
            let known = self.slots.keys().copied();
            let code = ProblemCode::UnknownAttribute;
            self.problems
                .unknown(place, code, ("attribute", name), known);
        }
        found
    }

    /// The slot of an attribute whose values name units.
    fn unit_slot(&mut self, place: &Place<'_>, name: &str) -> Option<u16> {
        let (slot, ty) = self.slot(place, name)?;
        if matches!(ty, AttributeType::String | AttributeType::Integer) {
            return Some(slot);
        }
        let message = format!("{name:?} names no units: its values are not text or whole numbers");
        self.problems.add(place, ProblemCode::BadValue, message);
        None
    }

    /// A condition, compiled once however often it is written.
    fn condition(&mut self, place: &Place<'_>, source: &'a str) -> Option<u32> {
        if let Some(id) = self.conditions.get(source) {
            return Some(*id);
        }
        match Program::compile(source, &self.schema) {
            Ok(program) => {
                // Fewer conditions than 2^32: each stands in a definition in memory.
                let id = self.built.conditions.len() as u32;
                self.built.conditions.push(program);
                self.conditions.insert(source, id);
                Some(id)
            }
            Err(errors) => {
                for error in errors {
                    let message = format!("at {}: {}", error.span, error.message);
                    match error.hint {
                        Some(hint) => {
                            let code = ProblemCode::BadCondition;
                            self.problems.add_hint(place, code, message, hint);
                        }
                        None => self.problems.add(place, ProblemCode::BadCondition, message),
                    }
                }
                None
            }
        }
    }

    /// The order that a salt gives, laid out once.
    fn order(&mut self, place: &Place<'_>, salt: &str) -> Option<u32> {
        let salt = match Salt::new(salt) {
            Ok(salt) => salt,
            Err(error) => {
                let message = error.to_string();
                self.problems.add(place, ProblemCode::BadName, message);
                return None;
            }
        };
        if let Some(id) = self.salts.get(&salt) {
            return Some(*id);
        }
        let id = self.built.orders.len() as u32; // fewer than rules
        self.built.orders.push(UnitOrder::new(&salt));
        self.salts.insert(salt, id);
        Some(id)
    }
}
