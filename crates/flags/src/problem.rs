//! What is wrong with a set of flags, and where.

use serde::Serialize;
use std::fmt;

/// The family of a problem, for programs that read errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// A field that does not exist, is missing, or has another shape.
    Format,
    /// A name that breaks the rule for names.
    BadName,
    /// A value that does not fit the declared type.
    BadValue,
    /// A flag that does not exist.
    UnknownFlag,
    /// A variant that the flag does not have.
    UnknownVariant,
    /// A segment that does not exist.
    UnknownSegment,
    /// An attribute that is not declared.
    UnknownAttribute,
    /// An environment that is not declared.
    UnknownEnvironment,
    /// A condition that does not compile.
    BadCondition,
    /// Flags or segments that need themselves.
    Cycle,
    /// More of something than is allowed.
    TooMany,
    /// Prerequisites or segments nested deeper than is allowed.
    TooDeep,
    /// A rule that no context reaches, or that stands before one it must follow.
    Order,
    /// A rule that serves nothing, or two things.
    Serve,
    /// Weights that are not 100 % together, or shares of one salt inside each other.
    Weights,
    /// Another change came first.
    Conflict,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[error("{path}: {message}{}", self.hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default())]
pub struct Problem {
    /// The field, as a JSON pointer (RFC 6901).
    pub path: String,
    /// Its family.
    pub code: ProblemCode,
    /// What is wrong.
    pub message: String,
    /// What to write instead, when that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A place in a definition; written out only when something is wrong there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    above: Option<&'a Place<'a>>,
    part: Part<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(crate) fn root(key: &'a str) -> Self {
        Self {
            above: None,
            part: Part::Key(key),
        }
    }

    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self {
            above: Some(self),
            part: Part::Key(key),
        }
    }

    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self {
            above: Some(self),
            part: Part::Index(index),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.part {
            Part::Key(key) => write!(f, "/{}", escaped(key)),
            Part::Index(index) => write!(f, "/{index}"),
        }
    }
}

/// A key as a part of a JSON pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// All problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, place: &Place<'_>, code: ProblemCode, message: impl Into<String>) {
        self.0.push(Problem {
            path: place.to_string(),
            code,
            message: message.into(),
            hint: None,
        });
    }

    pub(crate) fn add_hint(
        &mut self,
        place: &Place<'_>,
        code: ProblemCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(Problem {
            path: place.to_string(),
            code,
            message: message.into(),
            hint: Some(hint.into()),
        });
    }

    /// A name that is not among the known ones, with the one that was meant.
    pub(crate) fn unknown<'n>(
        &mut self,
        place: &Place<'_>,
        code: ProblemCode,
        (what, name): (&str, &str),
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        let message = format!("there is no {what} {name:?}");
        let hint = match esclusa_expr::nearest(name, known.clone()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => {
                const SHOWN: usize = 8;
                let names: Vec<_> = known.clone().take(SHOWN).collect();
                match (names.len(), known.count()) {
                    (0, _) => format!("no {what} is declared"),
                    (shown, all) if all > shown => {
                        format!("known are {} and {} more", names.join(", "), all - shown)
                    }
                    _ => format!("known are {}", names.join(", ")),
                }
            }
        };
        self.add_hint(place, code, message, hint);
    }
}
