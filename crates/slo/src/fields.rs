//! Short forms for tables of fields, and reading what they let through.

use esclusa_plan::{Field, FieldKind};
use serde_json::Value;

pub(crate) fn required(name: &str, kind: FieldKind, doc: &str) -> Field {
    Field {
        name: name.into(),
        doc: doc.into(),
        kind,
        required: true,
    }
}

pub(crate) fn optional(name: &str, kind: FieldKind, doc: &str) -> Field {
    Field {
        required: false,
        ..required(name, kind, doc)
    }
}

pub(crate) fn choice(words: &[&str]) -> FieldKind {
    FieldKind::Choice(words.iter().map(|word| (*word).to_owned()).collect())
}

pub(crate) fn list(item: FieldKind) -> FieldKind {
    FieldKind::List(Box::new(item))
}

/// The text at `key`.
pub(crate) fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str()
}

/// A number that is written as text, such as `99.9`.
pub(crate) fn number(value: &Value, key: &str) -> Option<Result<f64, String>> {
    let text = text(value, key)?;
    let parsed = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    Some(parsed.ok_or_else(|| text.to_owned()))
}

/// The items at `key`; none when there is no list.
pub(crate) fn items<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
