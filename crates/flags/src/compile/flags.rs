//! Flags: variants, defaults, overrides, prerequisites.

use super::{Compiler, MAX_NESTING};
use crate::definition::{FlagDefinition, FlagSettings, FlagState};
use crate::graph::survey;
use crate::names::Names;
use crate::problem::{Place, ProblemCode};
use crate::snapshot::{Flag, Needed, Overrides, Variant};
use crate::value::FlagValue;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// A key is a salt, with room for what is put behind it.
pub(crate) const KEY_RULE: &str = "use 1 to 100 of A-Z, a-z, 0-9 and . _ + : @ / -";

/// Whether a text can be a flag's key.
pub(crate) fn is_key(text: &str) -> bool {
    text.len() <= 100 && esclusa_model::Salt::new(text).is_ok()
}

/// A flag's variants, while it is compiled.
pub(super) struct Variants<'v> {
    pub(super) names: &'v BTreeMap<String, Value>,
    pub(super) first: u32,
}

impl Variants<'_> {
    fn find(&self, name: &str) -> Option<u32> {
        let mut known = (self.first..).zip(self.names.keys());
        known.find(|(_, n)| *n == name).map(|(id, _)| id)
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn flags(&mut self) {
        let set = self.set;
        let above = Place::root("flags");
        for (key, flag) in &set.flags {
            let place = above.key(key);
            if !is_key(key) {
                let message = format!("{key:?} is no flag's key");
                let code = ProblemCode::BadName;
                self.problems.add_hint(&place, code, message, KEY_RULE);
                // As a salt the key would only be wrong again.
                self.flag(&place, "-", flag);
            } else {
                self.flag(&place, key, flag);
            }
        }
        self.prerequisites(&above);
    }

    fn flag(&mut self, place: &Place<'_>, key: &'a str, flag: &'a FlagDefinition) {
        self.aliases(&place.key("aliases"), flag);
        let names = flag.effective_variants();
        let range = self.values(place, flag, &names);
        let variants = Variants {
            names: &names,
            first: range.start,
        };
        let off = self.variant(&place.key("off"), &variants, &flag.off);
        let or_off = |this: &mut Self, field: &str, name: Option<&String>| match name {
            Some(name) => this.variant(&place.key(field), &variants, name),
            None => off,
        };
        let safe = or_off(self, "safe", flag.safe.as_ref());
        let default = or_off(self, "default", flag.default.as_ref());
        let environments = place.key("environments");
        for name in flag.environments.keys() {
            if !self.set.environments.contains(name) {
                let known = self.set.environments.iter().map(String::as_str);
                let code = ProblemCode::UnknownEnvironment;
                let place = environments.key(name);
                self.problems
                    .unknown(&place, code, ("environment", name), known);
            }
        }
        let empty = const {
            &FlagSettings {
                state: FlagState::Enabled,
                default: None,
                users: BTreeMap::new(),
                tenants: BTreeMap::new(),
                rules: Vec::new(),
            }
        };
        let settings = flag.environments.get(self.environment).unwrap_or(empty);
        let here = environments.key(self.environment);
        let default_here = settings.default.as_ref();
        let default_here =
            default_here.and_then(|n| self.variant(&here.key("default"), &variants, n));
        let rules = self.rules(&here, (key, flag), &settings.rules, &variants);
        let overrides = Overrides {
            users: self.overrides(&here.key("users"), &variants, &settings.users),
            tenants: self.overrides(&here.key("tenants"), &variants, &settings.tenants),
        };
        let has_overrides = overrides.users.0.len() + overrides.tenants.0.len() > 0;
        self.built.flags.push(Flag {
            ty: flag.ty,
            killed: None,
            enabled: settings.state == FlagState::Enabled,
            browsers: flag.browsers,
            default_of_environment: default_here.is_some(),
            alike: rules.is_empty() && !has_overrides && flag.prerequisites.is_empty(),
            off: off.unwrap_or(0),
            safe: safe.unwrap_or(0),
            default: default_here.or(default).unwrap_or(0),
            variants: range,
            prerequisites: 0..0,
            rules,
            overrides: has_overrides.then(|| Box::new(overrides)),
            plain: false, // until the kills are known
            parent: None,
            project: flag.project.as_deref().map(Into::into),
            message: flag.message.as_deref().map(Into::into),
        });
    }

    fn values(
        &mut self,
        place: &Place<'_>,
        flag: &FlagDefinition,
        names: &BTreeMap<String, Value>,
    ) -> Range<u32> {
        let first = self.built.variants.len() as u32; // all stand in a definition
        let place = place.key("variants");
        if names.is_empty() {
            let message = format!("a flag of type {} needs variants", flag.ty);
            self.problems.add(&place, ProblemCode::Serve, message);
        }
        for (name, json) in names {
            let place = place.key(name);
            if name.is_empty() || name.len() > 100 {
                let message = "a variant's name has 1 to 100 bytes";
                self.problems.add(&place, ProblemCode::BadName, message);
            }
            let value = FlagValue::from_json(flag.ty, json).unwrap_or_else(|message| {
                self.problems.add(&place, ProblemCode::BadValue, message);
                FlagValue::Boolean(false)
            });
            self.built.variants.push(Variant {
                name: name.as_str().into(),
                value,
            });
        }
        first..self.built.variants.len() as u32
    }

    pub(super) fn variant(
        &mut self,
        place: &Place<'_>,
        variants: &Variants<'_>,
        name: &str,
    ) -> Option<u32> {
        let found = variants.find(name);
        if found.is_none() {
            let known = variants.names.keys().map(String::as_str);
            let code = ProblemCode::UnknownVariant;
            self.problems.unknown(place, code, ("variant", name), known);
        }
        found
    }

    fn overrides(
        &mut self,
        place: &Place<'_>,
        variants: &Variants<'_>,
        given: &BTreeMap<String, String>,
    ) -> (Names, Vec<u32>) {
        let mut units = Names::default();
        let mut served = Vec::with_capacity(given.len());
        for (unit, variant) in given {
            if unit.is_empty() {
                let message = "an empty id names nobody";
                self.problems
                    .add(&place.key(unit), ProblemCode::BadName, message);
            }
            if let Some(variant) = self.variant(&place.key(unit), variants, variant) {
                units.intern(unit);
                served.push(variant);
            }
        }
        (units, served)
    }

    /// An alias that is a key too would kill more than its flag's own name says.
    fn aliases(&mut self, place: &Place<'_>, flag: &FlagDefinition) {
        for alias in &flag.aliases {
            let wrong = match alias.as_str() {
                "all" => "\"all\" means every flag already".to_owned(),
                alias if self.set.flags.contains_key(alias) => {
                    format!("{alias:?} is the key of a flag")
                }
                alias if alias.len() > 100 || esclusa_model::Salt::new(alias).is_err() => {
                    format!("{alias:?} is no name")
                }
                _ => continue,
            };
            self.problems.add(place, ProblemCode::BadName, wrong);
        }
    }

    fn prerequisites(&mut self, above: &Place<'_>) {
        let set = self.set;
        let mut edges = Vec::with_capacity(set.flags.len());
        for (i, (key, flag)) in set.flags.iter().enumerate() {
            let list = above.key(key);
            let list = list.key("prerequisites");
            let start = self.built.prerequisites.len();
            for (n, needed) in flag.prerequisites.iter().enumerate() {
                let place = list.index(n);
                let Some(id) = self.built.keys.find(&needed.flag) else {
                    let known = set.flags.keys().map(String::as_str);
                    let code = ProblemCode::UnknownFlag;
                    let place = place.key("flag");
                    let what = ("flag", needed.flag.as_str());
                    self.problems.unknown(&place, code, what, known);
                    continue;
                };
                let first = self.built.flags[id as usize].variants.start;
                // Found by name in `keys`, which are this map's keys.
                let names = set.flags[&needed.flag].effective_variants();
                let variants = Variants {
                    names: &names,
                    first,
                };
                let place = place.key("variant");
                if let Some(variant) = self.variant(&place, &variants, &needed.variant) {
                    self.built.prerequisites.push(Needed { flag: id, variant });
                    let parents = self.built.parents;
                    let parent = &mut self.built.flags[id as usize].parent;
                    if parent.is_none() {
                        *parent = Some(parents);
                        self.built.parents += 1;
                    }
                }
            }
            let needed = &self.built.prerequisites[start..];
            edges.push(needed.iter().map(|needed| needed.flag).collect::<Vec<_>>());
            let range = start as u32..self.built.prerequisites.len() as u32;
            self.built.flags[i].prerequisites = range;
        }
        let survey = survey(&edges);
        let names: Vec<&str> = set.flags.keys().map(String::as_str).collect();
        for cycle in &survey.cycles {
            self.cycle(above, "flag", cycle, &names);
        }
        for (name, depth) in names.iter().zip(&survey.depth) {
            if survey.cycles.is_empty() && *depth == MAX_NESTING {
                let message = format!("more than {MAX_NESTING} prerequisites follow each other");
                self.problems
                    .add(&above.key(name), ProblemCode::TooDeep, message);
            }
        }
    }
}
