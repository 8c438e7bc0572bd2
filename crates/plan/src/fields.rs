//! Values that were read: of the right form, not yet of the right meaning.

use crate::sink::child;
use crate::units::Margin;
use esclusa_model::{BasisPoints, Fraction, Millis};
use std::collections::{BTreeMap, BTreeSet};

/// A value of the right form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Val {
    Text(String),
    /// The word `off`, where it is allowed.
    Off,
    Switch(bool),
    Integer(i64),
    Number(f64),
    Duration(Millis),
    Seconds(u32),
    Share(BasisPoints),
    Fraction(Fraction),
    Margin(Margin),
    /// Bytes.
    Size(u64),
    /// Thousandths a second.
    Rate(u64),
    Words(Vec<String>),
    List(Vec<Val>),
    Named(BTreeMap<String, Val>),
    Free(serde_json::Value),
    Block(Fields),
}

/// A block's values by key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Fields {
    pub(crate) path: String,
    pub(crate) values: BTreeMap<String, Val>,
    pub(crate) given: BTreeSet<String>,
}

impl Val {
    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As drivers receive it: durations in milliseconds, shares in basis points,
    /// commands as words.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::{Value as Json, json};
        match self {
            Self::Text(text) => json!(text),
            Self::Off => Json::Null,
            Self::Switch(on) => json!(on),
            Self::Integer(number) => json!(number),
            Self::Number(number) => json!(number),
            Self::Duration(time) => json!(time.0),
            Self::Seconds(seconds) => json!(seconds),
            Self::Share(share) => json!(share.get()),
            Self::Fraction(fraction) => json!(fraction.get()),
            Self::Margin(Margin::Points(f) | Margin::Relative(f)) => json!(f.get()),
            Self::Size(bytes) => json!(bytes),
            Self::Rate(rate) => json!(rate),
            Self::Words(words) => json!(words),
            Self::Free(value) => value.clone(),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Named(values) | Self::Block(Fields { values, .. }) => Json::Object(
                values
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }
}

macro_rules! getters {
    ($($name:ident: $variant:ident => $type:ty;)*) => {
        $(
            pub(crate) fn $name(&self, key: &str) -> Option<$type> {
                match self.values.get(key)? {
                    Val::$variant(value) => Some(value.clone()),
                    Val::Off => None,
                    other => {
                        debug_assert!(false, "{key} was read as {other:?}");
                        None
                    }
                }
            }
        )*
    };
}

impl Fields {
    getters! {
        text: Text => String;
        switch: Switch => bool;
        integer: Integer => i64;
        number: Number => f64;
        duration: Duration => Millis;
        seconds: Seconds => u32;
        fraction: Fraction => Fraction;
        margin: Margin => Margin;
        size: Size => u64;
        rate: Rate => u64;
        words: Words => Vec<String>;
        list: List => Vec<Val>;
        named: Named => BTreeMap<String, Val>;
        block: Block => Fields;
    }

    /// A value of whatever form.
    pub(crate) fn any(&self, key: &str) -> Option<&Val> {
        self.values.get(key)
    }

    /// Whether the key was turned off.
    pub(crate) fn is_off(&self, key: &str) -> bool {
        self.values.get(key) == Some(&Val::Off)
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<String>> {
        Some(
            self.list(key)?
                .into_iter()
                .filter_map(Val::into_text)
                .collect(),
        )
    }

    /// Whether the key was written, rightly or wrongly.
    pub(crate) fn given(&self, key: &str) -> bool {
        self.given.contains(key)
    }

    /// The path of a key of this block.
    pub(crate) fn at(&self, key: &str) -> String {
        child(&self.path, key)
    }
}
