//! What can be wrong with an expression, where, and what to do about it.

use crate::MAX_SOURCE_BYTES;
use std::fmt;
use std::ops::Range;

/// A place in the source: byte offsets, `start` included, `end` not; on borders of
/// characters. `start == end` is a place between two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the start of `self` to the end of `other`.
    pub(crate) fn to(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end.max(self.end),
        }
    }

    /// The span as a range, to slice the source with.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// The family of a problem, for programs that read errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The text is not an expression of this language.
    Syntax,
    /// A name, function or method that does not exist.
    UnknownName,
    /// A value of one type where another is needed.
    Type,
    /// Longer, deeper or larger than allowed.
    Limit,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", self.hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default())]
pub struct ExprError {
    /// Its family.
    pub code: ErrorCode,
    /// Where it is.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to write instead, when that can be told.
    pub hint: Option<String>,
}

impl ExprError {
    pub(crate) fn new(code: ErrorCode, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            span,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn syntax(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Syntax, span, message)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

pub(crate) fn source_too_long(source: &str) -> ExprError {
    let mut cut = MAX_SOURCE_BYTES;
    while !source.is_char_boundary(cut) {
        cut -= 1;
    }
    ExprError::new(
        ErrorCode::Limit,
        Span::new(cut, source.len()),
        format!(
            "the condition has {} bytes, {MAX_SOURCE_BYTES} are allowed",
            source.len()
        ),
    )
    .hint("split it into several segments")
}
