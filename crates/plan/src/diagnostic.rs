//! What is wrong with a file, where, and what to do next.
//!
//! Codes are stable and each has a page in `docs/errors/`. This module renders plain
//! text; colours and wrapping belong to whoever prints it.

use crate::source::{SourceFile, Span, line_column, line_text};
use serde::Serialize;
use std::fmt::Write as _;

/// Whether the file can be used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted; something in it deserves a look.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code, such as `ESC-0110`; see [`CODES`].
    pub code: &'static str,
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where in the file's structure: `stages[2].to`; empty for the whole file.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The bytes meant.
    pub span: Span,
    /// The next step.
    pub help: String,
    /// Whether the bytes meant are a secret, which nobody is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl Diagnostic {
    pub(crate) fn new(
        code: &'static str,
        severity: Severity,
        text: &str,
        path: &str,
        span: Span,
        message: String,
        help: String,
    ) -> Self {
        let (line, column) = line_column(text, span.offset);
        Self {
            code,
            severity,
            message,
            path: path.to_owned(),
            line,
            column,
            span,
            help,
            secret: false,
        }
    }

    /// Place and message in one line.
    fn headline(&self, source: &SourceFile) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        format!(
            "{}:{}:{}: {word}[{}]: {}\n",
            source.name, self.line, self.column, self.code, self.message
        )
    }

    fn next_step(&self, out: &mut String) {
        if !self.help.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  help: {}", self.help);
        }
    }

    /// Plain text: place and message, the line meant, and the next step.
    ///
    /// The line is shown as it is: see [`SourceFile::concealing`] for files with secrets.
    #[must_use]
    pub fn render(&self, source: &SourceFile) -> String {
        let mut out = self.headline(source);
        let line = line_text(&source.text, self.line);
        if !line.trim().is_empty() {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            // Tabs are kept, so that the marks stand below what they mean.
            let indent: String = line
                .chars()
                .take(self.column - 1)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let meant = source
                .text
                .get(self.span.offset..self.span.offset + self.span.len)
                .map_or(0, |meant| meant.chars().count());
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {number} | {}", printable(line));
            let _ = writeln!(out, "  {gutter} | {indent}{}", "^".repeat(meant.max(1)));
        }
        self.next_step(&mut out);
        out
    }
}

/// Renders findings one after the other, each followed by an empty line. Secrets among them
/// are not shown.
#[must_use]
pub fn render_all(source: &SourceFile, diagnostics: &[Diagnostic]) -> String {
    let source = source.concealing(diagnostics);
    diagnostics
        .iter()
        .map(|diagnostic| diagnostic.render(&source))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Places, messages and next steps alone, for logs and for people who may not read the file:
/// nothing of its text.
#[must_use]
pub fn render_places(source: &SourceFile, diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .map(|diagnostic| {
            let mut out = diagnostic.headline(source);
            diagnostic.next_step(&mut out);
            out
        })
        .collect()
}

/// How much of a refused file has to be mended, such as `1 error that must be mended, and 2
/// warnings`.
#[must_use]
pub fn to_mend(found: &[Diagnostic]) -> String {
    let count = |severity| found.iter().filter(|one| one.severity == severity).count();
    let counted = |n: usize, word: &str| match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    };
    let errors = counted(count(Severity::Error), "error");
    match count(Severity::Warning) {
        0 => format!("{errors} that must be mended"),
        n => format!(
            "{errors} that must be mended, and {}",
            counted(n, "warning")
        ),
    }
}

/// A line as it may be shown on a terminal: control characters are replaced.
fn printable(line: &str) -> String {
    line.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        $(pub(crate) const $name: &str = $code;)*
        /// Every code of this crate with its title, in order.
        pub const CODES: &[(&str, &str)] = &[$(($code, $title)),*];
    };
}

