//! `series` of the judge: numbers from elsewhere, how they are compared, who is asked.

use super::MARGIN;
use crate::catalog::Catalog;
use crate::diagnostic::{self as code, Severity};
use crate::fields::{Fields, Val};
use crate::model::DriverUse;
use crate::placeholders::{Piece, pieces};
use crate::section::steps::not_zero;
use crate::shape::{Block, Key, Scope, Shape, driver_block};
use crate::sink::{Sink, printable};
use esclusa_judge::{Direction, Per, Series, SeriesKind, SeriesName};
use esclusa_model::{Fraction, Millis};
use std::collections::BTreeMap;

const PROMETHEUS: &str = "prometheus";
/// The keys that are short for a Prometheus source.
const SHORT: [&str; 3] = ["url", "query-baseline", "query-canary"];
const EVERY: Millis = Millis(15_000);

/// The shape of `series`.
pub(super) fn shape(catalog: &Catalog) -> Shape {
    let sources = catalog.metric.iter().map(|driver| {
        let block = driver_block(&driver.fields, Scope::Series);
        Key::new(&driver.name, Shape::Block(block), &driver.doc)
    });
    let names = catalog.metric.iter().map(|driver| driver.name.clone());
    let source = Block::of(sources.collect()).exactly_one(
        "who is asked",
        names.collect(),
        "prometheus: { url: \"http://127.0.0.1:9090\", query: \"sum(queue_depth{version='${version}'})\" }",
    );
    let query = |name, doc| Key::new(name, Shape::Template(Scope::Series), doc);
    Shape::list(Shape::Block(Block::of(vec![
        Key::new(
            "name",
            Shape::Text,
            "Its name in verdicts: letters, digits, `_`, `-` and `.`.",
        )
        .required()
        .example("queue_depth"),
        Key::new(
            "source",
            Shape::Block(source),
            "Who is asked for its values, once for each version.",
        ),
        Key::new(
            SHORT[0],
            Shape::Text,
            "Short for a `prometheus` source: the server.",
        ),
        query(
            SHORT[1],
            "Short for a `prometheus` source: PromQL for the stable version.",
        ),
        query(
            SHORT[2],
            "Short for a `prometheus` source: PromQL for the canary.",
        ),
        Key::new(
            "every",
            Shape::Duration,
            "How often it is read; as often as its source measures.",
        )
        .default(EVERY.to_string()),
        Key::new(
            "direction",
            Shape::choice(&["up", "down"]),
            "Which way is worse: `up` when more is, `down` when less is.",
        )
        .default("up"),
        Key::new(
            "margin",
            MARGIN,
            "Worse by more than this part of stable's value is harm.",
        )
        .default("10%"),
        Key::new(
            "noninferior",
            MARGIN,
            "Worse by at most this part is harmless; twice `margin` unless given.",
        ),
        Key::new(
            "kind",
            Shape::choice(&["gauge", "counter", "mean"]),
            "What its values are: a level, a sum that only rises, or a level whose mean counts.",
        )
        .default("gauge"),
        Key::new(
            "per",
            Shape::choice(&["request"]),
            "What a counter's increase is divided by: the requests that the version served.",
        ),
        Key::new(
            "required",
            Shape::Switch,
            "Whether nothing goes on until it is proved harmless.",
        )
        .default("false"),
    ])))
}

fn items(fields: &Fields) -> Vec<Fields> {
    let items = fields.list("series").unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| match item {
            Val::Block(block) => Some(block),
            _ => None,
        })
        .collect()
}

/// What the judge is told of each series.
pub(super) fn build(fields: &Fields, sink: &mut Sink<'_>) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for (index, item) in items(fields).iter().enumerate() {
        // Others are found by their place, so a broken one keeps its own.
        let Some(name) = name(item, sink).or_else(|| SeriesName::new(&format!("n{index}")).ok())
        else {
            continue;
        };
        if all.iter().any(|known| known.name == name) {
            sink.error(
                code::DUPLICATE_NAME,
                &item.at("name"),
                format!("the name `{name}` is used twice in this list"),
                "give each series its own name".to_owned(),
            );
        }
        not_zero(item, "every", sink);
        check_queries(item, sink);
        all.push(one(item, name));
    }
    all
}

/// Its name, where it has one.
fn name(item: &Fields, sink: &mut Sink<'_>) -> Option<SeriesName> {
    let text = item.text("name")?;
    SeriesName::new(&text)
        .inspect_err(|error| {
            sink.error(
                code::BAD_NAME,
                &item.at("name"),
                format!("`{}` is not the name of a series", printable(&text)),
                error.to_string(),
            );
        })
        .ok()
}

