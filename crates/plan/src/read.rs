//! Checks a loose tree against a shape and keeps every finding, not only the first.
//!
//! What comes out has the right form and units; whether it makes sense together is
//! for the builders and the lint.

use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::scalar::scalar;
use crate::shape::{Block, Key, OneOf, Shape};
use crate::sink::{Sink, TemplateUse, child, printable};
use crate::source::Span;
use crate::suggest::{listed, nearest};
use crate::yaml::{self, Entry, Node, Value};
use std::collections::BTreeMap;

/// Reads one value; `None` when it was wrong, which is then in the sink.
pub(crate) fn read(node: &Node, shape: &Shape, path: &str, sink: &mut Sink<'_>) -> Option<Val> {
    match (shape, &node.value) {
        (_, Value::Null) => {
            let what = path.rsplit('.').next().unwrap_or(path);
            let help = format!("write {}", shape.expected());
            sink.error_at(
                code::EMPTY,
                path,
                sink.place(path),
                format!("`{what}` has no value"),
                help,
            );
            None
        }
        (Shape::Block(block), Value::Map(entries)) => {
            read_block(entries, block, path, sink).map(Val::Block)
        }
        (Shape::Either { block, .. }, Value::Map(entries)) => {
            read_block(entries, block, path, sink).map(Val::Block)
        }
        (Shape::OrOff(shape), Value::Map(_) | Value::List(_)) => read(node, shape, path, sink),
        (Shape::Either { short, .. }, _) => read(node, short, path, sink),
        (Shape::Named(item), Value::Map(entries)) => read_named(entries, item, path, sink),
        (Shape::Environment(scope), Value::Map(entries)) => {
            let values = entries
                .iter()
                .filter_map(|entry| {
                    let path = child(path, &entry.key);
                    sink.remember(&path, entry.value.span);
                    let val = read(&entry.value, &Shape::Template(*scope), &path, sink)?;
                    Some((entry.key.clone(), val))
                })
                .collect();
            Some(Val::Named(values))
        }
        (Shape::List(item), Value::List(nodes)) => read_list(nodes, item, path, sink),
        (Shape::Command(scope), Value::List(nodes)) => {
            let words = read_list(nodes, &Shape::Template(*scope), path, sink)?;
            let Val::List(words) = words else { return None };
            if words.is_empty() {
                sink.error(
                    code::EMPTY,
                    path,
                    "this command has no words".to_owned(),
                    "name the program first: `[./migrate, up]`".to_owned(),
                );
                return None;
            }
            Some(Val::Words(
                words.into_iter().filter_map(Val::into_text).collect(),
            ))
        }
        (_, Value::Scalar { text, plain }) => read_scalar(node, text, *plain, shape, path, sink),
        _ => {
            let form = match node.value {
                Value::Map(_) => "a block",
                _ => "a list",
            };
            sink.error(
                code::WRONG_FORM,
                path,
                format!("{} is expected here, not {form}", shape.expected()),
                format!("write {}", shape.expected()),
            );
            None
        }
    }
}

fn read_list(nodes: &[Node], item: &Shape, path: &str, sink: &mut Sink<'_>) -> Option<Val> {
    let mut complete = true;
    let mut values = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let path = format!("{path}[{index}]");
        sink.remember(&path, first_line_of(node));
        match read(node, item, &path, sink) {
            Some(value) => values.push(value),
            None => complete = false,
        }
    }
    complete.then_some(Val::List(values))
}

/// A block in a list is pointed at by its first key.
fn first_line_of(node: &Node) -> Span {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.span, |entry| entry.key_span),
        _ => node.span,
    }
}

fn read_named(entries: &[Entry], item: &Shape, path: &str, sink: &mut Sink<'_>) -> Option<Val> {
    let mut complete = true;
    let mut values = BTreeMap::new();
    for entry in entries {
        let path = child(path, &entry.key);
        sink.remember(&path, entry.key_span);
        if let Err(error) = esclusa_model::ComponentName::new(entry.key.clone()) {
            complete = false;
            sink.error(
                code::BAD_NAME,
                &path,
                format!("`{}` is not a name", printable(&entry.key)),
                error.rule.to_owned(),
            );
        }
        remember_value(entry, &path, sink);
        match read(&entry.value, item, &path, sink) {
            Some(value) => drop(values.insert(entry.key.clone(), value)),
            None => complete = false,
        }
    }
    complete.then_some(Val::Named(values))
}

