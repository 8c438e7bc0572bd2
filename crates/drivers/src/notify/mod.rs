//! What carries messages to people: one file and one registry line a kind of channel.
//!
//! A channel sends one message once and says what became of it: whose fault a failure is,
//! and whether another try can help. When to try again, in which order and to whom is
//! the server's business. No error holds a secret or an address that is one.

mod config;
mod message;
mod post;
mod schedule;
mod slack;
mod smtp;
mod teams;
#[cfg(test)]
mod tests;
mod webhook;

pub use config::{ChannelConfig, IncidentTimes, NotifyConfig, Rule, parse};
pub use message::{Audience, Fact, Language, Link, Message, Severity};
pub use schedule::{RetryPolicy, retry_after};

use crate::error::Fault;
use crate::fields;
use crate::findings::Findings;
use crate::secret::Missing;
use async_trait::async_trait;
use esclusa_model::{Millis, Timestamp};
use esclusa_plan::{Field, FieldKind};
use std::net::IpAddr;
use std::sync::Arc;

/// One message on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its id: the same over all tries, so that a receiver can drop what it has.
    pub id: String,
    /// What it says.
    pub message: Message,
    /// Now.
    pub sent_at: Timestamp,
}

/// A way to people.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Sends a message, once. The caller limits how long that may take.
    ///
    /// # Errors
    /// When it was not taken, or nobody can tell whether it was.
    async fn send(&self, delivery: &Delivery) -> Result<(), SendError>;
}

/// Whether another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It can; not before this time has passed, where the receiver said so. Receivers
    /// that took the message already see its id again.
    Later(Option<Millis>),
    /// It would end the same way until somebody changes something.
    Never,
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// Whose fault.
    pub fault: Fault,
    /// Whether another try can help.
    pub again: Again,
    /// One sentence for people.
    pub message: String,
}

impl SendError {
    /// Another try can help.
    #[must_use]
    pub fn later(fault: Fault, message: impl Into<String>) -> Self {
        let again = Again::Later(None);
        Self {
            fault,
            again,
            message: message.into(),
        }
    }

    /// No try can help until somebody changes something.
    #[must_use]
    pub fn never(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            again: Again::Never,
            message: message.into(),
        }
    }
}

impl From<Missing> for SendError {
    fn from(missing: Missing) -> Self {
        Self::later(Fault::Config, missing.to_string())
    }
}

/// One line of the registry.
struct Kind {
    /// The key that names it in a channel.
    name: &'static str,
    doc: &'static str,
    fields: fn() -> Vec<Field>,
    build: fn(&serde_json::Value, &mut Findings<'_, '_>) -> Option<Arc<dyn Channel>>,
}

const KINDS: &[Kind] = &[slack::KIND, teams::KIND, webhook::KIND, smtp::KIND];

/// The kinds of channels, each with one sentence, for the reference.
#[must_use]
pub fn kinds() -> Vec<(&'static str, &'static str)> {
    KINDS.iter().map(|kind| (kind.name, kind.doc)).collect()
}

impl Findings<'_, '_> {
    /// An address that a message may be posted to.
    fn url(&mut self, key: &str, text: &str) -> Option<reqwest::Url> {
        match usable_url(text) {
            Ok(url) => Some(url),
            Err(why) => {
                self.refuse(
                    "ESC-0217",
                    key,
                    format!("this address is not usable: {why}"),
                    "write an address that begins with https://; http:// is for this machine \
                     alone",
                );
                None
            }
        }
    }
}

/// An `https` address, or an `http` one of this machine; without a password.
fn usable_url(text: &str) -> Result<reqwest::Url, &'static str> {
    let url = reqwest::Url::parse(text).map_err(|_| "it is no URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a password");
    }
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        "http" => Err("it would carry the message unencrypted over the network"),
        _ => Err("it begins with neither https:// nor http://"),
    }
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn text(name: &str, doc: &str) -> Field {
    fields::optional(name, FieldKind::Text, doc)
}

fn must(field: Field) -> Field {
    Field {
        required: true,
        ..field
    }
}

/// At most `most` characters, with a mark where something was cut.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A text in one line.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace(char::is_control, "")
}
