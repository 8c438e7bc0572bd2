//! Checks a loose tree against a shape and keeps every finding, not only the first.
//!
//! What comes out has the right form and units; whether it makes sense together is
//! for the builders and the lint.

use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::scalar::{in_its_form, scalar};
use crate::schema::as_json;
use crate::shape::{Block, Key, OneOf, Scope, Shape};
use crate::sink::{Sink, TemplateUse, child, printable};
use crate::source::Span;
use crate::suggest::{label, listed, meant_key, nearest_all};
use crate::yaml::{self, Entry, Node, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The key of a plan's version, which no other file has.
const PLAN_KEY: &str = "esclusa";

/// How a plan begins, or what another file of settings is made of.
fn begin(shape: &Shape) -> String {
    match shape {
        Shape::Block(block) if block.key(PLAN_KEY).is_none() => {
            format!("the keys here are {}", listed(block.names()))
        }
        _ => "begin with `esclusa: 1` and `service:`, or let `esclusa init` write a first plan"
            .to_owned(),
    }
}

fn is_blocks(shape: &Shape) -> bool {
    matches!(shape, Shape::Block(_))
}

/// Reads one value; `None` when it was wrong, which is then in the sink.
pub(crate) fn read(node: &Node, shape: &Shape, path: &str, sink: &mut Sink<'_>) -> Option<Val> {
    match (shape, &node.value) {
        (_, Value::Null) => {
            let message = match path.rsplit('.').next() {
                Some("") | None => "the file is empty".to_owned(),
                Some(key) => format!("`{key}` has no value"),
            };
            let help = if path.is_empty() {
                begin(shape)
            } else {
                format!("write {}, or remove the key", shape.expected())
            };
            sink.error(code::EMPTY, path, message, help);
            None
        }
        (Shape::Free, _) => Some(Val::Free(as_json(node))),
        (Shape::Block(block), Value::Map(entries)) => {
            read_block(entries, block, path, sink).map(Val::Block)
        }
        (Shape::Either { block, .. }, Value::Map(entries)) => {
            read_block(entries, block, path, sink).map(Val::Block)
        }
        (Shape::Block(block), Value::Scalar { .. }) if path.is_empty() => {
            let message = match block.key(PLAN_KEY) {
                Some(_) => "this text is no plan: a plan is made of keys with values",
                None => "this text is no such file: it is made of keys with values",
            };
            let (message, help) = (message.to_owned(), begin(shape));
            sink.error_at(code::WRONG_FORM, path, node.span, message, help);
            None
        }
        (Shape::Either { short, block }, Value::Scalar { text, plain })
            if text.starts_with(char::is_alphabetic)
                && scalar(text, *plain, short).is_err()
                && in_its_form(text, *plain, &Shape::Block(block.clone())).is_some() =>
        {
            let form = in_its_form(text, *plain, &Shape::Block(block.clone()));
            sink.error_at(
                code::WRONG_VALUE,
                path,
                node.span,
                format!("`{}` is not {}", printable(text), short.expected()),
                format!(
                    "write `{}`, or {}",
                    form.unwrap_or_default(),
                    short.expected()
                ),
            );
            None
        }
        (Shape::OrOff(shape), Value::Map(_) | Value::List(_)) => read(node, shape, path, sink),
        (Shape::Either { short, .. }, _) => read(node, short, path, sink),
        (Shape::Named(item), Value::Map(entries)) => Some(read_named(entries, item, path, sink)),
        (Shape::Variants, Value::Map(entries)) => {
            Some(crate::section::flags::read_set(entries, path, sink))
        }
        (Shape::Environment(scope), Value::Map(entries)) => {
            Some(read_environment(entries, *scope, path, sink))
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
            let (expected, help) = match (path, shape) {
                ("", _) => ("a block of keys".to_owned(), begin(shape)),
                (_, Shape::Named(_)) if form == "a list" => (
                    shape.expected(),
                    "give each a name in place of its dash, such as `web: { ... }`".to_owned(),
                ),
                (_, Shape::List(item)) if form == "a block" && is_blocks(item) => (
                    "a list".to_owned(),
                    "put `- ` before the first key: a list has one block for each item".to_owned(),
                ),
                _ => (shape.expected(), format!("write {}", shape.expected())),
            };
            sink.error(
                code::WRONG_FORM,
                path,
                format!("{expected} is expected here, not {form}"),
                help,
            );
            None
        }
    }
}

/// Reads templates under free keys; an empty one is a value like any other.
fn read_environment(entries: &[Entry], scope: Scope, path: &str, sink: &mut Sink<'_>) -> Val {
    let mut values = BTreeMap::new();
    for entry in entries {
        let path = child(path, &entry.key);
        sink.remember(&path, entry.value.span);
        let value = match &entry.value.value {
            Value::Scalar { text, .. } if text.is_empty() => Some(Val::Text(String::new())),
            _ => read(&entry.value, &Shape::Template(scope), &path, sink),
        };
        values.extend(value.map(|value| (entry.key.clone(), value)));
    }
    Val::Named(values)
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

/// Reads values under free names; broken ones are left out.
fn read_named(entries: &[Entry], item: &Shape, path: &str, sink: &mut Sink<'_>) -> Val {
    let mut values = BTreeMap::new();
    for entry in entries {
        let path = child(path, &entry.key);
        sink.remember(&path, entry.key_span);
        if let Err(error) = esclusa_model::ComponentName::new(entry.key.clone()) {
            sink.error(
                code::BAD_NAME,
                &path,
                format!("`{}` is not a name", printable(&entry.key)),
                match label(&entry.key) {
                    Some(meant) => format!("did you mean `{meant}`? {}", error.rule),
                    None => error.rule.to_owned(),
                },
            );
        }
        remember_value(entry, &path, sink);
        if let Some(value) = read(&entry.value, item, &path, sink) {
            values.insert(entry.key.clone(), value);
        }
    }
    Val::Named(values)
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
    let mut meant = BTreeSet::new();
    let mut unknown = false;
    for entry in entries {
        let path = child(path, &entry.key);
        let Some(key) = block.key(&entry.key) else {
            meant.extend(unknown_key(entry, block, &path, sink));
            unknown = true;
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
            absent(key, meant.contains(&key.name), &mut fields, sink);
        }
    }
    for one_of in &block.one_of {
        check_one_of(one_of, &fields, unknown, sink);
    }
    Some(fields)
}

/// Reports a key; the one that was probably meant is not reported missing as well.
fn unknown_key(entry: &Entry, block: &Block, path: &str, sink: &mut Sink<'_>) -> Option<String> {
    let near = nearest_all(&entry.key, block.names());
    let meant = if near.len() > 1 {
        None
    } else {
        meant_key(&entry.key, block.names())
    };
    if let Some(meant) = meant {
        let around = path.strip_suffix(&entry.key).unwrap_or("");
        sink.misspelt(format!("{around}{meant}"), entry.key_span);
    }
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if near.len() > 1 => format!("did you mean {}?", listed(near.iter().copied())),
        None if block.keys.is_empty() => "nothing may be set here: write `{}`".to_owned(),
        None => {
            let example = block.one_of.first().map_or(String::new(), |one_of| {
                let whole = one_of.keys.len() == block.keys.len();
                let example = one_of.example;
                if whole {
                    format!("; such as `{example}`")
                } else {
                    String::new()
                }
            });
            format!("the keys here are {}{example}", listed(block.names()))
        }
    };
    sink.error_at(
        code::UNKNOWN_KEY,
        path,
        entry.key_span,
        format!("`{}` is not a key of this block", printable(&entry.key)),
        help,
    );
    meant.map(str::to_owned)
}

fn absent(key: &Key, misspelt: bool, fields: &mut Fields, sink: &mut Sink<'_>) {
    if key.required {
        if misspelt {
            return;
        }
        let help = match key.example {
            Some(example) => format!("add `{}: {example}`", key.name),
            None => match &key.shape {
                Shape::Command(_) => format!("add `{}: ./run.sh`, or a list of words", key.name),
                shape => format!("add `{}:` with {}", key.name, shape.expected()),
            },
        };
        let path = fields.path.clone();
        sink.error(
            code::MISSING_KEY,
            &path,
            format!("`{}` is missing", key.name),
            help,
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

fn check_one_of(one_of: &OneOf, fields: &Fields, unknown: bool, sink: &mut Sink<'_>) {
    let given: Vec<&str> = one_of
        .keys
        .iter()
        .map(String::as_str)
        .filter(|key| fields.given.contains(*key))
        .collect();
    match given.as_slice() {
        [_] => {}
        // One of the unknown keys may have been meant.
        [] if unknown => {}
        [] if one_of.unless.is_some_and(|key| fields.given.contains(key)) => {}
        [] => sink.error(
            code::EXCLUSIVE,
            &fields.path,
            format!("nothing here says {}", one_of.what),
            format!(
                "add {}, such as `{}`",
                listed(one_of.keys.iter().map(String::as_str)),
                one_of.example
            ),
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
            let help = if path == "esclusa" {
                "write `esclusa: 1`".to_owned()
            } else {
                help
            };
            sink.error_at(code, path, node.span, message, help);
            None
        }
    }
}
