//! `guard`: a route whose feature is off answers as its guard should.
//!
//! A guard that blocks answers 503 with `FEATURE_DISABLED`; where it falls back, the route goes on
//! as it did before the feature. Whatever else is answered, a 503 of another kind included, is no
//! guard at work.

use super::{Adapter, Answer, Check, CheckContext};
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::http::{self, Ask, Extent, NoAnswer, Redirects};
use crate::template::{fill, fill_map};
use async_trait::async_trait;
use esclusa_model::CheckResult;
use esclusa_plan::{Capability, DriverEntry, FieldKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "guard";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |config| Ok(Arc::new(read::<Guard>(NAME, config)?)),
};

/// What guards say in their body.
const CODE: &str = "FEATURE_DISABLED";

fn describe() -> DriverEntry {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    entry(
        NAME,
        "A route whose feature is off answers as its guard should: 503 with FEATURE_DISABLED, or \
         as it did before the feature.",
        vec![
            required("url", FieldKind::Template, "What is asked."),
            optional(
                "method",
                FieldKind::Choice(words(&["get", "post", "put", "patch", "delete"])),
                "How it is asked; get when absent. Ask nothing that would do harm if the guard \
                 let it pass.",
            ),
            optional("body", FieldKind::Template, "What is sent along, as JSON."),
            optional("send", FieldKind::TemplateMap, "Headers of the request."),
            optional(
                "mode",
                FieldKind::Choice(words(&["block", "fallback"])),
                "What the guard does while the feature is off; block when absent.",
            ),
            optional(
                "message",
                FieldKind::Template,
                "The words that a blocked request has to be told.",
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Block,
    Fallback,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Guard {
    url: String,
    method: Option<String>,
    body: Option<String>,
    #[serde(default)]
    send: BTreeMap<String, String>,
    #[serde(default)]
    mode: Mode,
    message: Option<String>,
    ca_file: Option<String>,
}

#[async_trait]
impl Check for Guard {
    async fn ask(&self, context: &CheckContext) -> CheckResult {
        self.answer(context).await.unwrap_or_else(Into::into).now()
    }
}

impl Guard {
    async fn answer(&self, context: &CheckContext) -> Result<Answer, DriverError> {
        let values = &context.placeholders;
        let filled = |text: &Option<String>| text.as_ref().map(|t| fill(t, values)).transpose();
        let mut headers = fill_map(&self.send, values)?;
        let body = filled(&self.body)?;
        if body.is_some() {
            let json = "application/json".to_owned();
            headers.entry("content-type".to_owned()).or_insert(json);
        }
        let ask = Ask {
            url: fill(&self.url, values)?,
            headers,
            redirects: Redirects::Shown,
            timeout: context.timeout,
            ca_file: filled(&self.ca_file)?.map(PathBuf::from),
        };
        let method = self.method.as_deref().unwrap_or("get").to_ascii_uppercase();
        let message = filled(&self.message)?;
        let shown = format!("{method} {}", http::shown(&ask.url));
        Ok(match http::send(&ask, &method, body).await {
            Ok(answer) => {
                let Answer(status, why) = judge(&answer, self.mode, message.as_deref());
                Answer(status, format!("{shown}: {why}"))
            }
            Err(NoAnswer::Refused(why)) => Answer::fail(format!("{shown}: {why}")),
            Err(NoAnswer::TimedOut) => {
                let limit = context.timeout;
                Answer::unknown(format!("{shown}: no answer within {limit}"))
            }
            Err(NoAnswer::NotAsked(why)) => Answer::unknown(format!("{shown}: {why}")),
        })
    }
}

/// What an answer says of the guard.
fn judge(answer: &http::Answer, mode: Mode, message: Option<&str>) -> Answer {
    let status = answer.status;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_disabled = body["code"] == CODE;
    match (mode, status) {
        (_, 200..=299) if is_disabled => {
            Answer::fail(format!("it says {CODE} with status {status}"))
        }
        (Mode::Fallback, 200..=299) => Answer::pass("it goes on without the feature"),
        (Mode::Fallback, _) if is_disabled => {
            Answer::fail("the guard blocks what was there before the feature")
        }
        (Mode::Fallback, _) => Answer::fail(format!(
            "status {status}: it does not go on without the feature"
        )),
        (Mode::Block, 503) if is_disabled => match message {
            Some(wanted) if body["error"] != wanted => {
                Answer::fail(format!("it says {}, expected {wanted:?}", body["error"]))
            }
            _ => Answer::pass("the feature is off, and its guard says so"),
        },
        (Mode::Block, 503) if answer.extent == Extent::Cut => {
            Answer::unknown("status 503 with a body that is too long to be read whole")
        }
        (Mode::Block, 503) => Answer::fail(format!("status 503 without {CODE}: no guard said so")),
        (Mode::Block, 200..=299) => Answer::fail(format!(
            "status {status}: the feature is on, or nothing guards it"
        )),
        (Mode::Block, _) => Answer::fail(format!("status {status}: no guard said so")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::CheckStatus;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Guard>(&describe());
    }

    fn judged(status: u16, body: &str, mode: Mode, message: Option<&str>) -> CheckStatus {
        let answer = http::Answer {
            status,
            headers: http::none(),
            body: body.as_bytes().to_vec(),
            extent: Extent::Whole,
        };
        judge(&answer, mode, message).0
    }

    // PRE-04, GRD-01, GRD-05; trap 23: only a guard's own answer shows a guard.
    #[test]
    fn only_a_guards_answer_shows_a_guard() {
        use CheckStatus::{Fail, Pass};
        let off = r#"{"error":"ExecReports feature not available","code":"FEATURE_DISABLED"}"#;
        let words = Some("ExecReports feature not available");
        for (status, body, mode, message, expected) in [
            (503, off, Mode::Block, None, Pass),
            (503, off, Mode::Block, words, Pass),
            (
                503,
                off,
                Mode::Block,
                Some("Reports API not available"),
                Fail,
            ),
            (503, "", Mode::Block, None, Fail),
            (503, r#"{"code":"OVERLOADED"}"#, Mode::Block, None, Fail),
            (500, off, Mode::Block, None, Fail),
            (200, "{}", Mode::Block, None, Fail),
            (200, off, Mode::Block, None, Fail),
            (404, "", Mode::Block, None, Fail),
            (200, "{}", Mode::Fallback, None, Pass),
            (200, off, Mode::Fallback, None, Fail),
            (503, off, Mode::Fallback, None, Fail),
            (500, "", Mode::Fallback, None, Fail),
        ] {
            let found = judged(status, body, mode, message);
            assert_eq!(found, expected, "{status} {body} {mode:?} {message:?}");
        }
    }
}
