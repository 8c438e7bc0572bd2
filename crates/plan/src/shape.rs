//! What a value must look like: the one table behind reading, errors and schema.
//!
//! The language's own keys and the fields of the catalog's drivers become the same
//! shapes, so that a key cannot be read in one way and documented in another.

use crate::catalog::{Field, FieldKind};
use crate::units::MarginKind;

/// What one value must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Any text that is not empty.
    Text,
    /// Text with placeholders of this scope.
    Template(Scope),
    /// A name of a service, component or segment: DNS-safe.
    Label,
    /// A version, salt or similar: letters, digits and `._+:@/-`.
    Token,
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds.
    Integer { min: i64, max: i64 },
    /// A plain number within bounds.
    Number { min: f64, max: f64 },
    /// A time with its unit.
    Duration,
    /// Whole seconds: `5` or `5s`, for keys that carry the unit in their name.
    Seconds,
    /// A share of exposure with its percent sign.
    Share,
    /// A rate or probability: `0.01` or `1%`; at most so many times one.
    Fraction { most: u8 },
    /// A rate with its percent sign.
    Percent,
    /// How much worse: percentage points (`0.5pp`) or relative (`20%`).
    Margin(MarginKind),
    /// Bytes with their unit.
    Size,
    /// How often: `10/s`.
    Rate,
    /// A shell line or a list of words.
    Command(Scope),
    /// One of these words.
    Choice(Vec<String>),
    /// A list of one shape.
    List(Box<Shape>),
    /// Free keys, each a label, with values of one shape.
    Named(Box<Shape>),
    /// Flags by key, each with a variant.
    Variants,
    /// Free keys with template values.
    Environment(Scope),
    /// Known keys.
    Block(Block),
    /// Anything.
    Free,
    /// Another shape, or the word `off`.
    OrOff(Box<Shape>),
    /// A block, or else another shape written without one.
    Either { short: Box<Shape>, block: Block },
}

/// Where a template stands; this decides which placeholders it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A component's artifact.
    Artifact,
    /// A run driver's block.
    Run,
    /// A traffic driver's block.
    Traffic,
    /// A check.
    Check,
    /// Where a series comes from.
    Series,
    /// A step before the canary runs, and what takes it back.
    Before,
    /// A step after 100 %.
    After,
}

/// Known keys, and which of them exclude each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Block {
    pub(crate) keys: Vec<Key>,
    pub(crate) one_of: Vec<OneOf>,
}

/// Exactly one of these keys must be there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OneOf {
    /// What the keys say, in words: `how the component is run`.
    pub(crate) what: &'static str,
    pub(crate) keys: Vec<String>,
    /// One of them with a value, as it would be written.
    pub(crate) example: &'static str,
    /// A key beside which none of them is needed.
    pub(crate) unless: Option<&'static str>,
}

/// One key of a block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// What stands when the key is absent, as it would be written.
    pub(crate) default: Option<String>,
    /// What to write when the key is missing.
    pub(crate) example: Option<&'static str>,
}

impl Key {
    pub(crate) fn new(name: &str, shape: Shape, doc: &str) -> Self {
        Self {
            name: name.to_owned(),
            doc: doc.to_owned(),
            shape,
            required: false,
            default: None,
            example: None,
        }
    }

    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) fn example(mut self, text: &'static str) -> Self {
        self.example = Some(text);
        self
    }

    pub(crate) fn default(mut self, text: impl Into<String>) -> Self {
        self.default = Some(text.into());
        self
    }
}

impl Block {
    pub(crate) fn of(keys: Vec<Key>) -> Self {
        Self {
            keys,
            one_of: Vec::new(),
        }
    }

    pub(crate) fn exactly_one(
        mut self,
        what: &'static str,
        keys: Vec<String>,
        example: &'static str,
    ) -> Self {
        self.one_of.push(OneOf {
            what,
            keys,
            example,
            unless: None,
        });
        self
    }

