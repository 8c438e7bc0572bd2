//! Segments: named groups of users, told by an expression over the request.
//!
//! The short form `{ header: x-team, any-of: [red, blue] }` becomes such an expression.

use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::shape::Key;
use crate::shape::{Block, Shape};
use crate::sink::Sink;
use crate::source::Span;
use esclusa_flags::{MAX_SEGMENTS, compile_condition};
use std::collections::BTreeMap;

/// The shape of the whole section.
pub(crate) fn shape() -> Shape {
    let block = Block::of(vec![
        Key::new(
            "header",
            Shape::Text,
            "The request header that tells who belongs to the segment.",
        )
        .required()
        .example("x-team"),
        Key::new(
            "any-of",
            Shape::list(Shape::Text),
            "The values that belong to it.",
        )
        .required()
        .example("[team]"),
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
            check(&name, &source, sink);
            segments.insert(name, source);
        }
    }
    if segments.len() > MAX_SEGMENTS {
        sink.error(
            code::OUT_OF_BOUNDS,
            "segments",
            format!("the plan has {} segments", segments.len()),
            format!("name at most {MAX_SEGMENTS}"),
        );
    }
    segments
}

fn from_header(block: &Fields, sink: &mut Sink<'_>) -> Option<String> {
    let header = super::route::header_name(&block.text("header")?, &block.at("header"), sink)?;
    let values = block.texts("any-of")?;
    if values.is_empty() {
        sink.error(
            code::EMPTY,
            &block.at("any-of"),
            "this segment has no members".to_owned(),
            "name at least one value, or remove the segment".to_owned(),
        );
        return None;
    }
    let header = quoted(&header);
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    Some(match values.as_slice() {
        [one] => format!("header({header}) == {one}"),
        all => format!("header({header}) in [{}]", all.join(", ")),
    })
}

/// Compiles an expression as the data plane will, and reports what is wrong with it.
fn check(name: &str, source: &str, sink: &mut Sink<'_>) {
    let path = format!("segments.{name}");
    let Err(errors) = compile_condition(source) else {
        return;
    };
    let place = sink.place(&path);
    // An expression without escapes stands in the file as it is.
    let written = sink.text.get(place.offset..place.offset + place.len);
    let start = written
        .and_then(|written| written.find(source))
        .map(|at| place.offset + at);
    for error in errors {
        let span = start.map_or(place, |start| {
            Span::clamped(sink.text, start + error.span.start, start + error.span.end)
        });
        let help = error.hint.unwrap_or_else(|| {
            "write a condition such as `header(\"x-team\") == \"red\"`".to_owned()
        });
        sink.error_at(code::EXPRESSION, &path, span, error.message, help);
    }
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
