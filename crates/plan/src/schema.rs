//! The language as JSON Schema 2020-12, for editors: completion, hints, red lines.
//!
//! Made from the very tables that reading uses. It says less than the lint: what
//! depends on several places of a plan is not in it.

use crate::catalog::Catalog;
use crate::section::root;
use crate::shape::{Block, Key, Shape};
use crate::units::MarginKind;
use crate::yaml::{self, Node, Value as Yaml};
use serde_json::{Map, Value, json};

/// The schema of a plan that uses these drivers.
#[must_use]
pub fn json_schema(catalog: &Catalog) -> Value {
    let mut schema = block(&root::block(catalog));
    if let Value::Object(fields) = &mut schema {
        let head = [
            (
                "$schema",
                json!("https://json-schema.org/draft/2020-12/schema"),
            ),
            ("title", json!("esclusa plan")),
            ("description", json!("How one service is released.")),
            ("$defs", definitions()),
        ];
        fields.extend(head.map(|(key, value)| (key.to_owned(), value)));
    }
    schema
}

/// Shapes that stand in many places.
fn definitions() -> Value {
    let text = |pattern: &str, example: &str| json!({ "type": "string", "pattern": pattern, "examples": [example] });
    json!({
        "text": { "type": ["string", "number", "boolean"] },
        "label": text("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "checkout"),
        "token": { "type": ["string", "number"], "pattern": "^[A-Za-z0-9._+:@/-]{1,128}$" },
        "duration": text(r"^([0-9]+(\.[0-9]{1,3})?(ms|s|m|h|d))+$", "30m"),
        "seconds": { "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "$ref": "#/$defs/duration" },
        ] },
        "share": text(r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?) *%$", "5%"),
        "percent": text(r"^[0-9]+(\.[0-9]+)? *%$", "5%"),
        "fraction": { "anyOf": [
            { "type": "number", "minimum": 0, "maximum": 1 },
            { "$ref": "#/$defs/percent" },
        ] },
        "points": text(r"^[0-9]+(\.[0-9]+)? *pp$", "0.5pp"),
        "size": text("^[0-9]+ *(B|kB|KiB|MB|MiB|GB|GiB)$", "64 MiB"),
        "rate": text(r"^[0-9]+(\.[0-9]+)? */ *(s|m|min)$", "10/s"),
        "command": { "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "items": { "$ref": "#/$defs/text" }, "minItems": 1 },
        ] },
    })
}

fn block(block: &Block) -> Value {
    let properties: Map<String, Value> = block
        .keys
        .iter()
        .map(|key| (key.name.clone(), property(key)))
        .collect();
    let required: Vec<&str> = block
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name.as_str())
        .collect();
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let choices: Vec<Value> = block
        .one_of
        .iter()
        .map(|one_of| {
            let each: Vec<Value> = one_of
                .keys
                .iter()
                .map(|key| json!({ "required": [key] }))
                .collect();
            let without = one_of
                .unless
                .map(|key| json!({ "required": [key], "not": { "anyOf": &each } }));
            let each: Vec<Value> = each.iter().cloned().chain(without).collect();
            json!({ "oneOf": each })
        })
        .collect();
    if !choices.is_empty() {
        schema["allOf"] = json!(choices);
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.shape);
    schema["description"] = json!(key.doc);
    if let Some(text) = &key.default
        && let (Some(node), _) = yaml::load(text)
    {
        schema["default"] = as_json(&node);
    }
    schema
}

fn definition(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn shape(of: &Shape) -> Value {
    match of {
        Shape::Text | Shape::Template(_) => definition("text"),
        Shape::Label => definition("label"),
        Shape::Token => definition("token"),
        Shape::Switch => json!({ "type": "boolean" }),
        Shape::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Shape::Number { min, max } => {
            json!({ "type": "number", "minimum": min, "maximum": max })
        }
        Shape::Duration => definition("duration"),
        Shape::Seconds => definition("seconds"),
        Shape::Share => definition("share"),
        Shape::Fraction { .. } => definition("fraction"),
        Shape::Percent => definition("percent"),
        Shape::Margin(MarginKind::Points) => definition("points"),
        Shape::Margin(MarginKind::Relative) => definition("percent"),
        Shape::Size => definition("size"),
        Shape::Rate => definition("rate"),
        Shape::Command(_) => definition("command"),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Free => json!({}),
        Shape::List(item) => json!({ "type": "array", "items": shape(item) }),
        Shape::Named(item) => json!({
            "type": "object",
            "propertyNames": definition("label"),
            "additionalProperties": shape(item),
        }),
        Shape::Variants => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9._+:@/-]{1,100}$" },
            "additionalProperties": definition("token"),
            "minProperties": 1,
        }),
        Shape::Environment(_) => json!({
            "type": "object",
            "additionalProperties": definition("text"),
        }),
        Shape::Block(fields) => block(fields),
        Shape::OrOff(inner) => json!({ "anyOf": [shape(inner), { "const": "off" }] }),
        Shape::Either {
            short,
            block: fields,
        } => {
            json!({ "anyOf": [shape(short), block(fields)] })
        }
    }
}

/// A default as an editor would insert it.
pub(crate) fn as_json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Scalar { text, plain } => match text.as_str() {
            "true" if *plain => json!(true),
            "false" if *plain => json!(false),
            // Whole numbers and decimals are JSON as they stand.
            number if *plain => serde_json::from_str::<serde_json::Number>(number)
                .map_or_else(|_| json!(text), Value::Number),
            _ => json!(text),
        },
        Yaml::List(items) => items.iter().map(as_json).collect(),
        Yaml::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), as_json(&entry.value)))
            .collect::<Map<String, Value>>()
            .into(),
    }
}