    /// None of the last choice's keys is needed where this one is.
    pub(crate) fn unless(mut self, key: &'static str) -> Self {
        if let Some(one_of) = self.one_of.last_mut() {
            one_of.unless = Some(key);
        }
        self
    }

    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.keys.iter().map(|key| key.name.as_str())
    }
}

impl Shape {
    pub(crate) fn choice(words: &[&str]) -> Self {
        Self::Choice(words.iter().map(|word| (*word).to_owned()).collect())
    }

    pub(crate) fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    pub(crate) fn or_off(shape: Self) -> Self {
        Self::OrOff(Box::new(shape))
    }

    pub(crate) fn either(short: Self, block: Block) -> Self {
        Self::Either {
            short: Box::new(short),
            block,
        }
    }

    /// What is expected, for messages.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Template(_) => "a text".to_owned(),
            Self::Label | Self::Token => "a name".to_owned(),
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { .. } => "a number".to_owned(),
            Self::Duration => "a duration such as `30s`, `15m` or `48h`".to_owned(),
            Self::Seconds => "whole seconds, such as `5` or `5s`".to_owned(),
            Self::Share => "a share such as `5%`".to_owned(),
            Self::Fraction { .. } => "a fraction such as `0.01` or `1%`".to_owned(),
            Self::Percent => "a rate such as `5%`".to_owned(),
            Self::Margin(MarginKind::Points) => "a margin such as `0.5pp`".to_owned(),
            Self::Margin(MarginKind::Relative) => "a margin such as `20%`".to_owned(),
            Self::Size => "a size such as `64 MiB`".to_owned(),
            Self::Rate => "a rate such as `10/s`".to_owned(),
            Self::Command(_) => "a command: one line, or a list of words".to_owned(),
            Self::Choice(words) => crate::suggest::listed(words.iter().map(String::as_str)),
            Self::List(item) => format!("a list, each item {}", item.expected()),
            Self::Variants => "a block of flags and their variants".to_owned(),
            Self::Named(_) | Self::Environment(_) => "a block of names and values".to_owned(),
            Self::Block(block) => format!("a block with {}", some_keys(block)),
            Self::Free => "a value".to_owned(),
            Self::OrOff(shape) => format!("{}, or `off`", shape.expected()),
            Self::Either { short, block } => {
                format!("{}, or a block with {}", short.expected(), some_keys(block))
            }
        }
    }
}

/// The keys of a block for messages; long tables are cut.
fn some_keys(block: &Block) -> String {
    const SHOWN: usize = 8;
    let names: Vec<String> = block
        .names()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if block.keys.len() > SHOWN {
        ", ..."
    } else {
        ""
    };
    if names.is_empty() {
        "no keys (`{}`)".to_owned()
    } else {
        format!("{}{more}", names.join(", "))
    }
}

/// The shape of a driver's block.
pub(crate) fn driver_block(fields: &[Field], scope: Scope) -> Block {
    Block::of(
        fields
            .iter()
            .map(|field| driver_key(field, scope))
            .collect(),
    )
}

fn driver_key(field: &Field, scope: Scope) -> Key {
    Key {
        name: field.name.clone(),
        doc: field.doc.clone(),
        shape: driver_shape(&field.kind, scope),
        required: field.required,
        default: None,
        example: None,
    }
}

fn driver_shape(kind: &FieldKind, scope: Scope) -> Shape {
    match kind {
        FieldKind::Text => Shape::Text,
        FieldKind::Template => Shape::Template(scope),
        FieldKind::Switch => Shape::Switch,
        FieldKind::Integer { min, max } => Shape::Integer {
            min: *min,
            max: *max,
        },
        FieldKind::Duration => Shape::Duration,
        FieldKind::Share => Shape::Share,
        FieldKind::Command => Shape::Command(scope),
        FieldKind::Choice(words) => Shape::Choice(words.clone()),
        FieldKind::List(item) => Shape::list(driver_shape(item, scope)),
        FieldKind::TemplateMap => Shape::Environment(scope),
        FieldKind::Block(fields) => Shape::Block(driver_block(fields, scope)),
        FieldKind::Free => Shape::Free,
    }
}
