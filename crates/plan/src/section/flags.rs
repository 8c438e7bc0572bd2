//! The `flags` section: flags that are turned as one for whoever is exposed.

use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::model::{FlagTurn, FlagTurns};
use crate::shape::{Block, Key, Shape};
use crate::sink::Sink;

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
