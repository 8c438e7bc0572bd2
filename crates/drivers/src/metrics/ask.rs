//! One HTTP question of a source, and what kind of lack no good answer is.

use super::{Lack, MetricContext, Unknown};
use crate::fields::optional;
use crate::http::{self, Ask, Extent, Redirects};
use crate::secret::SecretRef;
use crate::template::fill;
use esclusa_plan::{Field, FieldKind};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What both kinds of HTTP sources are told.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) ca_file: Option<String>,
}

/// Status and JSON of an answer.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) body: serde_json::Value,
}

/// The keys of a [`Door`], as plans write them.
pub(super) fn door_fields() -> [Field; 2] {
    [
        optional(
            "headers",
            FieldKind::TemplateMap,
            "Headers of the request; a secret is a reference such as env:TOKEN.",
        ),
        optional(
            "ca-file",
            FieldKind::Template,
            "PEM file of a private certificate authority.",
        ),
    ]
}

impl Door {
    /// Asks `url`, which is filled already.
    pub(super) async fn ask(
        &self,
        url: &str,
        context: &MetricContext,
    ) -> Result<Answered, Unknown> {
        let values = &context.placeholders;
        let ca_file = self.ca_file.as_ref().map(|f| fill(f, values)).transpose()?;
        let mut headers = BTreeMap::new();
        for (name, text) in &self.headers {
            // A reference is what the plan itself says: what a placeholder holds is never
            // read as one, or the name of a version could be a command.
            let value = if let Some(secret) = SecretRef::parse(text) {
                let read = secret.read().await;
                let read = read.map_err(|e| Unknown::new(Lack::Question, e.to_string()))?;
                read.reveal().to_owned()
            } else if name.eq_ignore_ascii_case("authorization") {
                let why = "the header authorization needs a reference such as env:TOKEN";
                return Err(Unknown::new(Lack::Question, why));
            } else {
                fill(text, values)?
            };
            headers.insert(name.clone(), value);
        }
        let ask = Ask {
            url: url.to_owned(),
            headers,
            redirects: Redirects::Shown,
            timeout: context.timeout,
            ca_file: ca_file.map(PathBuf::from),
        };
        let shown = http::shown(url);
        let answer = http::get(&ask)
            .await
            .map_err(|why| Unknown::new(Lack::Unreachable, format!("{shown}: {why}")))?;
        if answer.extent == Extent::Cut {
            let why = format!(
                "{shown}: the answer is larger than {} bytes",
                http::BODY_CAP
            );
            return Err(Unknown::new(Lack::Question, why));
        }
        let status = answer.status;
        let body = serde_json::from_slice(&answer.body).map_err(|_| {
            // A gateway in between says so in words of its own.
            let lack = if status >= 500 || status == 429 {
                Lack::Unreachable
            } else {
                Lack::Question
            };
            Unknown::new(lack, format!("{shown}: status {status}, and no JSON"))
        })?;
        Ok(Answered { status, body })
    }
}

/// What kind of lack an answer of this status is that holds no number.
pub(super) const fn lack_of(status: u16) -> Lack {
    match status {
        429 | 500..=599 => Lack::Unreachable,
        _ => Lack::Question,
    }
}
