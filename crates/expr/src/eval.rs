//! The checked tree and its evaluation. Types are in the tree's shape, so that
//! evaluation has no case left that could fail.
//!
//! A value that is not known makes what is asked of it unknown (`None`), and `!` of it
//! too: `!(country == "es")` holds of nobody whose country is not known. `&&` and `||`
//! decide as soon as what is known decides, in whatever order; so does CEL.

use crate::number::{Decimal, compare_mixed};
use crate::schema::{Slot, Type};
use std::borrow::Cow;
use std::cmp::Ordering;

/// An argument given to a function of the scope.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Text.
    String(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A number with decimals.
    Float(f64),
    /// True or false.
    Bool(bool),
}

/// Gives names their values. Only the method that fits the type in the schema is
/// asked for a slot, with arguments of the schema's types; a variable has none.
///
/// `None` is a value that is not known; where absence has a value of its own, such as
/// the empty string, a scope gives that.
pub trait Scope {
    /// The value of a slot of type string.
    fn string(&self, slot: Slot, arguments: &[Value<'_>]) -> Option<Cow<'_, str>>;
    /// The value of a slot of type number.
    fn int(&self, slot: Slot, arguments: &[Value<'_>]) -> Option<i64>;
    /// The value of a slot of type decimal number.
    fn float(&self, slot: Slot, arguments: &[Value<'_>]) -> Option<f64>;
    /// The value of a slot of type true or false.
    fn bool(&self, slot: Slot, arguments: &[Value<'_>]) -> Option<bool>;
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
    Float(FloatExpr),
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
pub(crate) enum FloatExpr {
    Literal(Decimal),
    Read(Read),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BoolExpr {
    Literal(bool),
    Read(Read),
    /// Whether a variable is known.
    Has(Slot, Type),
    Not(Box<BoolExpr>),
    All(Vec<BoolExpr>),
    Any(Vec<BoolExpr>),
    CompareStr(Ordered, StrExpr, StrExpr),
    CompareInt(Ordered, IntExpr, IntExpr),
    CompareFloat(Ordered, FloatExpr, FloatExpr),
    CompareMixed(Ordered, IntExpr, FloatExpr),
    /// Both sides alike.
    Same(Box<BoolExpr>, Box<BoolExpr>),
    StrIn(StrExpr, Vec<String>),
    IntIn(IntExpr, Vec<i64>),
    FloatIn(FloatExpr, Vec<Decimal>),
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

    /// NaN differs from everything and is ordered with nothing.
    fn holds_partly(self, ordering: Option<Ordering>) -> bool {
        ordering.map_or(self == Self::Ne, |ordering| self.holds(ordering))
    }

    /// The same with both sides exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Ne => Self::Ne,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
}

pub(crate) fn bool<S: Scope + ?Sized>(expr: &BoolExpr, scope: &S) -> Option<bool> {
    Some(match expr {
        BoolExpr::Literal(value) => *value,
        BoolExpr::Read(read) if read.arguments.is_empty() => return scope.bool(read.slot, &[]),
        BoolExpr::Read(read) => {
            return with_arguments(read, scope, |args| scope.bool(read.slot, args))?;
        }
        BoolExpr::Has(slot, ty) => match ty {
            Type::String => scope.string(*slot, &[]).is_some(),
            Type::Int => scope.int(*slot, &[]).is_some(),
            Type::Float => scope.float(*slot, &[]).is_some(),
            Type::Bool => scope.bool(*slot, &[]).is_some(),
        },
        BoolExpr::Not(inner) => !bool(inner, scope)?,
        BoolExpr::All(operands) => return until(operands, false, scope),
        BoolExpr::Any(operands) => return until(operands, true, scope),
        // Bytes of UTF-8 and code points, which CEL compares, have one order.
        BoolExpr::CompareStr(op, a, b) => op.holds(string(a, scope)?.cmp(&string(b, scope)?)),
        BoolExpr::CompareInt(op, a, b) => op.holds(int(a, scope)?.cmp(&int(b, scope)?)),
        BoolExpr::CompareFloat(op, a, b) => {
            op.holds_partly(float(a, scope)?.partial_cmp(&float(b, scope)?))
        }
        BoolExpr::CompareMixed(op, a, b) => {
            op.holds_partly(compare_mixed(int(a, scope)?, float(b, scope)?))
        }
        BoolExpr::Same(a, b) => bool(a, scope)? == bool(b, scope)?,
        BoolExpr::StrIn(item, list) => {
            let item = string(item, scope)?;
            list.iter().any(|other| *other == *item)
        }
        BoolExpr::IntIn(item, list) => list.contains(&int(item, scope)?),
        BoolExpr::FloatIn(item, list) => {
            let item = float(item, scope)?;
            list.iter().any(|other| other.get() == item)
        }
        BoolExpr::BoolIn(item, list) => list.contains(&bool(item, scope)?),
        BoolExpr::Text(test, text, part) => {
            let (text, part) = (string(text, scope)?, string(part, scope)?);
            match test {
                TextTest::StartsWith => text.starts_with(&*part),
                TextTest::EndsWith => text.ends_with(&*part),
                TextTest::Contains => text.contains(&*part),
            }
        }
    })
}

/// `&&` stops at a false operand, `||` at a true one; without one, what is unknown
/// leaves the whole unknown.
fn until<S: Scope + ?Sized>(operands: &[BoolExpr], stop: bool, scope: &S) -> Option<bool> {
    let mut all_known = true;
    for operand in operands {
        match bool(operand, scope) {
            Some(value) if value == stop => return Some(stop),
            Some(_) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(!stop)
}

#[inline]
fn string<'a, S: Scope + ?Sized>(expr: &'a StrExpr, scope: &'a S) -> Option<Cow<'a, str>> {
    match expr {
        StrExpr::Literal(text) => Some(Cow::Borrowed(text)),
        StrExpr::Read(read) if read.arguments.is_empty() => scope.string(read.slot, &[]),
        StrExpr::Read(read) => with_arguments(read, scope, |args| scope.string(read.slot, args))?,
    }
}

#[inline]
fn int<S: Scope + ?Sized>(expr: &IntExpr, scope: &S) -> Option<i64> {
    match expr {
        IntExpr::Literal(number) => Some(*number),
        IntExpr::Read(read) if read.arguments.is_empty() => scope.int(read.slot, &[]),
        IntExpr::Read(read) => with_arguments(read, scope, |args| scope.int(read.slot, args))?,
    }
}

#[inline]
fn float<S: Scope + ?Sized>(expr: &FloatExpr, scope: &S) -> Option<f64> {
    match expr {
        FloatExpr::Literal(number) => Some(number.get()),
        FloatExpr::Read(read) if read.arguments.is_empty() => scope.float(read.slot, &[]),
        FloatExpr::Read(read) => with_arguments(read, scope, |args| scope.float(read.slot, args))?,
    }
}

/// A call; one argument, the usual case, needs no allocation. `None` when an argument
/// is not known. Apart from variables, which are read more often and need none of this.
#[inline(never)]
fn with_arguments<'a, S: Scope + ?Sized, T>(
    read: &'a Read,
    scope: &'a S,
    ask: impl FnOnce(&[Value<'_>]) -> T,
) -> Option<T> {
    Some(match read.arguments.as_slice() {
        [] => ask(&[]),
        [one] => ask(&[value(one, scope)?]),
        many => ask(&many
            .iter()
            .map(|argument| value(argument, scope))
            .collect::<Option<Vec<_>>>()?),
    })
}

fn value<'a, S: Scope + ?Sized>(expr: &'a Typed, scope: &'a S) -> Option<Value<'a>> {
    Some(match expr {
        Typed::Bool(expr) => Value::Bool(bool(expr, scope)?),
        Typed::Int(expr) => Value::Int(int(expr, scope)?),
        Typed::Float(expr) => Value::Float(float(expr, scope)?),
        Typed::Str(expr) => Value::String(string(expr, scope)?),
    })
}
