//! The top of a plan: its keys, and the typed plan built from all sections.

use super::{components, flags, judge, route, segments, stages, steps};
use crate::catalog::Catalog;
use crate::diagnostic as code;
use crate::fields::Fields;
use crate::model::{DIAL_LIMIT, Hold, HoldThen, OnConflict, Plan, TakeOver};
use crate::shape::{Block, Key, Scope, Shape};
use crate::sink::Sink;
use crate::templates::{self, Template};
use esclusa_judge::JudgeConfig;
use esclusa_model::{Millis, Salt, ServiceName, VersionName};

/// The version of the language.
const VERSION: i64 = 1;

/// The table of a whole plan.
pub(crate) fn block(catalog: &Catalog) -> Block {
    let mut keys = first_keys(catalog);
    let last = last_keys(catalog);
    // A driver named like a key of the language stays reachable under `components`.
    for key in components::single_keys(catalog) {
        if !keys.iter().chain(&last).any(|own| own.name == key.name) {
            keys.push(key);
        }
    }
    keys.extend(last);
    Block::of(keys)
        .exactly_one(
            "what the service is made of",
            components::sources(catalog),
            components::EXAMPLE,
        )
        .unless("flags")
        .exactly_one(
            "what the stages are",
            vec!["stages".to_owned(), "template".to_owned()],
            "template: minutes",
        )
}

/// The keys before those of a single component.
fn first_keys(catalog: &Catalog) -> Vec<Key> {
    vec![
        Key::new(
            "esclusa",
            Shape::Integer { min: 0, max: 1_000 },
            "Version of the plan language: 1.",
        )
        .required()
        .example("1"),
        Key::new("service", Shape::Label, "What is released as one.")
            .required()
            .example("checkout"),
        Key::new(
            "template",
            Shape::choice(&templates::NAMES),
            "Stages to use when the plan names none.",
        ),
        Key::new(
            "route",
            Shape::Block(route::block()),
            "Where requests arrive and how users are told apart.",
        ),
        Key::new(
            "traffic",
            components::traffic(catalog),
            "What turns the share; esclusa's own proxy unless given.",
        ),
        Key::new(
            "components",
            components::shape(catalog),
            "The parts of the service by name; a single one may be written without this level.",
        ),
    ]
}

/// The keys after those of a single component.
fn last_keys(catalog: &Catalog) -> Vec<Key> {
    vec![
        Key::new(
            "flags",
            Shape::Block(flags::block()),
            "Flags that are turned for whoever is exposed, with a version or alone.",
        ),
        Key::new(
            "take-over",
            Shape::Block(take_over()),
            "What serves already and becomes the stable version as it is.",
        ),
        Key::new(
            "segments",
            segments::shape(),
            "Groups of users by name: an expression, or a header and its values.",
        ),
        Key::new(
            "population",
            Shape::list(Shape::Text),
            "All unit ids, when they are known.",
        ),
        Key::new(
            "salt",
            Shape::Token,
            "Orders the units; unless given the release's own, of flags alone the flag's.",
        ),
        Key::new(
            "requires",
            steps::requires(catalog),
            "What must be so before anybody is exposed; unknown is not a pass.",
        ),
        Key::new(
            "before",
            steps::shape(Scope::Before),
            "Steps before the canary is started, in order.",
        ),
        Key::new(
            "judge",
            Shape::Block(judge::block(catalog)),
            "Who decides, and how strictly.",
        ),
        Key::new(
            "stages",
            stages::shape(),
            "Levels of exposure in order; the last is 100%, but for flags alone.",
        ),
        Key::new(
            "after",
            steps::shape(Scope::After),
            "Steps after 100% and its watch, in order.",
        ),
        Key::new(
            "keep-warm",
            Shape::Block(keep_warm()),
            "How long the version before stays ready to return to.",
        )
        .default("{}"),
        Key::new(
            "hold",
            Shape::Block(hold()),
            "How long a release may wait in one stage, and what ends it.",
        )
        .default("{}"),
        Key::new(
            "on-conflict",
            Shape::choice(&["refuse", "queue", "supersede"]),
            "What a second version does while one is on its way.",
        )
        .default("refuse"),
        Key::new(
            "deploy-timeout",
            Shape::Duration,
            "Longest time for all instances of the canary to become ready.",
        )
        .default("5m"),
        Key::new(
            "dial-timeout",
            Shape::Duration,
            "Longest time for what turns the share to show what was asked, up or back.",
        )
        .default("2m"),
    ]
}

fn take_over() -> Block {
    Block::of(vec![
        Key::new("version", Shape::Token, "Its name.").required(),
        Key::new(
            "url",
            Shape::Text,
            "Where it answers, such as `http://127.0.0.1:3000`.",
        )
        .required(),
        Key::new(
            "host-header",
            Shape::Text,
            "Sent to it as Host instead of the client's.",
        ),
        Key::new(
            "ca-file",
            Shape::Text,
            "PEM file of a private certificate authority for https.",
        ),
    ])
}

