//! What a rule found, and where.

use std::fmt;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The gate stays shut.
    Error,
    /// Worth knowing.
    Note,
}

/// One breach of one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// File relative to the repository's root, or the crate where no file is to blame.
    pub(crate) place: String,
    /// Line in that file, from 1.
    pub(crate) line: Option<usize>,
    /// The rule's name, as `ARCHITECTURE.md` and `CONTRIBUTING.md` use it.
    pub(crate) rule: &'static str,
    /// What is wrong and what to do instead.
    pub(crate) message: String,
}

impl Finding {
    /// A breach in a file.
    pub(crate) fn error(
        rule: &'static str,
        place: &str,
        line: Option<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Error,
            place: place.to_owned(),
            line,
            rule,
            message: message.into(),
        }
    }

    /// The same, as a note.
    pub(crate) fn note(rule: &'static str, place: &str, message: impl Into<String>) -> Self {
        Self {
            level: Level::Note,
            place: place.to_owned(),
            line: None,
            rule,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Note => "note",
        };
        write!(f, "{level}[{}]: {}", self.rule, self.place)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}
