//! The usual slips behind a text that is not well-formed: a parser names the place where
//! it lost its way, and the slip is often lines before it.

use super::Problem;
use crate::braces::protect;
use crate::diagnostic as code;
use crate::source::{Span, line_column};

/// The slip behind an error at an offset, where it is one of the usual ones.
pub(super) fn of(text: &str, offset: usize) -> Option<Problem> {
    let before = text.get(..offset)?;
    open(text, before)
        .or_else(|| no_space(text, offset))
        .or_else(|| indented(text, offset))
}

fn problem(span: Span, message: String, help: String) -> Option<Problem> {
    Some(Problem {
        code: code::SYNTAX,
        span,
        message,
        help,
    })
}

/// Something that was opened before and never closed.
fn open(text: &str, before: &str) -> Option<Problem> {
    let (at, open) = unclosed(before)?;
    let (line, _) = line_column(text, at);
    let span = Span::clamped(text, at, at + 1);
    let help = match open {
        '[' => {
            format!("write `]` where the list of line {line} ends, and commas between its parts")
        }
        '{' => {
            format!("write `}}` where the block of line {line} ends, and commas between its parts")
        }
        quote => format!("write `{quote}` where the text of line {line} ends"),
    };
    problem(span, format!("this `{open}` is not closed"), help)
}

/// A line of a text, by an offset in it, with where it begins.
fn line_at(text: &str, offset: usize) -> Option<(usize, &str)> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |at| at + 1);
    Some((start, text.get(start..)?.lines().next().unwrap_or("")))
}

/// `key:value`, which is one word.
fn no_space(text: &str, offset: usize) -> Option<Problem> {
    let (start, line) = line_at(text, offset)?;
    let word = line.trim();
    let (key, value) = word.split_once(':')?;
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_key || value.is_empty() || value.starts_with([' ', '/']) || word.contains(": ") {
        return None;
    }
    let begin = start + line.len() - line.trim_start().len();
    problem(
        Span::clamped(text, begin, begin + word.len()),
        "a key and its value run together".to_owned(),
        format!("write a space after the colon: `{key}: {value}`"),
    )
}

/// A key that is indented further than the one above, which has its value already.
fn indented(text: &str, offset: usize) -> Option<Problem> {
    let (start, line) = line_at(text, offset)?;
    let above = text
        .get(..start)?
        .lines()
        .rev()
        .find(|l| !l.trim().is_empty())?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    let has_value = above
        .trim_start()
        .split_once(": ")
        .is_some_and(|(_, v)| !v.trim().is_empty());
    if !has_value || indent(line) <= indent(above) || !line.contains(':') {
        return None;
    }
    let begin = start + indent(line);
    problem(
        Span::clamped(text, begin, start + line.len()),
        "this line is indented further than the one above, which has its value already".to_owned(),
        format!("indent it as the line above, by {} spaces", indent(above)),
    )
}

/// The last quote, bracket or brace of a text that is not closed in it, outside of
/// comments.
fn unclosed(text: &str) -> Option<(usize, char)> {
    let hidden = protect(text);
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut quote: Option<(usize, char)> = None;
    let mut before = '\n';
    // The last character of the line that is no blank: a bracket opens a value only
    // after a colon, a dash or nothing.
    let mut last = '\n';
    let mut comment = false;
    for (at, c) in hidden.char_indices() {
        match (quote, c) {
            (_, '\n') => comment = false,
            _ if comment => {}
            (Some((_, mark)), c) if mark == c && before != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '#') if before.is_whitespace() => comment = true,
            (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => {
                quote = Some((at, c));
            }
            (None, '[' | '{')
                if !open.is_empty() || (before.is_whitespace() && ":-\n".contains(last)) =>
            {
                open.push((at, c));
            }
            (None, ']' | '}') => {
                open.pop();
            }
            _ => {}
        }
        before = c;
        if c == '\n' || !c.is_whitespace() {
            last = c;
        }
    }
    quote.or_else(|| open.pop())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_last_is_found() {
        for (text, expected) in [
            ("a: { b: [1, 2]", Some((3, '{'))),
            ("a: [ { b: ${x}", Some((5, '{'))),
            ("a: { b: '}' ", Some((3, '{'))),
            ("a: {} # [", None),
            ("a: \"[\"", None),
            ("a: \"b\nc: d", Some((3, '"'))),
            ("a: it's [", None),
            ("a: [1]", None),
        ] {
            assert_eq!(unclosed(text), expected, "{text}");
        }
    }
}
