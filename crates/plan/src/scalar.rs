//! Reads a single value as its shape asks.

use crate::diagnostic as code;
use crate::fields::Val;
use crate::shape::Shape;
use crate::sink::printable;
use crate::suggest::{label, listed, nearest};
use crate::units::{self, UnitError};
use esclusa_model::{IdError, ServiceName, VersionName};

/// Code, message and help of what is wrong with a value.
pub(crate) type ScalarError = (&'static str, String, String);

/// Reads a value from its text; `plain` when it stands without quotes.
pub(crate) fn scalar(text: &str, plain: bool, shape: &Shape) -> Result<Val, ScalarError> {
    let written = Written { text, shape };
    let unit = |error: UnitError| written.unit(error);
    match shape {
        Shape::Text | Shape::Template(_) => Ok(Val::Text(written.text()?)),
        Shape::Command(_) => {
            let shell = ["/bin/sh", "-c"].map(str::to_owned);
            let words = shell.into_iter().chain([written.text()?]);
            Ok(Val::Words(words.collect()))
        }
        Shape::Label => {
            let name = ServiceName::new(text).map(String::from);
            named(written, name).map_err(|(code, message, help)| match label(text) {
                Some(meant) => (code, message, format!("did you mean `{meant}`? {help}")),
                None => (code, message, help),
            })
        }
        Shape::Token => named(written, VersionName::new(text).map(String::from)),
        Shape::Switch => match (plain, text) {
            (true, "true") => Ok(Val::Switch(true)),
            (true, "false") => Ok(Val::Switch(false)),
            (false, "true" | "false") => Err((
                code::WRONG_VALUE,
                format!("in quotes `{text}` is a text"),
                format!("write `{text}`, without quotes"),
            )),
            _ => Err(written.wrong(match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "1" | "true" => "write `true`, without quotes".to_owned(),
                "no" | "off" | "n" | "0" | "false" => "write `false`, without quotes".to_owned(),
                _ => "write `true` or `false`, without quotes".to_owned(),
            })),
        },
        Shape::Integer { min, max } => written.integer(*min, *max),
        Shape::Number { min, max } => written.number(*min, *max),
        Shape::Duration => units::duration(text).map(Val::Duration).map_err(unit),
        Shape::Seconds => units::seconds(text).map(Val::Seconds).map_err(unit),
        Shape::Share => units::share(text).map(Val::Share).map_err(unit),
        Shape::Fraction { most } => {
            let fraction = units::fraction(text, *most);
            fraction.map(Val::Fraction).map_err(unit)
        }
        Shape::Percent => units::percent(text).map(Val::Fraction).map_err(unit),
        Shape::Margin(usual) => units::margin(text, *usual).map(Val::Margin).map_err(unit),
        Shape::Size => units::size(text).map(Val::Size).map_err(unit),
        Shape::Rate => units::rate(text).map(Val::Rate).map_err(unit),
        Shape::Choice(words) => written.choice(words),
        // Read before it comes here; a single value is what it says.
        Shape::Free => Ok(Val::Text(text.to_owned())),
        Shape::OrOff(_) if plain && text == "off" => Ok(Val::Off),
        Shape::OrOff(shape) | Shape::Either { short: shape, .. } => scalar(text, plain, shape),
        Shape::List(_)
        | Shape::Named(_)
        | Shape::Variants
        | Shape::Environment(_)
        | Shape::Block(_) => Err((
            code::WRONG_FORM,
            format!("`{}` stands alone where more is expected", printable(text)),
            in_its_form(text, plain, shape).map_or_else(
                || format!("write {}", shape.expected()),
                |form| format!("write `{form}`"),
            ),
        )),
    }
}

/// The value in the form that was expected, where it fits there: `[./x]` for a list,
/// `{ for: 48h }` for a block.
pub(crate) fn in_its_form(text: &str, plain: bool, shape: &Shape) -> Option<String> {
    match shape {
        Shape::List(item) => Some(format!("[{}]", in_its_form(text, plain, item)?)),
        Shape::Block(block) => {
            let required = block.keys.iter().filter(|key| key.required);
            let chosen = block.one_of.iter().flat_map(|one| &one.keys);
            let chosen = chosen.filter_map(|name| block.key(name));
            let mut keys = required.chain(chosen).chain(&block.keys);
            keys.find_map(|key| {
                let value = in_its_form(text, plain, &key.shape)?;
                Some(format!("{{ {}: {value} }}", key.name))
            })
        }
        Shape::Named(_) | Shape::Variants | Shape::Environment(_) => None,
        single => scalar(text, plain, single).is_ok().then(|| printable(text)),
    }
}

fn named(written: Written<'_>, name: Result<String, IdError>) -> Result<Val, ScalarError> {
    name.map(Val::Text).map_err(|error| {
        (
            code::BAD_NAME,
            format!("`{}` is not a name", printable(written.text)),
            error.rule.to_owned(),
        )
    })
}

/// A text and what it should be.
#[derive(Clone, Copy)]
struct Written<'a> {
    text: &'a str,
    shape: &'a Shape,
}

impl Written<'_> {
    fn wrong(self, help: String) -> ScalarError {
        (
            code::WRONG_VALUE,
            format!(
                "`{}` is not {}",
                printable(self.text),
                self.shape.expected()
            ),
            help,
        )
    }

    fn out_of_bounds(self, help: String) -> ScalarError {
        (
            code::OUT_OF_BOUNDS,
            format!("`{}` is out of bounds", printable(self.text)),
            help,
        )
    }

    fn unit(self, error: UnitError) -> ScalarError {
        match error {
            UnitError::NoUnit(help) => (
                code::MISSING_UNIT,
                format!("`{}` has no unit", printable(self.text)),
                help,
            ),
            UnitError::Bounds(help) => self.out_of_bounds(help),
            UnitError::Wrong(help) => self.wrong(help),
        }
    }

    /// Any text that is not empty and that an operating system takes.
    fn text(self) -> Result<String, ScalarError> {
        if self.text.trim().is_empty() || self.text.contains('\0') {
            return Err((
                code::EMPTY,
                "this text is empty".to_owned(),
                format!("write {}", self.shape.expected()),
            ));
        }
        Ok(self.text.to_owned())
    }

    fn number(self, min: f64, max: f64) -> Result<Val, ScalarError> {
        let number = self.text.parse::<f64>().ok().filter(|n| n.is_finite());
        let number =
            number.ok_or_else(|| self.wrong("write a plain number, such as `1.25`".to_owned()))?;
        if number < min || number > max {
            return Err(self.out_of_bounds(format!("write a number from {min} to {max}")));
        }
        Ok(Val::Number(number))
    }

    fn integer(self, min: i64, max: i64) -> Result<Val, ScalarError> {
        let bounds = format!("write a whole number from {min} to {max}");
        let digits = self.text.strip_prefix('-').unwrap_or(self.text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.wrong(bounds));
        }
        match self.text.parse::<i64>() {
            Ok(number) if number >= min && number <= max => Ok(Val::Integer(number)),
            _ => Err(self.out_of_bounds(bounds)),
        }
    }

    fn choice(self, words: &[String]) -> Result<Val, ScalarError> {
        if words.iter().any(|word| word == self.text) {
            return Ok(Val::Text(self.text.to_owned()));
        }
        let words = || words.iter().map(String::as_str);
        Err(self.wrong(match nearest(self.text, words()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write {}", listed(words())),
        }))
    }
}
