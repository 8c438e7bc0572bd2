//! Steps before and after, and what a plan requires before anybody is exposed.

use crate::catalog::{Capability, Catalog};
use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::model::{DriverUse, Requirement, Step, Undo};
use crate::placeholders;
use crate::shape::{Block, Key, Scope, Shape, driver_block};
use crate::sink::{Sink, printable};
use esclusa_model::Millis;
use std::collections::BTreeSet;

const SIGN_OFF: &str = "sign-off";
/// Most items of one checklist: more are not read, only ticked.
const MAX_ITEMS: usize = 50;
/// Longest item in characters.
const MAX_ITEM: usize = 200;

/// The shape of a list of steps.
pub(crate) fn shape(scope: Scope) -> Shape {
    let undo = Block::of(vec![
        Key::new(
            "command",
            Shape::Command(scope),
            "What takes the step back.",
        )
        .required(),
        Key::new(
            "timeout",
            Shape::Duration,
            "Longest run; that of the step unless given.",
        ),
    ]);
    Shape::list(Shape::Block(Block::of(vec![
        Key::new(
            "command",
            Shape::Command(scope),
            "One line for the shell, or a list of words run as they are.",
        )
        .required(),
        Key::new(
            "name",
            Shape::Text,
            "Name for people and evidence; the program's name unless given.",
        ),
        Key::new("timeout", Shape::Duration, "Longest run.").default("10m"),
        Key::new(
            "undo",
            Shape::either(Shape::Command(scope), undo),
            "What takes the step back, or `none` when there is nothing to take back.",
        ),
    ])))
}

/// The shape of `requires`.
pub(crate) fn requires(catalog: &Catalog) -> Shape {
    let mut keys = vec![
        Key::new(
            "name",
            Shape::Text,
            "Name for people and evidence; that of the check's kind unless given.",
        ),
        Key::new(
            "timeout",
            Shape::Duration,
            "Longest time for one answer; 30s unless given.",
        ),
    ];
    let sign_off = Block::of(vec![
        Key::new(
            "roles",
            Shape::list(Shape::Text),
            "Roles that must agree, one person of each.",
        )
        .required()
        .example("[tech-lead]"),
        Key::new("within", Shape::Duration, "Longest wait for all of them.").default("24h"),
        Key::new(
            "not-by-author",
            Shape::Switch,
            "Whether whoever asked for the release may not be one of them.",
        )
        .default("false"),
        Key::new(
            "items",
            Shape::list(Shape::Text),
            "A checklist: each of them confirms every item as done.",
        )
        .example("[the restore was rehearsed]"),
    ]);
    let mut one_of = vec![SIGN_OFF.to_owned()];
    keys.push(Key::new(
        SIGN_OFF,
        Shape::Block(sign_off),
        "People who must agree.",
    ));
    for driver in &catalog.check {
        let block = driver_block(&driver.fields, Scope::Check);
        keys.push(Key::new(&driver.name, Shape::Block(block), &driver.doc));
        one_of.push(driver.name.clone());
    }
    let block = Block::of(keys).exactly_one(
        "what is required",
        one_of,
        "http: { url: \"${canary}/health\" }",
    );
    Shape::list(Shape::Block(block))
}

/// Gives everything a name of its own.
struct Names(BTreeSet<String>);

impl Names {
    /// The given name, refused when taken, or else `fallback` with a number if needed.
    fn claim(&mut self, fields: &Fields, fallback: &str, sink: &mut Sink<'_>) -> String {
        if let Some(name) = fields.text("name") {
            if !self.0.insert(name.clone()) {
                sink.error(
                    code::DUPLICATE_NAME,
                    &fields.at("name"),
                    format!("the name `{}` is used twice in this list", printable(&name)),
                    "give each its own name".to_owned(),
                );
            }
            return name;
        }
        let mut name = fallback.to_owned();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{fallback}-{number}");
            number += 1;
        }
        name
    }

    /// Names written anywhere in the list go first, so that none is taken by a fallback.
    fn reserve(items: &[Fields]) -> BTreeSet<String> {
        items.iter().filter_map(|item| item.text("name")).collect()
    }
}

fn items(fields: &Fields, key: &str) -> Vec<Fields> {
    fields
        .list(key)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| match item {
            Val::Block(block) => Some(block),
            _ => None,
        })
        .collect()
}

/// Builds one list of steps.
pub(crate) fn build(fields: &Fields, key: &str, sink: &mut Sink<'_>) -> Vec<Step> {
    let items = items(fields, key);
    let written = Names::reserve(&items);
    let mut names = Names(BTreeSet::new());
    let mut steps = Vec::new();
    for item in &items {
        let Some(command) = item.words("command") else {
            continue;
        };
        let timeout = item.duration("timeout").unwrap_or(Millis::ZERO);
        let mut fallback = program_name(&command);
        while written.contains(&fallback) && !item.given("name") {
            fallback.push_str("-step");
        }
        not_zero(item, "timeout", sink);
        steps.push(Step {
            name: names.claim(item, &fallback, sink),
            undo: undo(item, timeout, sink),
            command,
            timeout,
        });
    }
    steps
}

