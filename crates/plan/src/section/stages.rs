//! The `stages` section: who is exposed, how long, in which order.

use super::steps::not_zero;
use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::model::{Audience, Expose, Stage, WarmUp};
use crate::shape::{Block, Key, Shape};
use crate::sink::{Sink, printable};
use esclusa_model::{BasisPoints, Millis};

/// The shape of the section.
pub(crate) fn shape() -> Shape {
    let warm_up = Block::of(vec![
        Key::new(
            "get",
            Shape::list(Shape::Text),
            "Paths that are asked in turn.",
        )
        .required()
        .example("[/]"),
        Key::new("rate", Shape::Rate, "Requests over all paths.")
            .required()
            .example("10/s"),
        Key::new("for", Shape::Duration, "How long.")
            .required()
            .example("30s"),
    ]);
    let segment = Block::of(vec![
        Key::new("segment", Shape::Label, "A segment of this plan.")
            .required()
            .example("team"),
    ]);
    let stage = Block::of(vec![
        Key::new(
            "warm-up",
            Shape::Block(warm_up),
            "Synthetic requests to the canary alone, before any user.",
        ),
        Key::new(
            "to",
            Shape::either(Shape::Share, segment),
            "Who is exposed: a share of all units, or a segment.",
        ),
        Key::new(
            "for",
            Shape::Duration,
            "Least time to watch before going on; for a segment `judge.bake.min-s` unless given.",
        ),
        Key::new(
            "watch",
            Shape::Duration,
            "At 100%: how long to watch before the release counts as promoted.",
        ),
        Key::new(
            "early",
            Shape::Switch,
            "May go on sooner once harmlessness is proved.",
        )
        .default("false"),
        Key::new(
            "budget",
            Shape::Duration,
            "Time this stage should need at most; a longer one is reported.",
        ),
    ])
    .exactly_one(
        "what this stage does",
        vec!["to".to_owned(), "warm-up".to_owned()],
        "to: 5%",
    );
    Shape::list(Shape::Block(stage))
}

/// Builds the stages in order; broken ones are left out and reported. `least_watch`
/// is how long a segment is watched that does not say so.
pub(crate) fn build(root: &Fields, least_watch: Millis, sink: &mut Sink<'_>) -> Vec<Stage> {
    let list = root.list("stages").unwrap_or_default();
    list.iter()
        .filter_map(|item| match item {
            Val::Block(fields) if fields.given("warm-up") => warm_up(fields, sink),
            Val::Block(fields) => expose(fields, least_watch, sink),
            _ => None,
        })
        .collect()
}

fn misplaced(fields: &Fields, key: &str, message: &str, help: &str, sink: &mut Sink<'_>) {
    sink.error(
        code::EXCLUSIVE,
        &fields.at(key),
        message.to_owned(),
        help.to_owned(),
    );
}

fn warm_up(stage: &Fields, sink: &mut Sink<'_>) -> Option<Stage> {
    for key in ["for", "watch", "early", "budget"] {
        if stage.given(key) {
            misplaced(
                stage,
                key,
                &format!("`{key}` does not belong beside `warm-up`"),
                "a warm-up takes `get`, `rate` and `for`, inside its own block",
                sink,
            );
        }
    }
    let fields = stage.block("warm-up")?;
    not_zero(&fields, "for", sink);
    let get = fields.texts("get")?;
    if get.is_empty() {
        sink.error(
            code::EMPTY,
            &fields.at("get"),
            "no path is asked".to_owned(),
            "name at least one: `get: [/]`".to_owned(),
        );
    }
    for (index, path) in get.iter().enumerate() {
        let valid =
            path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if !valid {
            sink.error(
                code::ADDRESS,
                &format!("{}[{index}]", fields.at("get")),
                format!("`{}` is not a path", printable(path)),
                "write a path from the root, such as `/cart?empty=1`".to_owned(),
            );
        }
    }
    Some(Stage::WarmUp(WarmUp {
        get,
        rate_per_1000s: fields.rate("rate")?,
        for_: fields.duration("for")?,
    }))
}

fn expose(stage: &Fields, least_watch: Millis, sink: &mut Sink<'_>) -> Option<Stage> {
    for key in ["for", "watch", "budget"] {
        not_zero(stage, key, sink);
    }
    let to = match stage.any("to")? {
        Val::Share(share) => Audience::Share(*share),
        Val::Block(fields) => Audience::Segment(fields.text("segment")?),
        _ => return None,
    };
    let full = to == Audience::Share(BasisPoints::FULL);
    let (right, wrong) = if full {
        ("watch", "for")
    } else {
        ("for", "watch")
    };
    if stage.given(wrong) {
        let help = format!("write `{right}`");
        let message = if full {
            "at 100% nothing comes after `for`: the release is watched and then promoted"
        } else {
            "only the stage of 100% is watched to the end of the release"
        };
        misplaced(stage, wrong, message, &help, sink);
    }
    if full && stage.given("early") {
        misplaced(
            stage,
            "early",
            "the stage of 100% is watched to its end",
            "remove `early`, or shorten `watch`",
            sink,
        );
    }
    let for_ = match (stage.duration(right), &to) {
        (Some(time), _) => time,
        (None, Audience::Segment(_)) => least_watch,
        (None, Audience::Share(share)) => {
            if !stage.given(right) && !stage.given(wrong) {
                sink.error(
                    code::MISSING_KEY,
                    &stage.path.clone(),
                    format!("`{right}` is missing: how long is {share} watched?"),
                    format!("add `{right}: 30m`"),
                );
            }
            return None;
        }
    };
    let expose = Expose {
        to,
        for_,
        early: stage.switch("early").unwrap_or(false),
        budget: stage.duration("budget"),
    };
    if let Some(budget) = expose.budget.filter(|budget| *budget < for_) {
        sink.error(
            code::ZERO_TIME,
            &stage.at("budget"),
            format!("a budget of {budget} is shorter than the {for_} the stage is watched"),
            format!("write at least `budget: {for_}`"),
        );
    }
    Some(Stage::Expose(expose))
}
