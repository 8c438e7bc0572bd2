//! JSON in which each key is written once. Its library takes the last one without a word.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Reads JSON; for `#[serde(deserialize_with)]` too.
///
/// # Errors
/// When the text is no JSON, or an object has a key twice; the message says where.
pub fn unambiguous<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
    At(String::new()).deserialize(from)
}

/// A value at a place.
struct At(String);

impl<'de> DeserializeSeed<'de> for At {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = from.next_element_seed(At(format!("{}/{}", self.0, list.len())))? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = from.next_key::<String>()? {
            let at = format!("{}/{}", self.0, crate::problem::escaped(&key));
            if members.contains_key(&key) {
                return Err(A::Error::custom(format!("{at} is written twice")));
            }
            members.insert(key, from.next_value_seed(At(at))?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        let mut from = serde_json::Deserializer::from_str(text);
        unambiguous(&mut from).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_written_once() {
        let text = r#"{"a": [1, -2, 0.5, null, true, "x"], "b": {"a": {}}}"#;
        assert_eq!(read(text), Ok(serde_json::from_str(text).expect("JSON")));
        let twice = read(r#"{"flags": [{"a/b": 1, "a/b": 2}]}"#).expect_err("twice");
        assert!(
            twice.starts_with("/flags/0/a~1b is written twice"),
            "{twice}"
        );
    }
}
