//! Segments: named groups of users, told by an expression over the request.
//!
//! The short form `{ header: x-team, any-of: [red, blue] }` becomes such an expression.

use crate::read::{Fields, Sink, Val};
use crate::shape::Key;
use crate::shape::{Block, Shape};
use std::collections::BTreeMap;

/// The shape of the whole section.
pub(crate) fn shape() -> Shape {
    let block = Block::of(vec![
        Key::new(
            "header",
            Shape::Text,
            "The request header that tells who belongs to the segment.",
        )
        .required(),
        Key::new(
            "any-of",
            Shape::list(Shape::Text),
            "The values that belong to it.",
        )
        .required(),
    ]);
    Shape::Named(Box::new(Shape::either(Shape::Text, block)))
}

/// Builds expressions by name.
pub(crate) fn build(fields: &Fields, sink: &mut Sink<'_>) -> BTreeMap<String, String> {
    let mut segments = BTreeMap::new();
    for (name, value) in fields.named("segments").unwrap_or_default() {
        let source = match value {
            Val::Text(source) => Some(source),
            Val::Block(block) => from_header(&block, sink),
            _ => None,
        };
        if let Some(source) = source {
            segments.insert(name, source);
        }
    }
    segments
}

fn from_header(block: &Fields, sink: &mut Sink<'_>) -> Option<String> {
    let header = super::route::header_name(&block.text("header")?, &block.at("header"), sink)?;
    let values = block.texts("any-of")?;
    if values.is_empty() {
        sink.error(
            crate::diagnostic::EMPTY,
            &block.at("any-of"),
            "this segment has no members".to_owned(),
            "name at least one value, or remove the segment".to_owned(),
        );
        return None;
    }
    let header = quoted(&header);
    let tests: Vec<String> = values
        .iter()
        .map(|value| format!("header({header}) == {}", quoted(value)))
        .collect();
    Some(tests.join(" || "))
}

/// A text as a literal of the expression language.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