codes! {
    SYNTAX = "ESC-0101", "the file is not well-formed YAML";
    DUPLICATE_KEY = "ESC-0102", "a key is written twice";
    BUDGET = "ESC-0103", "the file is nested too deeply or grows too large";
    UNSUPPORTED_YAML = "ESC-0104", "a feature of YAML that plans do not use";
    TOO_LARGE = "ESC-0105", "the file is too large";
    LAYOUT = "ESC-0106", "the file cannot be laid out";
    MORE = "ESC-0107", "there is more than is shown";
    UNKNOWN_KEY = "ESC-0110", "a key is not known";
    MISSING_KEY = "ESC-0111", "a key is missing";
    WRONG_FORM = "ESC-0112", "a block, list or single value was expected";
    WRONG_VALUE = "ESC-0113", "a value is not understood";
    MISSING_UNIT = "ESC-0114", "a number has no unit";
    OUT_OF_BOUNDS = "ESC-0115", "a number is out of bounds";
    EXCLUSIVE = "ESC-0116", "exactly one of several keys is needed";
    BAD_NAME = "ESC-0117", "a name breaks the rule for names";
    PLAN_VERSION = "ESC-0118", "the plan language's version is not known";
    EMPTY = "ESC-0119", "a value is empty";
    SHARES = "ESC-0201", "shares must grow and end with 100 %";
    WARM_UP_ORDER = "ESC-0202", "a warm-up must stand before all exposure";
    PLACEHOLDER = "ESC-0203", "a placeholder is not known here";
    WEB_PROCESS = "ESC-0205", "a web process says neither port nor readiness";
    NO_UNDO = "ESC-0206", "a step cannot be taken back";
    SINGLETON = "ESC-0207", "how a singleton is handed over";
    CAPABILITY = "ESC-0208", "a driver cannot do what the plan asks";
    ZERO_TIME = "ESC-0209", "a time makes no sense here";
    JUDGE = "ESC-0210", "the judge's settings contradict each other";
    ROUTE = "ESC-0211", "route and web component do not fit";
    TAKE_OVER = "ESC-0212", "a version cannot be taken over this way";
    ARTIFACT = "ESC-0213", "artifact and driver do not fit";
    SEGMENT = "ESC-0214", "a segment is unknown or unused";
    EXPRESSION = "ESC-0215", "a segment's expression is wrong";
    DUPLICATE_NAME = "ESC-0216", "a name or id is used twice";
    ADDRESS = "ESC-0217", "an address, URL or path is not valid";
    BLIND = "ESC-0218", "nothing could judge this plan";
    STICKY = "ESC-0219", "units cannot be told apart as the plan asks";
    UNREACHABLE = "ESC-0220", "a limit can never act";
    TIMES = "ESC-0221", "times contradict each other";
    UNIT_SLIP = "ESC-0222", "a time looks like a slip of the unit";
    ROLE = "ESC-0223", "a role that nobody can have, or two that look like one";
    ASKED_TWICE = "ESC-0224", "the same is asked twice";
    LOOP = "ESC-0225", "requests would come back to where they came from";
    QUERY = "ESC-0230", "a query is not PromQL";
    POWERLESS = "ESC-0235", "a stage is powerless";
    FLAGS = "ESC-0780", "the flags of a plan are not what they seem";
    FLAGS_ALONE = "ESC-0781", "a plan of flags alone has something that only versions have";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_counted_apart() {
        let found = |errors: usize, warnings: usize| -> Vec<Diagnostic> {
            let one = |severity| {
                let span = Span { offset: 0, len: 0 };
                Diagnostic::new(
                    "ESC-0216",
                    severity,
                    "a: 1",
                    "",
                    span,
                    String::new(),
                    String::new(),
                )
            };
            let errors = std::iter::repeat_n(Severity::Error, errors);
            let all = errors.chain(std::iter::repeat_n(Severity::Warning, warnings));
            all.map(one).collect()
        };
        for (errors, warnings, words) in [
            (1, 2, "1 error that must be mended, and 2 warnings"),
            (2, 1, "2 errors that must be mended, and 1 warning"),
            (3, 0, "3 errors that must be mended"),
        ] {
            assert_eq!(to_mend(&found(errors, warnings)), words);
        }
    }
}