fn keep_warm() -> Block {
    Block::of(vec![
        Key::new("for", Shape::Duration, "How long.").default("48h"),
    ])
}

fn hold() -> Block {
    Block::of(vec![
        Key::new(
            "for",
            Shape::Duration,
            "Longest wait for proof or a person in one stage.",
        )
        .default("24h"),
        Key::new(
            "then",
            Shape::choice(&["rollback", "hold"]),
            "Everybody back to stable, or go on waiting.",
        )
        .default("rollback"),
    ])
}

/// Builds the plan. Broken parts are reported and left out or at something harmless;
/// the plan is then only good for finding more.
pub(crate) fn build(root: &Fields, catalog: &Catalog, sink: &mut Sink<'_>) -> Option<Plan> {
    if let Some(version) = root.integer("esclusa").filter(|v| *v != VERSION) {
        sink.error(
            code::PLAN_VERSION,
            &root.at("esclusa"),
            format!("version {version} of the plan language is not known to this program"),
            format!("write `esclusa: {VERSION}`, or use the program the plan was written for"),
        );
    }
    let judge = match root.block("judge") {
        Some(fields) => judge::build(&fields, sink),
        None => JudgeConfig::default(),
    };
    let sources = root
        .block("judge")
        .map(|f| judge::sources(&f, catalog, sink));
    let hold = root.block("hold").unwrap_or_default();
    steps::not_zero(&hold, "for", sink);
    steps::not_zero(root, "deploy-timeout", sink);
    steps::not_zero(root, "dial-timeout", sink);
    Some(Plan {
        service: ServiceName::new(root.text("service").unwrap_or_else(|| "unnamed".to_owned()))
            .ok()?,
        route: root
            .block("route")
            .map(|fields| route::build(&fields, sink)),
        traffic: components::build_traffic(root, catalog),
        components: components::build(root, catalog, sink),
        flags: root
            .block("flags")
            .and_then(|fields| flags::build(&fields, sink)),
        take_over: root
            .block("take-over")
            .and_then(|fields| build_take_over(&fields, sink)),
        segments: segments::build(root, sink),
        population: root.texts("population").unwrap_or_default(),
        salt: root.text("salt").and_then(|salt| Salt::new(salt).ok()),
        requires: steps::build_requires(root, catalog, sink),
        before: steps::build(root, "before", sink),
        stages: build_stages(root, &judge, sink),
        judge,
        sources: sources.unwrap_or_default(),
        after: steps::build(root, "after", sink),
        keep_warm: root
            .block("keep-warm")
            .and_then(|fields| fields.duration("for"))
            .unwrap_or(Millis::ZERO),
        hold: Hold {
            for_: hold.duration("for").unwrap_or(Millis::ZERO),
            then: match hold.text("then").as_deref() {
                Some("hold") => HoldThen::Hold,
                _ => HoldThen::Rollback,
            },
        },
        on_conflict: match root.text("on-conflict").as_deref() {
            Some("queue") => OnConflict::Queue,
            Some("supersede") => OnConflict::Supersede,
            _ => OnConflict::Refuse,
        },
        deploy_timeout: root.duration("deploy-timeout").unwrap_or(Millis::ZERO),
        dial_timeout: root.duration("dial-timeout").unwrap_or(DIAL_LIMIT),
    })
}

fn build_take_over(fields: &Fields, sink: &mut Sink<'_>) -> Option<TakeOver> {
    let url = fields.text("url")?;
    if !route::is_origin(&url) {
        sink.error(
            code::ADDRESS,
            &fields.at("url"),
            "this is not the address of a server".to_owned(),
            "write scheme, host and port alone: `http://127.0.0.1:3000`".to_owned(),
        );
    }
    Some(TakeOver {
        version: VersionName::new(fields.text("version")?).ok()?,
        url: url.trim_end_matches('/').to_owned(),
        host_header: fields.text("host-header"),
        ca_file: fields.text("ca-file"),
    })
}

/// The plan's own stages, or those of its template.
fn build_stages(
    root: &Fields,
    judge: &JudgeConfig,
    sink: &mut Sink<'_>,
) -> Vec<crate::model::Stage> {
    if root.given("template") {
        let place = sink.place("template");
        sink.remember("stages", place);
        let template = root
            .text("template")
            .and_then(|name| Template::named(&name));
        return template.map(Template::stages).unwrap_or_default();
    }
    let least_watch = Millis::from_secs(u64::from(judge.bake.min_s));
    stages::build(root, least_watch, sink)
}
