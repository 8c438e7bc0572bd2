//! What a flag's variants are worth.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;

/// The type of a flag's values; decides `10` against `10.0` in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlagType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A whole number that every client's number type holds: up to 2^53 - 1.
    Integer,
    /// A number with decimals.
    Float,
    /// A JSON object.
    Object,
}

/// The value of one variant.
#[derive(Debug, Clone, PartialEq)]
pub enum FlagValue {
    /// `true` or `false`.
    Boolean(bool),
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with decimals.
    Float(f64),
    /// A JSON object.
    Object(Map<String, Value>),
}

/// Largest whole number that a client's double holds without loss.
const MAX_INTEGER: i64 = (1 << 53) - 1;
/// Deepest accepted nesting of an object.
const MAX_DEPTH: usize = 64;

impl FlagValue {
    /// Reads a value of the declared type.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn from_json(ty: FlagType, json: &Value) -> Result<Self, String> {
        let wrong = || format!("this is {}, the flag is of type {ty}", kind(json));
        match (ty, json) {
            (FlagType::Boolean, Value::Bool(value)) => Ok(Self::Boolean(*value)),
            (FlagType::String, Value::String(text)) => Ok(Self::String(text.clone())),
            (FlagType::Integer, Value::Number(number)) => {
                let whole = number
                    .as_i64()
                    .or_else(|| number.as_f64().and_then(whole))
                    .ok_or_else(|| format!("{number} is not a whole number of 53 bits"))?;
                if whole.unsigned_abs() <= MAX_INTEGER.unsigned_abs() {
                    Ok(Self::Integer(whole))
                } else {
                    Err(format!("{whole} is beyond the 53 bits that clients hold"))
                }
            }
            (FlagType::Float, Value::Number(number)) => {
                let exact = number.as_i64().is_none_or(|n| whole(n as f64) == Some(n));
                match number.as_f64().filter(|n| n.is_finite() && exact) {
                    Some(value) => Ok(Self::Float(value)),
                    None => Err(format!("{number} loses digits as a decimal number")),
                }
            }
            (FlagType::Object, Value::Object(_)) if too_deep(json) => Err(format!(
                "the object nests more than {MAX_DEPTH} levels deep"
            )),
            (FlagType::Object, Value::Object(map)) => Ok(Self::Object(map.clone())),
            _ => Err(wrong()),
        }
    }

    /// The value as JSON: a decimal number keeps its point.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Boolean(value) => Value::Bool(*value),
            Self::String(text) => Value::String(text.clone()),
            Self::Integer(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::Object(map) => Value::Object(map.clone()),
        }
    }

    /// Its type.
    #[must_use]
    pub fn flag_type(&self) -> FlagType {
        match self {
            Self::Boolean(_) => FlagType::Boolean,
            Self::String(_) => FlagType::String,
            Self::Integer(_) => FlagType::Integer,
            Self::Float(_) => FlagType::Float,
            Self::Object(_) => FlagType::Object,
        }
    }
}

impl Serialize for FlagValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Object(map) => map.serialize(serializer),
        }
    }
}

impl fmt::Display for FlagType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Object => "object",
        })
    }
}

/// A decimal number without decimals, when a double holds it exactly.
pub(crate) fn whole(number: f64) -> Option<i64> {
    let fits = number.abs() <= MAX_INTEGER as f64 && number.fract() == 0.0;
    // Exact: below 2^53 and without decimals.
    fits.then_some(number as i64)
}

fn kind(json: &Value) -> &'static str {
    match json {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Level by level, without recursion.
fn too_deep(json: &Value) -> bool {
    let mut level = vec![json];
    for _ in 0..MAX_DEPTH {
        if level.is_empty() {
            return false;
        }
        level = level
            .into_iter()
            .flat_map(|value| match value {
                Value::Array(list) => list.iter().collect::<Vec<_>>(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            })
            .collect();
    }
    !level.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_loses_nothing_is_taken() {
        let read = |ty, json| FlagValue::from_json(ty, &json).ok();
        assert_eq!(
            read(FlagType::Integer, json!(10.0)),
            Some(FlagValue::Integer(10))
        );
        assert_eq!(
            read(FlagType::Float, json!(10)),
            Some(FlagValue::Float(10.0))
        );
        for (ty, bad) in [
            (FlagType::Integer, json!(1.5)),
            (FlagType::Integer, json!(9_007_199_254_740_992_i64)),
            (FlagType::Integer, json!(u64::MAX)),
            (FlagType::Integer, json!(i64::MIN)),
            (FlagType::Integer, json!(1e300)),
            (FlagType::Float, json!(9_007_199_254_740_993_i64)),
            (FlagType::Boolean, json!("true")),
            (FlagType::String, json!(null)),
            (FlagType::Object, json!([])),
        ] {
            assert_eq!(read(ty, bad.clone()), None, "{ty} {bad}");
        }
        // interop: a float flag answers 10.0, an integer flag 10.
        let text = |value: &FlagValue| serde_json::to_string(value).expect("JSON");
        assert_eq!(text(&FlagValue::Float(10.0)), "10.0");
        assert_eq!(text(&FlagValue::Integer(10)), "10");
    }

    #[test]
    fn deep_objects_are_refused_not_followed() {
        let nested = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
        assert!(FlagValue::from_json(FlagType::Object, &nested(60)).is_ok());
        assert!(FlagValue::from_json(FlagType::Object, &nested(70)).is_err());
    }
}
