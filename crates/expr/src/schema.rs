//! Which names an expression may use, of which type.

use std::borrow::Cow;
use std::fmt;

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Int,
    /// A number with decimals, of 64 bits.
    Float,
    /// True or false.
    Bool,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::Int => "a number",
            Self::Float => "a decimal number",
            Self::Bool => "true or false",
        })
    }
}

/// What a [`crate::Scope`] is asked by: the caller's own number for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Cow<'static, str>,
    /// `None` for a variable; a function is called, even without parameters.
    pub(crate) parameters: Option<Vec<Type>>,
    pub(crate) returns: Type,
    pub(crate) slot: Slot,
}

impl Entry {
    /// How to write it, for hints.
    pub(crate) fn usage(&self) -> String {
        let Some(parameters) = &self.parameters else {
            return self.name.clone().into_owned();
        };
        let example = |ty: &Type| match ty {
            Type::String => "\"...\"",
            Type::Int => "1",
            Type::Float => "1.5",
            Type::Bool => "true",
        };
        let parameters: Vec<_> = parameters.iter().map(example).collect();
        format!("{}({})", self.name, parameters.join(", "))
    }
}

/// The names of one place where conditions are written.
///
/// Variables and functions are told apart by use, so that one name may be both. Of
/// two entries with one name and kind the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    entries: Vec<Entry>,
}

impl Schema {
    /// No names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value, read by its name.
    #[must_use]
    pub fn variable(mut self, name: impl Into<Cow<'static, str>>, ty: Type, slot: Slot) -> Self {
        self.entries.push(Entry {
            name: name.into(),
            parameters: None,
            returns: ty,
            slot,
        });
        self
    }

    /// Adds a function of `parameters`, in this order.
    #[must_use]
    pub fn function(
        mut self,
        name: &'static str,
        parameters: &[Type],
        returns: Type,
        slot: Slot,
    ) -> Self {
        self.entries.push(Entry {
            name: name.into(),
            parameters: Some(parameters.to_vec()),
            returns,
            slot,
        });
        self
    }

    pub(crate) fn find(&self, name: &str, kind: Kind) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|e| e.name == name && Kind::of(e) == kind)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// How a name is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Variable,
    Function,
}

impl Kind {
    fn of(entry: &Entry) -> Self {
        if entry.parameters.is_some() {
            Self::Function
        } else {
            Self::Variable
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Variable => Self::Function,
            Self::Function => Self::Variable,
        }
    }
}
