//! `http`: a GET is answered as it should be.
//!
//! The status is always asserted; texts match whole words, so that `HEALTHY` is not
//! found in `UNHEALTHY`. A refused or broken connection fails; no answer in time, no
//! such name and no way there are unknown.

use super::{Adapter, Answer, Check, CheckContext};
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::http::{self, Ask, Extent, NoAnswer, Redirects, get};
use crate::template::{fill, fill_map};
use async_trait::async_trait;
use esclusa_model::CheckResult;
use esclusa_plan::{Capability, DriverEntry, FieldKind, Placeholders};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "http";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |config| Ok(Arc::new(read::<Http>(NAME, config)?)),
};

fn describe() -> DriverEntry {
    entry(
        NAME,
        "A GET is answered with the expected status, texts, headers and JSON values.",
        vec![
            required("url", FieldKind::Template, "What is asked."),
            optional(
                "status",
                FieldKind::Integer { min: 100, max: 599 },
                "The only good status; 200 when absent.",
            ),
            optional(
                "contains",
                FieldKind::Template,
                "A text that stands in the body, not as a part of longer words.",
            ),
            optional(
                "lacks",
                FieldKind::Template,
                "A text that stands nowhere in the body, not even as a part of a word.",
            ),
            optional(
                "json",
                FieldKind::TemplateMap,
                "Values within a JSON body by path, such as checks.db: ok.",
            ),
            optional(
                "header",
                FieldKind::TemplateMap,
                "Headers that the answer has, with exactly these values.",
            ),
            optional("send", FieldKind::TemplateMap, "Headers of the request."),
            optional(
                "redirects",
                FieldKind::Switch,
                "Follow up to five redirects; a redirect is the answer when absent.",
            ),
            optional(
                "ca-file",
                FieldKind::Template,
                "PEM file of a private certificate authority.",
            ),
        ],
        &[Capability::Early],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Http {
    url: String,
    status: Option<u16>,
    contains: Option<String>,
    lacks: Option<String>,
    #[serde(default)]
    json: BTreeMap<String, String>,
    #[serde(default)]
    header: BTreeMap<String, String>,
    #[serde(default)]
    send: BTreeMap<String, String>,
    #[serde(default)]
    redirects: bool,
    ca_file: Option<String>,
}

#[async_trait]
impl Check for Http {
    async fn ask(&self, context: &CheckContext) -> CheckResult {
        self.answer(context).await.unwrap_or_else(Into::into).now()
    }
}

impl Http {
    async fn answer(&self, context: &CheckContext) -> Result<Answer, DriverError> {
        let values = &context.placeholders;
        let ca_file = self.ca_file.as_ref().map(|f| fill(f, values)).transpose()?;
        let ask = Ask {
            url: fill(&self.url, values)?,
            headers: fill_map(&self.send, values)?,
            redirects: if self.redirects {
                Redirects::Followed
            } else {
                Redirects::Shown
            },
            timeout: context.timeout,
            ca_file: ca_file.map(PathBuf::from),
        };
        let shown = http::shown(&ask.url);
        let answer = match get(&ask).await {
            Ok(answer) => answer,
            Err(NoAnswer::Refused(why)) => return Ok(Answer::fail(format!("{shown}: {why}"))),
            Err(NoAnswer::TimedOut) => {
                return Ok(Answer::unknown(format!(
                    "{shown}: no answer within {}",
                    context.timeout
                )));
            }
            Err(NoAnswer::NotAsked(why)) => {
                return Ok(Answer::unknown(format!("{shown}: {why}")));
            }
        };
        let complaint = self.judge(&answer, values)?;
        Ok(match complaint {
            None => Answer::pass(format!("{shown} answers with status {}", answer.status)),
            Some(Answer(status, why)) => Answer(status, format!("{shown}: {why}")),
        })
    }

    /// The first thing that is not as it should be.
    fn judge(
        &self,
        answer: &http::Answer,
        values: &Placeholders,
    ) -> Result<Option<Answer>, DriverError> {
        let status = self.status.unwrap_or(200);
        if answer.status != status {
            let why = format!("status {}, expected {status}", answer.status);
            return Ok(Some(Answer::fail(why)));
        }
        for (name, value) in fill_map(&self.header, values)? {
            let found = answer.headers.get(&name).map(|v| v.as_bytes());
            if found != Some(value.as_bytes()) {
                return Ok(Some(Answer::fail(format!(
                    "header {name} is not {value:?}"
                ))));
            }
        }
        let body = String::from_utf8_lossy(&answer.body);
        // What lies beyond the part that was read cannot be told.
        let beyond = |message: String| match answer.extent {
            Extent::Whole => Answer::fail(message),
            Extent::Cut => Answer::unknown(format!("{message} in the part that was read")),
        };
        if let Some(text) = &self.contains {
            let text = fill(text, values)?;
            if !contains_words(&body, &text) {
                return Ok(Some(beyond(format!("the body does not contain {text:?}"))));
            }
        }
        if let Some(text) = &self.lacks {
            let text = fill(text, values)?;
            if body.contains(&text) {
                return Ok(Some(Answer::fail(format!("the body contains {text:?}"))));
            }
            if answer.extent == Extent::Cut {
                return Ok(Some(Answer::unknown(
                    "the body is too long to be read whole",
                )));
            }
        }
        if self.json.is_empty() {
            return Ok(None);
        }
        let Ok(value) = serde_json::from_slice(&answer.body) else {
            return Ok(Some(beyond("the body is not JSON".into())));
        };
        for (path, expected) in fill_map(&self.json, values)? {
            let found = at(&value, &path);
            if found.as_deref() != Some(expected.as_str()) {
                let found = found.unwrap_or_else(|| "missing".into());
                let found: String = found.chars().take(100).collect();
                let why = format!("{path} is {found}, expected {expected}");
                return Ok(Some(Answer::fail(why)));
            }
        }
        Ok(None)
    }
}

/// Whether `text` stands in `body` with no letter or digit running on at its ends.
fn contains_words(body: &str, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let runs_on = |outer: Option<char>, inner: Option<char>| {
        outer.is_some_and(word) && inner.is_some_and(word)
    };
    body.match_indices(text).any(|(at, _)| {
        let (before, rest) = body.split_at(at);
        let after = rest.strip_prefix(text).unwrap_or_default();
        !runs_on(before.chars().next_back(), text.chars().next())
            && !runs_on(after.chars().next(), text.chars().next_back())
    })
}

/// The plain value at a path of keys and positions, as text.
fn at(value: &serde_json::Value, path: &str) -> Option<String> {
    let mut here = value;
    for part in path.split('.') {
        here = match here {
            serde_json::Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    match here {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Object(_) | serde_json::Value::Array(_) => None,
        plain => Some(plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Http>(&describe());
    }

    /// Trap 34.
    #[test]
    fn a_word_is_not_found_within_another() {
        for (body, text, expected) in [
            ("status: HEALTHY", "HEALTHY", true),
            ("status: UNHEALTHY", "HEALTHY", false),
            ("UNHEALTHY, then HEALTHY", "HEALTHY", true),
            ("HEALTHY_NOT", "HEALTHY", false),
            (r#"{"a":"ok"}"#, r#""ok""#, true),
            ("version 2.4.10", "2.4.1", false),
            ("version 2.4.1.", "2.4.1", true),
            ("anything", "", false),
            ("größer", "er", false),
        ] {
            assert_eq!(contains_words(body, text), expected, "{text:?} in {body:?}");
        }
    }

    #[test]
    fn values_are_found_by_path() {
        let value = serde_json::json!({"checks": [{"db": "ok"}], "n": 3, "up": true, "x": null});
        assert_eq!(at(&value, "checks.0.db").as_deref(), Some("ok"));
        assert_eq!(at(&value, "n").as_deref(), Some("3"));
        assert_eq!(at(&value, "up").as_deref(), Some("true"));
        assert_eq!(at(&value, "x").as_deref(), Some("null"));
        assert_eq!(at(&value, "checks"), None);
        assert_eq!(at(&value, "no.such"), None);
    }
}
