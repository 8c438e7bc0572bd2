//! Collects findings and remembers where everything stands in the file.

use crate::diagnostic::{self as code, Diagnostic, Severity};
use crate::shape::Scope;
use crate::source::Span;
use std::collections::{BTreeMap, BTreeSet};

/// More findings than this help nobody.
const MAX_FINDINGS: usize = 100;

/// A text with placeholders, to be checked once the whole plan is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TemplateUse {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) scope: Scope,
}

/// Collects findings and remembers where everything stands.
pub(crate) struct Sink<'t> {
    pub(crate) text: &'t str,
    pub(crate) found: Vec<Diagnostic>,
    pub(crate) templates: Vec<TemplateUse>,
    places: BTreeMap<String, Span>,
    misspelt: BTreeSet<String>,
    /// How many findings are not kept.
    pub(crate) untold: usize,
}

impl<'t> Sink<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            found: Vec::new(),
            templates: Vec::new(),
            places: BTreeMap::new(),
            misspelt: BTreeSet::new(),
            untold: 0,
        }
    }

    /// Remembers where a value stands.
    pub(crate) fn remember(&mut self, path: &str, span: Span) {
        self.places.insert(path.to_owned(), span);
    }

    /// Remembers where a key stands that was written wrongly.
    pub(crate) fn misspelt(&mut self, path: String, span: Span) {
        self.remember(&path, span);
        self.misspelt.insert(path);
    }

    /// Whether a key was written, but wrongly or with a value that cannot be read.
    pub(crate) fn unread(&self, path: &str) -> bool {
        self.misspelt.contains(path) || self.failed_below(path)
    }

    /// Where a value stands, or the nearest block around it.
    pub(crate) fn place(&self, path: &str) -> Span {
        let mut path = path;
        loop {
            if let Some(span) = self.places.get(path) {
                return *span;
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = path.get(..at).unwrap_or(""),
                None => return Span::default(),
            }
        }
    }

    pub(crate) fn error(&mut self, code: &'static str, path: &str, message: String, help: String) {
        let span = self.place(path);
        self.error_at(code, path, span, message, help);
    }

    /// An error at a value that is a secret, and must not be shown.
    pub(crate) fn secret(&mut self, code: &'static str, path: &str, message: String, help: String) {
        let told = self.found.len();
        self.error(code, path, message, help);
        for found in self.found.iter_mut().skip(told) {
            found.secret = true;
        }
    }

    pub(crate) fn error_at(
        &mut self,
        code: &'static str,
        path: &str,
        span: Span,
        message: String,
        help: String,
    ) {
        self.push(code, Severity::Error, path, span, message, help);
    }

    /// A finding about values that were read; kept back where reading them failed
    /// already, so that one mistake is not told twice.
    pub(crate) fn lint(
        &mut self,
        code: &'static str,
        severity: Severity,
        path: &str,
        message: String,
        help: String,
    ) {
        if !path.is_empty() && self.failed_below(path) {
            return;
        }
        let span = self.place(path);
        self.push(code, severity, path, span, message, help);
    }

    fn push(
        &mut self,
        code: &'static str,
        severity: Severity,
        path: &str,
        span: Span,
        message: String,
        help: String,
    ) {
        if self.found.len() < MAX_FINDINGS {
            self.found.push(Diagnostic::new(
                code, severity, self.text, path, span, message, help,
            ));
        } else {
            self.untold += 1;
        }
    }

    /// Whether a value was written at this path, rightly or wrongly.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Whether reading this part of the file failed.
    pub(crate) fn failed_below(&self, path: &str) -> bool {
        self.found.iter().any(|found| is_unread(found, path))
    }

    pub(crate) fn failed(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Whether a finding says that something at or below `path` could not be read.
fn is_unread(found: &Diagnostic, path: &str) -> bool {
    found.severity == Severity::Error
        && found.code < code::SHARES
        && found
            .path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The path of a key in a block.
pub(crate) fn child(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A text as it may stand in a message.
pub(crate) fn printable(text: &str) -> String {
    let shown: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if shown.chars().count() < text.chars().count() {
        format!("{shown}...")
    } else {
        shown
    }
}