fn one(item: &Fields, name: SeriesName) -> Series {
    let ten = Fraction::from_per_100k(10_000);
    let margin = item.fraction("margin").unwrap_or(ten);
    let twice = Fraction::new(margin.get() * 2.0).unwrap_or(margin);
    Series {
        name,
        every: item.duration("every").unwrap_or(EVERY),
        direction: match item.text("direction").as_deref() {
            Some("down") => Direction::Down,
            _ => Direction::Up,
        },
        margin,
        noninferior: item.fraction("noninferior").unwrap_or(twice),
        kind: match item.text("kind").as_deref() {
            Some("counter") => SeriesKind::Counter,
            Some("mean") => SeriesKind::Mean,
            _ => SeriesKind::Gauge,
        },
        per: item.text("per").map(|_| Per::Request),
        required: item.switch("required").unwrap_or(false),
    }
}

/// Who is asked for each series, by its name. A plan has to say it for all of them; a
/// recording has its values with it.
pub(crate) fn sources(
    fields: &Fields,
    catalog: &Catalog,
    sink: &mut Sink<'_>,
) -> BTreeMap<SeriesName, DriverUse> {
    let mut all = BTreeMap::new();
    for item in &items(fields) {
        let name = item.text("name").map(|text| SeriesName::new(&text));
        let Some(Ok(name)) = name else { continue };
        match source(item, catalog) {
            Some(found) => {
                all.insert(name, found);
            }
            None if item.given("source") => {}
            None => sink.error(
                code::MISSING_KEY,
                &item.at("name"),
                format!("nobody is asked for series `{name}`"),
                "add `source: { prometheus: { url: ..., query: ... } }`, or `url`, \
                 `query-baseline` and `query-canary`"
                    .to_owned(),
            ),
        }
    }
    all
}

fn source(item: &Fields, catalog: &Catalog) -> Option<DriverUse> {
    if let Some(block) = item.block("source") {
        let entry = catalog
            .metric
            .iter()
            .find(|entry| block.given(&entry.name))?;
        return Some(DriverUse {
            driver: entry.name.clone(),
            config: block.any(&entry.name).map(Val::to_json)?,
        });
    }
    let config = SHORT
        .iter()
        .map(|key| Some(((*key).to_owned(), item.any(key)?.to_json())))
        .collect::<Option<serde_json::Map<_, _>>>()?;
    Some(DriverUse {
        driver: PROMETHEUS.to_owned(),
        config: serde_json::Value::Object(config),
    })
}

/// PromQL that cannot be read would be found out at the first reading, with users waiting.
fn check_queries(item: &Fields, sink: &mut Sink<'_>) {
    let given: Vec<&str> = SHORT.into_iter().filter(|key| item.given(key)).collect();
    if let (Some(first), true) = (given.first(), item.given("source")) {
        sink.error(
            code::EXCLUSIVE,
            &item.at(first),
            format!("`source` and `{first}` both say who is asked"),
            format!(
                "keep `source`, or {}",
                SHORT.map(|k| format!("`{k}`")).join(", ")
            ),
        );
    }
    let block = item
        .block("source")
        .and_then(|source| source.block(PROMETHEUS));
    if let Some(block) = &block {
        let both = block.given("query-baseline") && block.given("query-canary");
        let either = block.given("query-baseline") || block.given("query-canary");
        if block.given("query") == either || (either && !both) {
            sink.lint(
                code::EXCLUSIVE,
                Severity::Error,
                &block.path,
                "each version needs one query".to_owned(),
                "write `query` with ${version} in it, or both `query-baseline` and \
                 `query-canary`"
                    .to_owned(),
            );
        }
    }
    for fields in std::iter::once(item).chain(&block) {
        for key in ["query", "query-baseline", "query-canary"] {
            let Some(Val::Text(query)) = fields.any(key) else {
                continue;
            };
            if let Err(why) = parsed(&filled(query)) {
                sink.error(
                    code::QUERY,
                    &fields.at(key),
                    format!("this is no PromQL: {}", printable(why.trim())),
                    "try the query on the page of Prometheus, then write it here".to_owned(),
                );
            }
        }
    }
}

/// The parser is recursive: what no person writes is not given to it.
fn parsed(query: &str) -> Result<(), String> {
    const MOST_BYTES: usize = 4_096;
    const MOST_NESTED: usize = 50;
    let opening = query.matches(['(', '-', '[']).count();
    if query.len() > MOST_BYTES || opening > MOST_NESTED {
        return Err(format!(
            "it is longer than {MOST_BYTES} bytes, or nested more than {MOST_NESTED} deep"
        ));
    }
    promql_parser::parser::parse(query).map(drop)
}

/// The query with a word in the place of each placeholder.
fn filled(query: &str) -> String {
    let words = pieces(query).into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Name(_) | Piece::Unclosed(_) => "x",
    });
    words.collect()
}
