//! What a message is, whichever way it goes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// The word in files, rules and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The language of a message's own words. What people and versions said stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::Es];

    /// Its code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
        }
    }
}

/// Whom a channel reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Those who release: with reasons, numbers and links to act.
    #[default]
    Team,
    /// Everybody else: what it means for users, in plain words.
    Stakeholders,
}

/// One line of a message's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// How it is.
    pub value: String,
}

/// A way from a message back to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it does.
    pub text: String,
    /// Where it leads.
    pub url: String,
}

/// A message in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The kind of event, such as `release.held`.
    pub event: String,
    /// How much it matters.
    pub severity: Severity,
    /// The service; empty for what concerns all.
    pub service: String,
    /// The release, where it tells of one.
    pub release: Option<String>,
    /// People's name for the version.
    pub version: Option<String>,
    /// When it happened, RFC 3339 in UTC.
    pub time: String,
    /// The language of its words.
    pub language: Language,
    /// One line.
    pub title: String,
    /// A sentence or two.
    pub text: String,
    /// More, line by line.
    pub facts: Vec<Fact>,
    /// What can be done from here.
    pub links: Vec<Link>,
    /// Where it comes from: the server's address, or `esclusa`.
    pub source: String,
}
