//! Microsoft Teams: a Workflows webhook that takes an Adaptive Card.

use super::post::post_secretly;
use super::{Channel, Delivery, Findings, Kind, Message, SendError, Severity};
use super::{cut, must, one_line, text};
use crate::secret::SecretRef;
use async_trait::async_trait;
use esclusa_plan::Field;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A message may have 28 KB; text in characters of up to four bytes stays below.
const TEXT: usize = 3_000;
const TITLE: usize = 300;
const FACT: usize = 500;
const FACTS: usize = 12;
/// Most buttons that a card shows.
const ACTIONS: usize = 6;

pub(super) const KIND: Kind = Kind {
    name: "teams",
    doc: "A Microsoft Teams channel or chat, through a Workflows webhook.",
    fields,
    build,
};

fn fields() -> Vec<Field> {
    vec![must(text(
        "url",
        "Where the webhook's address stands: `env:NAME`, `file:/path` or `cmd:...`.",
    ))]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    url: String,
}

struct Teams {
    url: SecretRef,
}

fn build(value: &Value, findings: &mut Findings<'_, '_>) -> Option<Arc<dyn Channel>> {
    let block: Block = findings.block(value)?;
    let url = findings.secret("url", &block.url)?;
    Some(Arc::new(Teams { url }))
}

#[async_trait]
impl Channel for Teams {
    async fn send(&self, delivery: &Delivery) -> Result<(), SendError> {
        post_secretly(&self.url, payload(&delivery.message), delivery).await
    }
}

const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "good",
        Severity::Warning => "warning",
        Severity::Critical => "attention",
    }
}

/// Cards read some Markdown: what a version or a person said must not become a link.
fn plain(text: &str, most: usize) -> String {
    cut(text, most).replace("](", "] (")
}

/// The message as a card in the envelope of Workflows.
pub(super) fn payload(message: &Message) -> Value {
    let title = plain(&one_line(&message.title), TITLE);
    let mut body = vec![
        json!({
            "type": "TextBlock", "text": title, "size": "Large", "weight": "Bolder",
            "color": colour(message.severity), "wrap": true, "style": "heading",
        }),
        json!({"type": "TextBlock", "text": plain(&message.text, TEXT), "wrap": true}),
    ];
    let facts: Vec<Value> = message
        .facts
        .iter()
        .take(FACTS)
        .map(|fact| json!({"title": cut(&fact.name, 100), "value": plain(&fact.value, FACT)}))
        .collect();
    if !facts.is_empty() {
        body.push(json!({"type": "FactSet", "facts": facts}));
    }
    body.push(json!({
        "type": "TextBlock", "isSubtle": true, "size": "Small", "wrap": true,
        "text": format!("{} · {} · {}", message.severity, message.event, message.time),
    }));
    let actions: Vec<Value> = message
        .links
        .iter()
        .take(ACTIONS)
        .map(|link| json!({"type": "Action.OpenUrl", "title": link.text, "url": link.url}))
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "lang": message.language.as_str(),
                "fallbackText": title,
                "msteams": {"width": "Full"},
                "body": body,
                "actions": actions,
            },
        }],
    })
}
