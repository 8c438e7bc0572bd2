//! What the format's library says about a shape, in words for people.

use serde_json::Value;

/// Names that are listed at most.
const SHOWN: usize = 16;

/// What a value is.
pub(super) fn of_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The message, and what to write instead where that can be told.
pub(super) fn of_shape(said: &str) -> (String, Option<String>) {
    let names: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    if let Some((name, known)) = names.split_first() {
        if said.starts_with("unknown field ") {
            return (format!("there is no field {name:?}"), meant(name, known));
        }
        if said.starts_with("unknown variant ") {
            return (format!("{name:?} is not known here"), meant(name, known));
        }
        if said.starts_with("missing field ") {
            return (format!("the field {name:?} is missing"), None);
        }
    }
    let other = said
        .strip_prefix("invalid type: ")
        .or_else(|| said.strip_prefix("invalid value: "));
    match other.and_then(|said| said.rsplit_once(", expected ")) {
        Some((is, wanted)) => {
            let message = format!("{} belongs here, and this is {}", shape(wanted), found(is));
            (message, None)
        }
        None => (said.to_owned(), None),
    }
}

fn meant(name: &str, known: &[&str]) -> Option<String> {
    match esclusa_expr::nearest(name, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean {meant:?}?")),
        None if known.is_empty() => None,
        None => {
            let shown = known.iter().take(SHOWN).copied();
            let shown = shown.collect::<Vec<_>>().join(", ");
            Some(match known.len().saturating_sub(SHOWN) {
                0 => format!("known are {shown}"),
                more => format!("known are {shown} and {more} more"),
            })
        }
    }
}

fn shape(wanted: &str) -> &str {
    match wanted {
        "a map" => "an object",
        "a sequence" => "a list",
        "a string" => "a text",
        "a boolean" => "true or false",
        "u16" => "a whole number up to 65,535",
        "u8" => "a whole number up to 255",
        "u32" | "u64" | "usize" => "a whole number",
        struct_ if struct_.starts_with("struct ") => "an object",
        enum_ if enum_.ends_with("enum") || enum_.starts_with("enum ") => "a word",
        other => other,
    }
}

fn found(is: &str) -> String {
    match is {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        "null" | "unit value" => "nothing".to_owned(),
        text if text.starts_with("string ") => text.replacen("string", "the text", 1),
        other => {
            let number = ["integer ", "floating point ", "boolean "];
            let bare = number.iter().find_map(|kind| other.strip_prefix(kind));
            bare.unwrap_or(other).replace('`', "")
        }
    }
}
