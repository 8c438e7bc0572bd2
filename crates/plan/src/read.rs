//! Checks a loose tree against a shape and keeps every finding, not only the first.
//!
//! What comes out has the right form and units; whether it makes sense together is
//! for the builders and the lint.

use crate::diagnostic::{self as code, Diagnostic, Severity};
use crate::shape::{Block, Key, OneOf, Scope, Shape};
use crate::source::Span;
use crate::suggest::{listed, nearest};
use crate::units::{self, Margin, UnitError};
use crate::yaml::{self, Entry, Node, Value};
use esclusa_model::{BasisPoints, Fraction, Millis};
use std::collections::{BTreeMap, BTreeSet};

/// More findings than this help nobody.
const MAX_FINDINGS: usize = 100;

/// A value of the right form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Val {
    Text(String),
    /// The word `off`, where it is allowed.
    Off,
    Switch(bool),
    Integer(i64),
    Number(f64),
    Duration(Millis),
    Seconds(u32),
    Share(BasisPoints),
    Fraction(Fraction),
    Margin(Margin),
    /// Bytes.
    Size(u64),
    /// Thousandths a second.
    Rate(u64),
    Words(Vec<String>),
    List(Vec<Val>),
    Named(BTreeMap<String, Val>),
    Block(Fields),
}

/// A block's values by key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Fields {
    pub(crate) path: String,
    values: BTreeMap<String, Val>,
    given: BTreeSet<String>,
}

/// A text with placeholders, to be checked once the whole plan is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TemplateUse {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) scope: Scope,
}

/// Collects findings and remembers where everything stands.
pub(crate) struct Sink<'t> {
    pub(crate) text: &'t str,
    pub(crate) found: Vec<Diagnostic>,
    pub(crate) templates: Vec<TemplateUse>,
    places: BTreeMap<String, Span>,
}

