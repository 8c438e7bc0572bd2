//! Reads a single value as its shape asks.

use crate::diagnostic as code;
use crate::fields::Val;
use crate::shape::Shape;
use crate::sink::printable;
use crate::suggest::{listed, nearest};
use crate::units::{self, UnitError};

/// Code, message and help of what is wrong with a value.
pub(crate) type ScalarError = (&'static str, String, String);

/// Reads a value from its text; `plain` when it stands without quotes.
pub(crate) fn scalar(text: &str, plain: bool, shape: &Shape) -> Result<Val, ScalarError> {
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