fn undo(item: &Fields, timeout: Millis, sink: &mut Sink<'_>) -> Option<Undo> {
    match item.any("undo")? {
        Val::Words(words) if is_none(words) => None,
        Val::Words(words) => Some(Undo {
            command: words.clone(),
            timeout,
        }),
        Val::Block(block) => {
            not_zero(block, "timeout", sink);
            Some(Undo {
                command: block.words("command")?,
                timeout: block.duration("timeout").unwrap_or(timeout),
            })
        }
        _ => None,
    }
}

/// `undo: none` says that nothing needs to be taken back.
fn is_none(words: &[String]) -> bool {
    matches!(words, [_, _, line] if line == "none")
}

/// The program a command runs, without its folder.
fn program_name(command: &[String]) -> String {
    let line = match command {
        [shell, flag, line] if shell == "/bin/sh" && flag == "-c" => line.as_str(),
        [program, ..] => program.as_str(),
        [] => "",
    };
    let program = line.split_whitespace().next().unwrap_or("step");
    let name = program.rsplit('/').find(|part| !part.is_empty());
    name.unwrap_or("step").chars().take(60).collect()
}

/// A time that must not be zero.
pub(crate) fn not_zero(fields: &Fields, key: &str, sink: &mut Sink<'_>) {
    if fields.duration(key) == Some(Millis::ZERO) {
        sink.error(
            code::ZERO_TIME,
            &fields.at(key),
            format!("`{key}` is no time at all"),
            "write a time above zero, such as `30s`".to_owned(),
        );
    }
}

/// Builds what the plan requires.
pub(crate) fn build_requires(
    fields: &Fields,
    catalog: &Catalog,
    sink: &mut Sink<'_>,
) -> Vec<Requirement> {
    let items = items(fields, "requires");
    let written = Names::reserve(&items);
    let mut names = Names(BTreeSet::new());
    let mut requirements = Vec::new();
    for item in &items {
        if let Some(block) = item.block(SIGN_OFF) {
            requirements.extend(sign_off(item, &block, sink));
            continue;
        }
        let Some(entry) = catalog.check.iter().find(|entry| item.given(&entry.name)) else {
            continue;
        };
        let Some(config) = item.any(&entry.name).map(Val::to_json) else {
            continue;
        };
        not_zero(item, "timeout", sink);
        let mut fallback = entry.name.clone();
        while written.contains(&fallback) && !item.given("name") {
            fallback.push_str("-check");
        }
        let names_canary = placeholders::any_in(&config, &|name| {
            name == "canary" || name.starts_with("canary.")
        });
        requirements.push(Requirement::Check {
            name: names.claim(item, &fallback, sink),
            timeout: item.duration("timeout").unwrap_or(Millis::from_secs(30)),
            needs_canary: names_canary || !entry.can(Capability::Early),
            check: DriverUse {
                driver: entry.name.clone(),
                config,
            },
        });
    }
    requirements
}

fn sign_off(item: &Fields, block: &Fields, sink: &mut Sink<'_>) -> Option<Requirement> {
    for (key, help) in [
        ("timeout", "write `within` inside `sign-off`"),
        ("name", "the roles name a sign-off: remove the name"),
    ] {
        if item.given(key) {
            sink.error(
                code::EXCLUSIVE,
                &item.at(key),
                format!("`{key}` does not belong to a sign-off"),
                help.to_owned(),
            );
        }
    }
    not_zero(block, "within", sink);
    let roles = block.texts("roles")?;
    let unique: BTreeSet<&String> = roles.iter().collect();
    if roles.is_empty() || unique.len() < roles.len() {
        let (code, message) = if roles.is_empty() {
            (code::EMPTY, "nobody is asked to sign off")
        } else {
            (code::DUPLICATE_NAME, "a role is named twice")
        };
        sink.error(
            code,
            &block.at("roles"),
            message.to_owned(),
            "name each role once: `roles: [tech-lead, security]`".to_owned(),
        );
    }
    Some(Requirement::SignOff {
        roles,
        within: block.duration("within").unwrap_or(Millis::ZERO),
        not_by_author: block.switch("not-by-author").unwrap_or(false),
        items: items_to_confirm(block, sink),
    })
}

/// The checklist of a sign-off: every item can be told from the others and read at a glance.
fn items_to_confirm(block: &Fields, sink: &mut Sink<'_>) -> Vec<String> {
    let Some(items) = block.texts("items") else {
        return Vec::new();
    };
    let items: Vec<String> = items.iter().map(|item| item.trim().to_owned()).collect();
    let unique: BTreeSet<&String> = items.iter().collect();
    let too_long = items.iter().any(|item| item.chars().count() > MAX_ITEM);
    let found = if items.is_empty() {
        Some((code::EMPTY, "this checklist has no items".to_owned()))
    } else if unique.len() < items.len() {
        let message = "an item stands twice in this checklist";
        Some((code::DUPLICATE_NAME, message.to_owned()))
    } else if items.len() > MAX_ITEMS || too_long {
        let message = format!(
            "a checklist has at most {MAX_ITEMS} items of at most {MAX_ITEM} characters each"
        );
        Some((code::OUT_OF_BOUNDS, message))
    } else {
        None
    };
    if let Some((code, message)) = found {
        sink.error(
            code,
            &block.at("items"),
            message,
            "write each item once and short, or remove `items`".to_owned(),
        );
    }
    items
}