impl<'t> Sink<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            found: Vec::new(),
            templates: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Remembers where a value stands.
    pub(crate) fn remember(&mut self, path: &str, span: Span) {
        self.places.insert(path.to_owned(), span);
    }

    /// Where a value stands, or the nearest block around it.
    pub(crate) fn place(&self, path: &str) -> Span {
        let mut path = path;
        loop {
            if let Some(span) = self.places.get(path) {
                return *span;
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = path.get(..at).unwrap_or(""),
                None => return Span::default(),
            }
        }
    }

    pub(crate) fn error(&mut self, code: &'static str, path: &str, message: String, help: String) {
        let span = self.place(path);
        self.error_at(code, path, span, message, help);
    }

    pub(crate) fn error_at(
        &mut self,
        code: &'static str,
        path: &str,
        span: Span,
        message: String,
        help: String,
    ) {
        self.push(code, Severity::Error, path, span, message, help);
    }

    /// A finding about values that were read; kept back where reading them failed
    /// already, so that one mistake is not told twice.
    pub(crate) fn lint(
        &mut self,
        code: &'static str,
        severity: Severity,
        path: &str,
        message: String,
        help: String,
    ) {
        if !path.is_empty() && self.failed_below(path) {
            return;
        }
        let span = self.place(path);
        self.push(code, severity, path, span, message, help);
    }

    fn push(
        &mut self,
        code: &'static str,
        severity: Severity,
        path: &str,
        span: Span,
        message: String,
        help: String,
    ) {
        if self.found.len() < MAX_FINDINGS {
            self.found.push(Diagnostic::new(
                code, severity, self.text, path, span, message, help,
            ));
        }
    }

    /// Whether a value was written at this path, rightly or wrongly.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Whether reading this part of the file failed.
    pub(crate) fn failed_below(&self, path: &str) -> bool {
        self.found.iter().any(|found| is_unread(found, path))
    }

    pub(crate) fn failed(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Whether a finding says that something at or below `path` could not be read.
fn is_unread(found: &Diagnostic, path: &str) -> bool {
    found.severity == Severity::Error
        && found.code < code::SHARES
        && found
            .path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The path of a key in a block.
pub(crate) fn child(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

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
            absent(key, block, &mut fields, sink);
        }
    }
    if let Some(one_of) = &block.one_of {
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

fn absent(key: &Key, _block: &Block, fields: &mut Fields, sink: &mut Sink<'_>) {
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

/// A text as it may stand in a message.
pub(crate) fn printable(text: &str) -> String {
    let shown: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if shown.chars().count() < text.chars().count() {
        format!("{shown}...")
    } else {
        shown
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

type ScalarError = (&'static str, String, String);

fn scalar(text: &str, plain: bool, shape: &Shape) -> Result<Val, ScalarError> {
    let shown = printable(text);
    let wrong = |help: String| {
        (
            code::WRONG_VALUE,
            format!("`{shown}` is not {}", shape.expected()),
            help,
        )
    };
    let unit = |error: UnitError| match error {
        UnitError::NoUnit(help) => (code::MISSING_UNIT, format!("`{shown}` has no unit"), help),
        UnitError::Bounds(help) => (
            code::OUT_OF_BOUNDS,
            format!("`{shown}` is out of bounds"),
            help,
        ),
        UnitError::Wrong(help) => wrong(help),
    };
    match shape {
        Shape::Text | Shape::Template(_) | Shape::Command(_) => {
            if text.trim().is_empty() || text.contains('\0') {
                return Err((
                    code::EMPTY,
                    "this text is empty".to_owned(),
                    format!("write {}", shape.expected()),
                ));
            }
            Ok(match shape {
                Shape::Command(_) => {
                    Val::Words(vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
                }
                _ => Val::Text(text.to_owned()),
            })
        }
        Shape::Label => esclusa_model::ServiceName::new(text)
            .map(|name| Val::Text(name.into()))
            .map_err(|e| {
                (
                    code::BAD_NAME,
                    format!("`{shown}` is not a name"),
                    e.rule.to_owned(),
                )
            }),
        Shape::Token => esclusa_model::VersionName::new(text)
            .map(|name| Val::Text(name.into()))
            .map_err(|e| {
                (
                    code::BAD_NAME,
                    format!("`{shown}` is not a name"),
                    e.rule.to_owned(),
                )
            }),
        Shape::Switch => match (plain, text) {
            (true, "true") => Ok(Val::Switch(true)),
            (true, "false") => Ok(Val::Switch(false)),
            _ => Err(wrong("write `true` or `false`, without quotes".to_owned())),
        },
        Shape::Integer { min, max } => integer(text, *min, *max, &shown, &wrong),
        Shape::Number { min, max } => {
            let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
            let number =
                number.ok_or_else(|| wrong("write a plain number, such as `1.25`".to_owned()))?;
            if number < *min || number > *max {
                return Err((
                    code::OUT_OF_BOUNDS,
                    format!("`{shown}` is out of bounds"),
                    format!("write a number from {min} to {max}"),
                ));
            }
            Ok(Val::Number(number))
        }
        Shape::Duration => units::duration(text).map(Val::Duration).map_err(unit),
        Shape::Seconds => units::seconds(text).map(Val::Seconds).map_err(unit),
        Shape::Share => units::share(text).map(Val::Share).map_err(unit),
        Shape::Fraction { most } => units::fraction(text, *most)
            .map(Val::Fraction)
            .map_err(unit),
        Shape::Percent => units::percent(text).map(Val::Fraction).map_err(unit),
        Shape::Margin => units::margin(text).map(Val::Margin).map_err(unit),
        Shape::Size => units::size(text).map(Val::Size).map_err(unit),
        Shape::Rate => units::rate(text).map(Val::Rate).map_err(unit),
        Shape::Choice(words) => {
            if words.iter().any(|word| word == text) {
                return Ok(Val::Text(text.to_owned()));
            }
            let words = || words.iter().map(String::as_str);
            Err(wrong(match nearest(text, words()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write {}", listed(words())),
            }))
        }
        Shape::OrOff(_) if plain && text == "off" => Ok(Val::Off),
        Shape::OrOff(shape) | Shape::Either { short: shape, .. } => scalar(text, plain, shape),
        Shape::List(_) | Shape::Named(_) | Shape::Environment(_) | Shape::Block(_) => Err((
            code::WRONG_FORM,
            format!("`{shown}` stands alone where more is expected"),
            format!("write {}", shape.expected()),
        )),
    }
}

fn integer(
    text: &str,
    min: i64,
    max: i64,
    shown: &str,
    wrong: &dyn Fn(String) -> ScalarError,
) -> Result<Val, ScalarError> {
    let bounds = format!("write a whole number from {min} to {max}");
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong(bounds));
    }
    match text.parse::<i64>() {
        Ok(number) if number >= min && number <= max => Ok(Val::Integer(number)),
        _ => Err((
            code::OUT_OF_BOUNDS,
            format!("`{shown}` is out of bounds"),
            bounds,
        )),
    }
}

impl Val {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As drivers receive it: durations in milliseconds, shares in basis points,
    /// commands as words.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::{Value as Json, json};
        match self {
            Self::Text(text) => json!(text),
            Self::Off => Json::Null,
            Self::Switch(on) => json!(on),
            Self::Integer(number) => json!(number),
            Self::Number(number) => json!(number),
            Self::Duration(time) => json!(time.0),
            Self::Seconds(seconds) => json!(seconds),
            Self::Share(share) => json!(share.get()),
            Self::Fraction(fraction) => json!(fraction.get()),
            Self::Margin(Margin::Points(f) | Margin::Relative(f)) => json!(f.get()),
            Self::Size(bytes) => json!(bytes),
            Self::Rate(rate) => json!(rate),
            Self::Words(words) => json!(words),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Named(values) | Self::Block(Fields { values, .. }) => Json::Object(
                values
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }
}

macro_rules! getters {
    ($($name:ident: $variant:ident => $type:ty;)*) => {
        $(
            pub(crate) fn $name(&self, key: &str) -> Option<$type> {
                match self.values.get(key)? {
                    Val::$variant(value) => Some(value.clone()),
                    Val::Off => None,
                    other => {
                        debug_assert!(false, "{key} was read as {other:?}");
                        None
                    }
                }
            }
        )*
    };
}

impl Fields {
    getters! {
        text: Text => String;
        switch: Switch => bool;
        integer: Integer => i64;
        number: Number => f64;
        duration: Duration => Millis;
        seconds: Seconds => u32;
        fraction: Fraction => Fraction;
        margin: Margin => Margin;
        size: Size => u64;
        rate: Rate => u64;
        words: Words => Vec<String>;
        list: List => Vec<Val>;
        named: Named => BTreeMap<String, Val>;
        block: Block => Fields;
    }

    /// A value of whatever form.
    pub(crate) fn any(&self, key: &str) -> Option<&Val> {
        self.values.get(key)
    }

    /// Whether the key was turned off.
    pub(crate) fn is_off(&self, key: &str) -> bool {
        self.values.get(key) == Some(&Val::Off)
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<String>> {
        Some(
            self.list(key)?
                .into_iter()
                .filter_map(Val::into_text)
                .collect(),
        )
    }

    /// Whether the key was written, rightly or wrongly.
    pub(crate) fn given(&self, key: &str) -> bool {
        self.given.contains(key)
    }

    /// The path of a key of this block.
    pub(crate) fn at(&self, key: &str) -> String {
        child(&self.path, key)
    }
}
