//! The flat program that one environment of a flag set is compiled to.
//!
//! Everything stands in a few lists and refers to the others by number; an evaluation
//! only reads, and all answers of one snapshot are of one revision.

use crate::bucket::UnitOrder;
use crate::context::{Context, ContextBuffer, Stored};
use crate::definition::AttributeType;
use crate::exposure::Sampling;
use crate::kill::Kills;
use crate::names::Names;
use crate::value::{FlagType, FlagValue};
use esclusa_expr::Program;
use esclusa_model::BasisPoints;
use std::ops::Range;

/// The slots that every set has.
pub(crate) const TARGETING_KEY: u16 = 0;
pub(crate) const TENANT: u16 = 1;
pub(crate) const USER: u16 = 2;
pub(crate) const BUILT_IN: [&str; 3] = ["targetingKey", "tenant", "user"];

/// A checked, compiled set of flags in one environment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) environment: String,
    pub(crate) keys: Names,
    pub(crate) flags: Vec<Flag>,
    pub(crate) variants: Vec<Variant>,
    pub(crate) prerequisites: Vec<Needed>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) weights: Vec<Part>,
    pub(crate) conditions: Vec<Program>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) inner_segments: Vec<u32>,
    pub(crate) orders: Vec<UnitOrder>,
    /// Context keys, and the slot of each.
    pub(crate) context_keys: Names,
    pub(crate) context_slots: Vec<u16>,
    /// By slot.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) directory: Directory,
    /// How many flags are prerequisites of others.
    pub(crate) parents: u32,
    pub(crate) kills: Kills,
    /// What of its answers is recorded.
    pub(crate) sampling: Option<Box<Sampling>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) name: Box<str>,
    pub(crate) ty: AttributeType,
}

/// The tenants; each has one stored value for each attribute that the directory gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub(crate) ids: Names,
    /// The slots that the directory gives.
    pub(crate) slots: Vec<u16>,
    /// Row by row, one column a slot.
    pub(crate) values: Vec<Stored>,
}

#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub(crate) name: Box<str>,
    pub(crate) value: FlagValue,
}

#[derive(Debug, Clone)]
pub(crate) struct Flag {
    pub(crate) ty: FlagType,
    pub(crate) killed: Option<u64>,
    pub(crate) enabled: bool,
    pub(crate) browsers: bool,
    pub(crate) default_of_environment: bool,
    /// Whether all contexts get one answer.
    pub(crate) alike: bool,
    /// Whether there is nothing to ask at all: no kill, not disabled, and `alike`.
    pub(crate) plain: bool,
    pub(crate) off: u32,
    pub(crate) safe: u32,
    pub(crate) default: u32,
    pub(crate) variants: Range<u32>,
    pub(crate) prerequisites: Range<u32>,
    pub(crate) rules: Range<u32>,
    pub(crate) overrides: Option<Box<Overrides>>,
    /// Its place among the flags that are prerequisites.
    pub(crate) parent: Option<u32>,
    pub(crate) project: Option<Box<str>>,
    pub(crate) message: Option<Box<str>>,
}

/// Variants of single units, by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) users: (Names, Vec<u32>),
    pub(crate) tenants: (Names, Vec<u32>),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    pub(crate) flag: u32,
    pub(crate) variant: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: Option<Box<str>>,
    pub(crate) condition: Option<u32>,
    pub(crate) segment: Option<u32>,
    pub(crate) share: Option<Share>,
    pub(crate) serve: Serve,
}

#[derive(Debug, Clone)]
pub(crate) enum Serve {
    Variant(u32),
    Distribution {
        of: u16,
        order: u32,
        parts: Range<u32>,
    },
}

/// The part of a distribution that ends at `below`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) below: BasisPoints,
    pub(crate) variant: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) of: u16,
    pub(crate) order: u32,
    pub(crate) share: BasisPoints,
    pub(crate) known: Option<KnownEdge>,
}

/// The last of the known units that a share exposes, in the order of (bucket, id).
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownEdge {
    pub(crate) bucket: u64,
    /// Its number in the directory, which is sorted by id.
    pub(crate) tenant: u32,
    pub(crate) exposed: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) name: Box<str>,
    pub(crate) keys: Names,
    pub(crate) of: u16,
    pub(crate) condition: Option<u32>,
    pub(crate) inner: Range<u32>,
}

/// What a flag says of itself, whatever the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagInfo<'s> {
    /// Its key.
    pub key: &'s str,
    /// The type of its values.
    pub ty: FlagType,
    /// Whether browsers may read it.
    pub browsers: bool,
    /// Its project.
    pub project: Option<&'s str>,
    /// What a guard tells people.
    pub message: Option<&'s str>,
}

impl Snapshot {
    /// The revision that every answer belongs to.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The flags, in the order of their keys.
    pub fn flags(&self) -> impl Iterator<Item = FlagInfo<'_>> {
        self.keys
            .iter()
            .zip(&self.flags)
            .map(|(key, flag)| info(key, flag))
    }

    /// One flag.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<FlagInfo<'_>> {
        let id = self.keys.find(key)?;
        Some(info(self.keys.text(id), &self.flags[id as usize]))
    }

    /// Whether a variant is the one that a flag serves while it is off.
    #[must_use]
    pub fn is_off(&self, key: &str, variant: &str) -> bool {
        self.keys.find(key).is_some_and(|id| {
            let off = self.flags[id as usize].off;
            *self.variants[off as usize].name == *variant
        })
    }

    /// What a flag serves where nothing can be decided: its safe variant, or while it is
    /// killed its off variant.
    #[must_use]
    pub fn undecided(&self, key: &str) -> Option<(&str, &FlagValue)> {
        let flag = &self.flags[self.keys.find(key)? as usize];
        let id = flag.killed.map_or(flag.safe, |_| flag.off);
        let variant = &self.variants[id as usize];
        Some((&variant.name, &variant.value))
    }

    /// An empty context to evaluate with.
    #[must_use]
    pub fn context(&self) -> Context<'_> {
        self.context_in(ContextBuffer::default())
    }

    /// An empty context in the memory of an earlier one, which then allocates nothing.
    #[must_use]
    pub fn context_in(&self, buffer: ContextBuffer) -> Context<'_> {
        Context::new(self, buffer)
    }

    /// The kills that hold.
    #[must_use]
    pub fn kills(&self) -> &Kills {
        &self.kills
    }

    /// Takes over whatever `kills` knows later; nothing is compiled again.
    pub fn merge_kills(&mut self, kills: &Kills) {
        self.kills.merge(kills);
        for (key, flag) in self.keys.iter().zip(&mut self.flags) {
            flag.killed = self.kills.of(key);
            flag.plain = flag.killed.is_none() && flag.enabled && flag.alike;
        }
    }
}

fn info<'s>(key: &'s str, flag: &'s Flag) -> FlagInfo<'s> {
    FlagInfo {
        key,
        ty: flag.ty,
        browsers: flag.browsers,
        project: flag.project.as_deref(),
        message: flag.message.as_deref(),
    }
}
