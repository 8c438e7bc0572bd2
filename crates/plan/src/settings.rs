//! Files of settings that are no plans, read and complained about in the same words.
//!
//! Form and units are checked against a table of fields; what the values mean is the
//! caller's business, who adds its findings at the places where the values stand.

use crate::catalog::Field;
use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::Val;
use crate::parse::fields_of;
use crate::shape::{Scope, driver_block};
use crate::sink::{Sink, printable};
use crate::source::SourceFile;
use crate::suggest::{listed, nearest};
use serde_json::Value;

/// A file of settings while it is being checked.
pub struct Settings<'t> {
    sink: Sink<'t>,
    value: Option<Value>,
}

/// Reads a file of settings whose top keys are `fields`. Values arrive as drivers get
/// theirs: durations in milliseconds, commands as words.
#[must_use]
pub fn read_settings<'t>(source: &'t SourceFile, fields: &[Field]) -> Settings<'t> {
    let mut sink = Sink::new(&source.text);
    let block = driver_block(fields, Scope::Check);
    let value = fields_of(&source.text, block, &mut sink).map(|read| Val::Block(read).to_json());
    Settings { sink, value }
}

impl Settings<'_> {
    /// What was read; keys that were wrong are missing. Absent when nothing was.
    #[must_use]
    pub const fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// Adds an error at the value with this path, such as `rules[0].channels[1]`.
    pub fn refuse(&mut self, code: &'static str, path: &str, message: String, help: String) {
        self.sink.error(code, path, message, help);
    }

    /// Adds an error at a value that may be a secret: wherever the finding is shown, the
    /// value is not.
    pub fn refuse_secret(&mut self, code: &'static str, path: &str, message: String, help: String) {
        self.sink.secret(code, path, message, help);
    }

    /// Adds a warning at the value with this path: the file is accepted all the same.
    pub fn warn(&mut self, code: &'static str, path: &str, message: String, help: String) {
        let severity = Severity::Warning;
        self.sink.lint(code, severity, path, message, help);
    }

    /// Adds the error that `word` is none of the `known`, with the one that was meant.
    pub fn refuse_unknown<'k>(
        &mut self,
        code: &'static str,
        path: &str,
        word: &str,
        what: &str,
        known: impl IntoIterator<Item = &'k str> + Clone,
    ) {
        let help = nearest(word, known.clone()).map_or_else(
            || format!("there are {}", listed(known)),
            |meant| format!("did you mean `{meant}`?"),
        );
        let message = format!("`{}` is not {what}", printable(word));
        self.refuse(code, path, message, help);
    }

    /// Whether anything that was found refuses the file.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.sink.failed() || self.value.is_none()
    }

    /// All findings in the order of the file.
    #[must_use]
    pub fn findings(self) -> Vec<Diagnostic> {
        let mut found = self.sink.found;
        found.sort_by_key(|d: &Diagnostic| (d.span.offset, d.code, d.severity));
        debug_assert!(
            self.value.is_some() || found.iter().any(|d| d.severity == Severity::Error),
            "a file that was not read is complained about"
        );
        found
    }
}
