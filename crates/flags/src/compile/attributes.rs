//! Attributes get slots; the tenant directory becomes a table.

use super::Compiler;
use crate::context::{AttributeValue, Found, Stored, fitting};
use crate::definition::{AttributeSource, AttributeType};
use crate::problem::{Place, ProblemCode};
use crate::snapshot::{Attribute, BUILT_IN};
use esclusa_expr::{Slot, Type};

const NAME_RULE: &str = "use letters, digits and _, not beginning with a digit";

impl Compiler<'_> {
    pub(super) fn attributes(&mut self) {
        for name in BUILT_IN {
            self.declare(name, AttributeType::String, Some(name));
        }
        let set = self.set;
        let above = Place::root("attributes");
        for (name, attribute) in &set.attributes {
            let place = above.key(name);
            if BUILT_IN.contains(&name.as_str()) {
                let message = "every set has this attribute, as text";
                self.problems.add(&place, ProblemCode::BadName, message);
                continue;
            }
            if !is_name(name) {
                let message = format!("{name:?} cannot stand in a condition");
                let code = ProblemCode::BadName;
                self.problems.add_hint(&place, code, message, NAME_RULE);
                continue;
            }
            let key = attribute.key.as_deref().unwrap_or(name);
            match attribute.source {
                AttributeSource::Context => {
                    if self.built.context_keys.find(key).is_some() {
                        let message = format!("another attribute is read from {key:?} already");
                        let place = place.key("key");
                        self.problems.add(&place, ProblemCode::BadName, message);
                    }
                    self.declare(name, attribute.ty, Some(key));
                }
                AttributeSource::Tenant => {
                    let slot = self.declare(name, attribute.ty, None);
                    self.built.directory.slots.push(slot);
                }
            }
        }
    }

    fn declare(&mut self, name: &str, ty: AttributeType, context_key: Option<&str>) -> u16 {
        // At most MAX_ATTRIBUTES and three; what is beyond is an error of its own.
        let slot = u16::try_from(self.built.attributes.len()).unwrap_or(u16::MAX);
        self.built.attributes.push(Attribute {
            name: name.into(),
            ty,
        });
        let schema = std::mem::take(&mut self.schema);
        let expr_type = match ty {
            AttributeType::String => Type::String,
            AttributeType::Integer => Type::Int,
            AttributeType::Float => Type::Float,
            AttributeType::Boolean => Type::Bool,
        };
        self.schema = schema.variable(name.to_owned(), expr_type, Slot(slot));
        if let Some((name, _)) = self.set.attributes.get_key_value(name) {
            self.slots.insert(name, (slot, ty));
        } else if let Some(name) = BUILT_IN.iter().find(|known| **known == name) {
            self.slots.insert(name, (slot, ty));
        }
        if let Some(key) = context_key
            && self.built.context_keys.find(key).is_none()
        {
            self.built.context_keys.intern(key);
            self.built.context_slots.push(slot);
        }
        slot
    }

    pub(super) fn directory(&mut self) {
        let set = self.set;
        let above = Place::root("tenants");
        let columns: Vec<(&str, AttributeType)> = set
            .attributes
            .iter()
            .filter(|(name, attribute)| {
                attribute.source == AttributeSource::Tenant
                    && self.slots.contains_key(name.as_str())
            })
            .map(|(name, attribute)| (attribute.key.as_deref().unwrap_or(name), attribute.ty))
            .collect();
        for (id, tenant) in &set.tenants {
            let place = above.key(id);
            if id.is_empty() {
                let message = "a tenant has an id";
                self.problems.add(&place, ProblemCode::BadName, message);
            }
            self.built.directory.ids.intern(id);
            for (key, ty) in &columns {
                let given = tenant.attributes.get(*key);
                let value = given.map_or(AttributeValue::Nothing, AttributeValue::from);
                let stored = match fitting(*ty, value) {
                    Found::Absent => Stored::Absent,
                    Found::Text(text) => Stored::Text(text.into()),
                    Found::Integer(number) => Stored::Integer(number),
                    Found::Float(number) => Stored::Float(number),
                    Found::Boolean(value) => Stored::Boolean(value),
                    Found::Mistyped => {
                        let above = place.key("attributes");
                        let message = "the value is of another type than the attribute declares";
                        let code = ProblemCode::BadValue;
                        self.problems.add(&above.key(key), code, message);
                        Stored::Mistyped
                    }
                };
                self.built.directory.values.push(stored);
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let reserved = ["true", "false", "in", "has", "null"];
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !reserved.contains(&text)
}
