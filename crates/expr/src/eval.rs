//! The checked tree and its evaluation. Types are in the tree's shape, so that
//! evaluation has no case left that could fail.

use crate::schema::Slot;
use std::borrow::Cow;
use std::cmp::Ordering;

/// An argument given to a function of the scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text.
    String(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
}

/// Gives names their values. Only the method that fits the type in the schema is
/// asked for a slot, with arguments of the schema's types; a variable has none.
///
/// Total by contract: what is absent has a value too, such as the empty string.
pub trait Scope {
    /// The value of a slot of type string.
    fn string(&self, slot: Slot, arguments: &[Value<'_>]) -> Cow<'_, str>;
    /// The value of a slot of type number.
    fn int(&self, slot: Slot, arguments: &[Value<'_>]) -> i64;
    /// The value of a slot of type true or false.
    fn bool(&self, slot: Slot, arguments: &[Value<'_>]) -> bool;
}

/// A variable or a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) slot: Slot,
    pub(crate) arguments: Vec<Typed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    Bool(BoolExpr),
    Int(IntExpr),
    Str(StrExpr),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StrExpr {
    Literal(String),
    Read(Read),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IntExpr {
    Literal(i64),
    Read(Read),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BoolExpr {
    Literal(bool),
    Read(Read),
    Not(Box<BoolExpr>),
    All(Vec<BoolExpr>),
    Any(Vec<BoolExpr>),
    CompareStr(Ordered, StrExpr, StrExpr),
    CompareInt(Ordered, IntExpr, IntExpr),
    /// Both sides alike.
    Same(Box<BoolExpr>, Box<BoolExpr>),
    StrIn(StrExpr, Vec<String>),
    IntIn(IntExpr, Vec<i64>),
    BoolIn(Box<BoolExpr>, Vec<bool>),
    Text(TextTest, StrExpr, StrExpr),
}

/// A comparison of values that have an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordered {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A method of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

impl Ordered {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Eq => ordering.is_eq(),
            Self::Ne => ordering.is_ne(),
            Self::Lt => ordering.is_lt(),
            Self::Le => ordering.is_le(),
            Self::Gt => ordering.is_gt(),
            Self::Ge => ordering.is_ge(),
        }
    }
}

pub(crate) fn bool(expr: &BoolExpr, scope: &dyn Scope) -> bool {
    match expr {
        BoolExpr::Literal(value) => *value,
        BoolExpr::Read(read) => with_arguments(read, scope, |args| scope.bool(read.slot, args)),
        BoolExpr::Not(inner) => !bool(inner, scope),
        BoolExpr::All(operands) => operands.iter().all(|operand| bool(operand, scope)),
        BoolExpr::Any(operands) => operands.iter().any(|operand| bool(operand, scope)),
        // Bytes of UTF-8 and code points, which CEL compares, have one order.
        BoolExpr::CompareStr(op, a, b) => op.holds(string(a, scope).cmp(&string(b, scope))),
        BoolExpr::CompareInt(op, a, b) => op.holds(int(a, scope).cmp(&int(b, scope))),
        BoolExpr::Same(a, b) => bool(a, scope) == bool(b, scope),
        BoolExpr::StrIn(item, list) => {
            let item = string(item, scope);
            list.iter().any(|other| *other == *item)
        }
        BoolExpr::IntIn(item, list) => list.contains(&int(item, scope)),
        BoolExpr::BoolIn(item, list) => list.contains(&bool(item, scope)),
        BoolExpr::Text(test, text, part) => {
            let (text, part) = (string(text, scope), string(part, scope));
            match test {
                TextTest::StartsWith => text.starts_with(&*part),
                TextTest::EndsWith => text.ends_with(&*part),
                TextTest::Contains => text.contains(&*part),
            }
        }
    }
}

fn string<'a>(expr: &'a StrExpr, scope: &'a dyn Scope) -> Cow<'a, str> {
    match expr {
        StrExpr::Literal(text) => Cow::Borrowed(text),
        StrExpr::Read(read) => with_arguments(read, scope, |args| scope.string(read.slot, args)),
    }
}

fn int(expr: &IntExpr, scope: &dyn Scope) -> i64 {
    match expr {
        IntExpr::Literal(number) => *number,
        IntExpr::Read(read) => with_arguments(read, scope, |args| scope.int(read.slot, args)),
    }
}

/// Up to one argument, the usual case, needs no allocation.
fn with_arguments<'a, T>(
    read: &'a Read,
    scope: &'a dyn Scope,
    ask: impl FnOnce(&[Value<'_>]) -> T,
) -> T {
    match read.arguments.as_slice() {
        [] => ask(&[]),
        [one] => ask(&[value(one, scope)]),
        many => ask(&many
            .iter()
            .map(|argument| value(argument, scope))
            .collect::<Vec<_>>()),
    }
}

fn value<'a>(expr: &'a Typed, scope: &'a dyn Scope) -> Value<'a> {
    match expr {
        Typed::Bool(expr) => Value::Bool(bool(expr, scope)),
        Typed::Int(expr) => Value::Int(int(expr, scope)),
        Typed::Str(expr) => Value::String(string(expr, scope)),
    }
}
