//! The context of a request, read straight into an evaluation's memory.

use esclusa_flags::{AttributeValue, Context};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// Why a body is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadBody {
    /// It is no JSON object.
    Parse(String),
    /// Its context is none.
    Context(String),
}

impl BadBody {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Parse(_) => "PARSE_ERROR",
            Self::Context(_) => "INVALID_CONTEXT",
        }
    }

    pub(crate) fn details(&self) -> &str {
        match self {
            Self::Parse(details) | Self::Context(details) => details,
        }
    }
}

/// Reads a body into a context. Nothing at all is a context without values, as is `null`.
pub(crate) fn read(body: &[u8], context: &mut Context<'_>) -> Result<(), BadBody> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    let in_context = Cell::new(false);
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Body(context, &in_context)
        .deserialize(&mut json)
        .and_then(|()| json.end());
    read.map_err(|error| match in_context.get() && error.is_data() {
        true => BadBody::Context(error.to_string()),
        false => BadBody::Parse(error.to_string()),
    })
}

/// How a single request's body is taken: nothing, or the error's code.
pub fn fuzz_single(body: &[u8], snapshot: &esclusa_flags::Snapshot) -> Option<&'static str> {
    let mut context = snapshot.context();
    read(body, &mut context).err().map(|bad| bad.code())
}

/// The request's object.
struct Body<'a, 's>(&'a mut Context<'s>, &'a Cell<bool>);

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a context")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == "context" {
                self.1.set(true);
                map.next_value_seed(Values(self.0))?;
                self.1.set(false);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The context's object.
struct Values<'a, 's>(&'a mut Context<'s>);

impl<'de> DeserializeSeed<'de> for Values<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object as context")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == "targetingKey" {
                map.next_value_seed(Value(self.0, &key.0, true))?;
            } else {
                map.next_value_seed(Value(self.0, &key.0, false))?;
            }
        }
        Ok(())
    }
}

/// One value of the context.
struct Value<'a, 's>(&'a mut Context<'s>, &'a str, bool);

impl Value<'_, '_> {
    fn other<E: serde::de::Error>(self) -> Result<(), E> {
        if self.2 {
            return Err(E::custom("the targeting key is not text"));
        }
        self.0.set(self.1, AttributeValue::Other);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.set(self.1, AttributeValue::Nothing);
        Ok(())
    }
    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        if self.2 {
            return self.other();
        }
        self.0.set(self.1, AttributeValue::Boolean(value));
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.set(self.1, AttributeValue::Integer(value));
        Ok(())
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.other(),
        }
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        if self.2 {
            return self.other();
        }
        self.0.set(self.1, AttributeValue::Float(value));
        Ok(())
    }
    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.set(self.1, AttributeValue::Text(value));
        Ok(())
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.other()
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.other()
    }
}

/// A key, borrowed where it has no escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Key;
        impl<'de> Visitor<'de> for Key {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        json.deserialize_str(Key)
    }
}
