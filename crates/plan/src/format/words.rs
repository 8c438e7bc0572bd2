//! Single values: which quotes they need, and how quantities are spelled.

use crate::fields::Val;
use crate::scalar::scalar;
use crate::shape::Shape;
use esclusa_model::Millis;

/// A text as a key or value, without needless quotes; in braces it needs more of them.
pub(super) fn written(text: &str, plain: bool, flow: bool) -> String {
    let bare = if plain {
        may_stay_bare(text, flow)
    } else {
        is_word(text) && !means_more(text)
    };
    if bare {
        text.to_owned()
    } else if !text.contains('\'')
        && text.contains(['"', '\\'])
        && !text.chars().any(|c| c.is_control())
    {
        format!("'{text}'")
    } else {
        double_quoted(text)
    }
}

/// Whether a text that was written without quotes can go on without them.
fn may_stay_bare(text: &str, flow: bool) -> bool {
    let one_line = !text.contains(['\n', '\r']);
    one_line && text == text.trim() && !(flow && text.contains(['{', '}', '[', ']', ',']))
}

/// A text that no reader of YAML takes for anything else.
fn is_word(text: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphanumeric() || "./_".contains(c);
    let word = |c: char| c.is_ascii_alphanumeric() || " ./_:+@%=~-".contains(c);
    text.starts_with(begins)
        && text.chars().all(word)
        && text == text.trim()
        && !text.contains(": ")
        && !text.ends_with(':')
        && !text.starts_with("...")
}

/// A word that YAML may read as a number, a date, a switch or nothing.
fn means_more(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "true", "false", "yes", "no", "on", "off", "y", "n", "null", "none", ".inf", ".nan",
    ];
    let lower = text.to_ascii_lowercase();
    let numeric = |c: char| c.is_ascii_digit() || "._:+-exob tz".contains(c);
    WORDS.contains(&lower.as_str())
        || (lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && lower.chars().all(|c| numeric(c) || c.is_ascii_hexdigit()))
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let code = u32::from(c);
                out.push_str(&format!("\\u{code:04x}"));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A quantity in its usual spelling: `30m` for `030m`, `64 MiB` for `64MiB`. Whatever
/// would be read as something else stays as it is.
pub(super) fn spelled(text: &str, plain: bool, shape: Option<&Shape>) -> String {
    let Some(shape) = shape else {
        return text.to_owned();
    };
    let new = match innermost(shape) {
        Shape::Duration => duration(text),
        Shape::Share | Shape::Percent | Shape::Margin(_) | Shape::Fraction { .. } => part(text),
        Shape::Size => size(text),
        Shape::Rate => rate(text),
        _ => None,
    };
    let read = |text: &str| -> Option<Val> { scalar(text, plain, shape).ok() };
    match new {
        Some(new) if read(text).is_some() && read(&new) == read(text) => new,
        _ => text.to_owned(),
    }
}

fn innermost(shape: &Shape) -> &Shape {
    match shape {
        Shape::OrOff(inner) | Shape::Either { short: inner, .. } => innermost(inner),
        shape => shape,
    }
}

/// Number and unit, where the number begins the text.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    (!number.is_empty()).then_some((number, unit.trim()))
}

/// A number without needless zeros.
fn number(text: &str) -> String {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    match decimals.trim_end_matches('0') {
        "" => whole.to_owned(),
        decimals => format!("{whole}.{decimals}"),
    }
}

/// Largest unit first, each once, none with nothing; else as durations are printed.
fn duration(text: &str) -> Option<String> {
    const ORDER: [&str; 5] = ["d", "h", "m", "s", "ms"];
    let mut rest = text;
    let mut out = String::new();
    let mut last = None;
    while !rest.is_empty() {
        let (digits, after) = split(rest)?;
        let end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let place = ORDER.iter().position(|known| *known == unit)?;
        if last.is_some_and(|last| last >= place) {
            return Millis::parse(text).ok().map(|time| time.to_string());
        }
        last = Some(place);
        let digits = number(digits);
        if digits != "0" {
            out.push_str(&digits);
            out.push_str(unit);
        }
        rest = next;
    }
    if out.is_empty() {
        return Some("0s".to_owned());
    }
    Some(out)
}

fn part(text: &str) -> Option<String> {
    let (digits, unit) = split(text)?;
    Some(format!("{}{unit}", number(digits)))
}

fn size(text: &str) -> Option<String> {
    let (digits, unit) = split(text)?;
    Some(format!("{} {unit}", number(digits)))
}

fn rate(text: &str) -> Option<String> {
    let (digits, unit) = text.split_once('/')?;
    let unit = match unit.trim() {
        "min" => "m",
        unit => unit,
    };
    Some(format!("{}/{unit}", number(digits.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stay_where_they_say_something() {
        for (text, expected) in [
            ("./dist/${version}", "\"./dist/${version}\""),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("GET /orders", "GET /orders"),
            ("a: b", "\"a: b\""),
            ("1.10", "\"1.10\""),
            ("2026-11-29", "\"2026-11-29\""),
            ("12:30", "\"12:30\""),
            ("off", "\"off\""),
            ("No", "\"No\""),
            ("", "\"\""),
            ("a\u{7}b", "\"a\\u0007b\""),
            (
                "header(\"x\") == \"it's\"",
                "\"header(\\\"x\\\") == \\\"it's\\\"\"",
            ),
            ("header(\"x\")", "'header(\"x\")'"),
        ] {
            assert_eq!(written(text, false, true), expected);
        }
        assert_eq!(written("./${version}", true, false), "./${version}");
        assert_eq!(written("./${version}", true, true), "\"./${version}\"");
    }

    // Trap 50: the same quantity, spelled the same way everywhere.
    #[test]
    fn quantities_are_spelled_and_never_changed() {
        let duration = Shape::Duration;
        for (text, expected) in [
            ("30m", "30m"),
            ("048h", "48h"),
            ("0h30m", "30m"),
            ("1.50h", "1.5h"),
            ("30m1h", "1h30m"),
            ("0s", "0s"),
            ("30", "30"),
            ("soon", "soon"),
        ] {
            assert_eq!(spelled(text, true, Some(&duration)), expected);
        }
        for (text, shape, expected) in [
            ("64MiB", Shape::Size, "64 MiB"),
            ("90 / min", Shape::Rate, "90/m"),
            ("5.00 %", Shape::Share, "5%"),
            ("5.123%", Shape::Share, "5.123%"),
            (
                "0.50pp",
                Shape::Margin(crate::units::MarginKind::Points),
                "0.5pp",
            ),
            ("0.010", Shape::Fraction { most: 1 }, "0.010"),
            ("064", Shape::Text, "064"),
        ] {
            assert_eq!(spelled(text, true, Some(&shape)), expected);
        }
    }
}
