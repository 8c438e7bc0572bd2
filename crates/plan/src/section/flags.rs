//! The `flags` section: flags that are turned as one for whoever is exposed.

use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::flag_turns::{FlagTurn, FlagTurns};
use crate::read::read;
use crate::shape::{Block, Key, Shape};
use crate::sink::{Sink, child, printable};
use crate::yaml::{Entry, Value};
use std::collections::BTreeMap;

/// The table of the section.
pub(crate) fn block() -> Block {
    Block::of(vec![
        Key::new(
            "set",
            Shape::Variants,
            "The flags, each with the variant that it serves to whoever is exposed.",
        )
        .required()
        .example("{ exec-reports: on }"),
        Key::new(
            "environment",
            Shape::Token,
            "The environment in which they are turned.",
        )
        .default("production"),
        Key::new(
            "of",
            Shape::Text,
            "The attribute that names the unit of a share, such as `tenant`; `targetingKey` \
             unless given.",
        ),
        Key::new(
            "allow-on",
            Shape::Switch,
            "Begin although a flag is on for somebody already.",
        )
        .default("false"),
    ])
}

/// Builds the section; nothing where no flag can be read.
pub(crate) fn build(fields: &Fields, sink: &mut Sink<'_>) -> Option<FlagTurns> {
    let named = fields.named("set")?;
    let mut set: Vec<FlagTurn> = named
        .into_iter()
        .filter_map(|(flag, variant)| {
            let variant = Val::into_text(variant)?;
            Some(FlagTurn { flag, variant })
        })
        .collect();
    // As they are written: the first tells requests apart.
    set.sort_by_key(|turn| {
        sink.place(&format!("{}.{}", fields.at("set"), turn.flag))
            .offset
    });
    if set.is_empty() {
        let at = fields.at("set");
        sink.lint(
            code::EMPTY,
            crate::diagnostic::Severity::Error,
            &at,
            "no flag is turned".to_owned(),
            "name at least one: `set: { exec-reports: on }`".to_owned(),
        );
        return None;
    }
    Some(FlagTurns {
        set,
        environment: fields.text("environment")?,
        of: fields.text("of").filter(|of| of != "targetingKey"),
        allow_on: fields.switch("allow-on").unwrap_or(false),
    })
}

/// Longest key of a flag.
const MAX_FLAG_KEY: usize = 100;

/// Reads flags and their variants; broken ones are left out.
pub(crate) fn read_set(entries: &[Entry], path: &str, sink: &mut Sink<'_>) -> Val {
    let mut values = BTreeMap::new();
    for entry in entries {
        let path = child(path, &entry.key);
        sink.remember(&path, entry.key_span);
        if entry.key.len() > MAX_FLAG_KEY || esclusa_model::Salt::new(entry.key.as_str()).is_err() {
            sink.error(
                code::BAD_NAME,
                &path,
                format!("`{}` is no flag's key", printable(&entry.key)),
                "a key has letters, digits and `._+:@/-`, at most 100 of them".to_owned(),
            );
            continue;
        }
        if let Value::Scalar { text, plain: true } = &entry.value.value
            && matches!(text.as_str(), "true" | "false")
        {
            let variant = if text == "true" { "on" } else { "off" };
            sink.error_at(
                code::WRONG_VALUE,
                &path,
                entry.value.span,
                format!("`{text}` is a value, and a flag is turned to a variant"),
                format!("write the variant's name, such as `{variant}`"),
            );
            continue;
        }
        let value = read(&entry.value, &Shape::Token, &path, sink);
        values.extend(value.map(|value| (entry.key.clone(), value)));
    }
    Val::Named(values)
}
