//! A file's text and places in it.
//!
//! Places are byte ranges within one line, so that whatever shows them needs no
//! rule for ranges that run over lines. Nothing here reads files.

use crate::diagnostic::Diagnostic;
use serde::Serialize;
use std::borrow::Cow;

/// A named text, such as a plan file that was read or uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name that people see in messages.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A text under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// The same text with stars in place of what these findings say is a secret, however
    /// many lines it has. All places stay where they are.
    #[must_use]
    pub fn concealing<'a>(&'a self, found: &[Diagnostic]) -> Cow<'a, Self> {
        let secrets = found.iter().filter(|finding| finding.secret);
        let mut concealed = Cow::Borrowed(self);
        for secret in secrets {
            let end = end_of_value(&self.text, secret.span.offset);
            let Some(value) = self.text.get(secret.span.offset..end) else {
                continue;
            };
            // A star for each byte, so that what follows keeps its place.
            let stars = value.bytes().map(|byte| match byte {
                b'\n' | b'\r' => char::from(byte),
                _ => '*',
            });
            let stars: String = stars.collect();
            let text = &mut concealed.to_mut().text;
            text.replace_range(secret.span.offset..end, &stars);
        }
        concealed
    }
}

/// Where a value that begins at `start` ends at the latest: with the lines below its own that
/// are empty or further in.
fn end_of_value(text: &str, start: usize) -> usize {
    let begin = text.get(..start).and_then(|before| before.rfind('\n'));
    let line = text.get(begin.map_or(0, |at| at + 1)..).unwrap_or("");
    let depth = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let outer = depth(line);
    let mut lines = text.get(start..).unwrap_or("").split_inclusive('\n');
    let first = lines.next().map_or(0, str::len);
    let more = lines.take_while(|line| line.trim().is_empty() || depth(line) > outer);
    start + first + more.map(str::len).sum::<usize>()
}

/// A byte range of a source, never over the end of its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Span {
    /// First byte.
    pub offset: usize,
    /// Number of bytes; zero where only a point is known.
    pub len: usize,
}

impl Span {
    /// The range from `start` to `end`, cut at the end of its first line and of the
    /// text, and moved outwards to character borders.
    #[must_use]
    pub fn clamped(text: &str, start: usize, end: usize) -> Self {
        let mut offset = start.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let rest = text.get(offset..).unwrap_or("");
        let line = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let mut len = end.saturating_sub(offset).min(line);
        while !rest.is_char_boundary(len) {
            len += 1;
        }
        let trimmed = rest.get(..len).unwrap_or("").trim_end().len();
        Self {
            offset,
            len: trimmed,
        }
    }
}

/// Line and column of a byte offset, both from 1, columns in characters.
#[must_use]
pub(crate) fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before
        .get(line_start..)
        .map_or(0, |line| line.chars().count())
        + 1;
    (line, column)
}

/// The text of a line, counted from 1, without its end.
#[must_use]
pub(crate) fn line_text(text: &str, line: usize) -> &str {
    text.split('\n')
        .nth(line.saturating_sub(1))
        .unwrap_or("")
        .trim_end_matches('\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_nowhere() {
        let concealed = |text: &str, at: &str| {
            let offset = text.find(at).expect("it stands there");
            let span = Span::clamped(text, offset, offset + at.len());
            let mut found = Diagnostic::new(
                "ESC-0721",
                crate::diagnostic::Severity::Error,
                text,
                "a",
                span,
                "m".into(),
                String::new(),
            );
            let source = SourceFile::new("f", text);
            assert_eq!(source.concealing(std::slice::from_ref(&found)).text, text);
            found.secret = true;
            source.concealing(&[found]).into_owned().text
        };
        let text = "a:\n  url: p\u{e9}ss\n  more: 1\n";
        assert_eq!(
            concealed(text, "p\u{e9}ss"),
            "a:\n  url: *****\n  more: 1\n"
        );
        // On its line all that follows may be part of it.
        let text = "- url: 'one', more: 1\n- url: 2";
        let stars = "*".repeat(14);
        assert_eq!(
            concealed(text, "'one'"),
            format!("- url: {stars}\n- url: 2")
        );
        let text = "- url: |\n    one\n\n    two\n  more: 1\n";
        assert_eq!(
            concealed(text, "|"),
            "- url: *\n*******\n\n*******\n  more: 1\n"
        );
        assert_eq!(concealed("url: one", "one"), "url: ***");
    }

    #[test]
    fn places_count_characters_and_stay_in_their_line() {
        let text = "a: é\nbc: d";
        assert_eq!(line_column(text, 0), (1, 1));
        assert_eq!(line_column(text, 5), (1, 5), "after a two-byte character");
        assert_eq!(line_column(text, 6), (2, 1));
        assert_eq!(line_text(text, 2), "bc: d");
        assert_eq!(Span::clamped(text, 3, 12), Span { offset: 3, len: 2 });
        assert_eq!(Span::clamped(text, 4, 4).offset, 3, "inside a character");
        assert_eq!(Span::clamped(text, 99, 120), Span { offset: 11, len: 0 });
    }
}