/// Single values are pointed at themselves, blocks and lists by their key.
fn remember_value(entry: &Entry, path: &str, sink: &mut Sink<'_>) {
    let span = match entry.value.value {
        Value::Scalar { .. } => entry.value.span,
        _ => entry.key_span,
    };
    sink.remember(path, span);
}

/// Reads a block's keys. `None` is never returned for single broken values: the rest
/// is read all the same, and the sink knows what is missing.
pub(crate) fn read_block(
    entries: &[Entry],
    block: &Block,
    path: &str,
    sink: &mut Sink<'_>,
) -> Option<Fields> {
    let mut fields = Fields {
        path: path.to_owned(),
        ..Fields::default()
    };
    for entry in entries {
        let path = child(path, &entry.key);
        let Some(key) = block.key(&entry.key) else {
            unknown_key(entry, block, &path, sink);
            continue;
        };
        remember_value(entry, &path, sink);
        fields.given.insert(key.name.clone());
        if let Some(value) = read(&entry.value, &key.shape, &path, sink) {
            fields.values.insert(key.name.clone(), value);
        }
    }
    for key in &block.keys {
        if !fields.given.contains(&key.name) {
            absent(key, &mut fields, sink);
        }
    }
    for one_of in &block.one_of {
        check_one_of(one_of, &fields, sink);
    }
    Some(fields)
}

fn unknown_key(entry: &Entry, block: &Block, path: &str, sink: &mut Sink<'_>) {
    let help = match nearest(&entry.key, block.names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if block.keys.is_empty() => "nothing may be set here: write `{}`".to_owned(),
        None => format!("the keys here are {}", listed(block.names())),
    };
    sink.error_at(
        code::UNKNOWN_KEY,
        path,
        entry.key_span,
        format!("`{}` is not a key of this block", printable(&entry.key)),
        help,
    );
}

fn absent(key: &Key, fields: &mut Fields, sink: &mut Sink<'_>) {
    if key.required {
        let example = key.shape.expected();
        sink.error(
            code::MISSING_KEY,
            &fields.path.clone(),
            format!("`{}` is missing", key.name),
            format!("add `{}:` with {example}", key.name),
        );
    } else if let Some(text) = &key.default
        && let (Some(node), _) = yaml::load(text)
    {
        // Defaults go the way of everything written, so that they cannot differ in
        // form; a table with a wrong one fails the tests.
        let mut unseen = Sink::new(text);
        let value = read(&node, &key.shape, &key.name, &mut unseen);
        debug_assert!(value.is_some(), "default of {} is wrong: {text}", key.name);
        if let Some(value) = value {
            fields.values.insert(key.name.clone(), value);
        }
    }
}

fn check_one_of(one_of: &OneOf, fields: &Fields, sink: &mut Sink<'_>) {
    let given: Vec<&str> = one_of
        .keys
        .iter()
        .map(String::as_str)
        .filter(|key| fields.given.contains(*key))
        .collect();
    match given.as_slice() {
        [_] => {}
        [] => sink.error(
            code::EXCLUSIVE,
            &fields.path,
            format!("nothing here says {}", one_of.what),
            format!("add {}", listed(one_of.keys.iter().map(String::as_str))),
        ),
        [first, second, ..] => sink.error(
            code::EXCLUSIVE,
            &child(&fields.path, second),
            format!("`{first}` and `{second}` both say {}", one_of.what),
            "keep one of them".to_owned(),
        ),
    }
}

fn read_scalar(
    node: &Node,
    text: &str,
    plain: bool,
    shape: &Shape,
    path: &str,
    sink: &mut Sink<'_>,
) -> Option<Val> {
    let result = scalar(text, plain, shape);
    match result {
        Ok(value) => {
            if let Shape::Template(scope) | Shape::Command(scope) = shape {
                sink.templates.push(TemplateUse {
                    path: path.to_owned(),
                    text: text.to_owned(),
                    scope: *scope,
                });
            }
            Some(value)
        }
        Err((code, message, help)) => {
            sink.error_at(code, path, node.span, message, help);
            None
        }
    }
}
