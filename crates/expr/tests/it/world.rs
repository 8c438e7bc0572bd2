//! A small world to write conditions about.

use esclusa_expr::{Schema, Scope, Slot, Type, Value};
use std::borrow::Cow;

const METHOD: Slot = Slot(0);
const PATH: Slot = Slot(1);
const SEATS: Slot = Slot(2);
const BETA: Slot = Slot(3);
const HEADER: Slot = Slot(4);
const HAS_HEADER: Slot = Slot(5);
const JOINED: Slot = Slot(6);
const SCORE: Slot = Slot(7);
const AGE: Slot = Slot(8);

pub(crate) fn schema() -> Schema {
    Schema::new()
        .variable("method", Type::String, METHOD)
        .variable("path", Type::String, PATH)
        .variable("seats", Type::Int, SEATS)
        .variable("beta", Type::Bool, BETA)
        .variable("score", Type::Float, SCORE)
        .variable("age", Type::Int, AGE)
        .function("header", &[Type::String], Type::String, HEADER)
        .function("has_header", &[Type::String], Type::Bool, HAS_HEADER)
        .function(
            "joined",
            &[Type::String, Type::Int, Type::Bool],
            Type::Int,
            JOINED,
        )
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) seats: i64,
    pub(crate) beta: bool,
    /// Both may be unknown.
    pub(crate) score: Option<f64>,
    pub(crate) age: Option<i64>,
    pub(crate) headers: Vec<(String, String)>,
}

impl World {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

fn text<'a>(arguments: &'a [Value<'_>]) -> &'a str {
    match arguments {
        [Value::String(name), ..] => name,
        other => panic!("the schema promises a string, got {other:?}"),
    }
}

impl Scope for World {
    fn string(&self, slot: Slot, arguments: &[Value<'_>]) -> Option<Cow<'_, str>> {
        Some(match slot {
            METHOD => Cow::Borrowed(&self.method),
            PATH => Cow::Borrowed(&self.path),
            HEADER => Cow::Borrowed(self.header(text(arguments)).unwrap_or_default()),
            other => panic!("{other:?} is no string"),
        })
    }

    fn int(&self, slot: Slot, arguments: &[Value<'_>]) -> Option<i64> {
        Some(match (slot, arguments) {
            (SEATS, []) => self.seats,
            (AGE, []) => return self.age,
            (JOINED, [Value::String(text), Value::Int(number), Value::Bool(flag)]) => {
                i64::try_from(text.len()).expect("short") + number + i64::from(*flag)
            }
            other => panic!("{other:?} is no number"),
        })
    }

    fn float(&self, slot: Slot, _: &[Value<'_>]) -> Option<f64> {
        match slot {
            SCORE => self.score,
            other => panic!("{other:?} is no decimal number"),
        }
    }

    fn bool(&self, slot: Slot, arguments: &[Value<'_>]) -> Option<bool> {
        Some(match slot {
            BETA => self.beta,
            HAS_HEADER => self.header(text(arguments)).is_some(),
            other => panic!("{other:?} is not true or false"),
        })
    }
}
