//! Slack: an incoming webhook, whose address is the secret.

use super::post::post_secretly;
use super::{Channel, Delivery, Findings, Kind, Message, SendError, Severity};
use super::{cut, must, one_line, text};
use crate::secret::SecretRef;
use async_trait::async_trait;
use esclusa_plan::Field;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Characters in a header block.
const HEADER: usize = 150;
/// Characters in a section's text.
const SECTION: usize = 3_000;
/// Characters in a field, and fields in a section.
const FIELD: usize = 2_000;
const FIELDS: usize = 10;

pub(super) const KIND: Kind = Kind {
    name: "slack",
    doc: "A Slack channel, through an incoming webhook.",
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

struct Slack {
    url: SecretRef,
}

fn build(value: &Value, findings: &mut Findings<'_, '_>) -> Option<Arc<dyn Channel>> {
    let block: Block = findings.block(value)?;
    let url = findings.secret("url", &block.url)?;
    Some(Arc::new(Slack { url }))
}

#[async_trait]
impl Channel for Slack {
    async fn send(&self, delivery: &Delivery) -> Result<(), SendError> {
        post_secretly(&self.url, payload(&delivery.message), delivery).await
    }
}

/// Three characters have a meaning of their own; `<!channel>` must not be one.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Escapes within a limit: what is cut is cut before, so that no entity is.
fn limited(text: &str, most: usize) -> String {
    let mut keep = text.chars().count();
    loop {
        let out = escaped(&cut(text, keep.min(most)));
        if out.chars().count() <= most || keep == 0 {
            return out;
        }
        keep = keep.min(most) * 3 / 4;
    }
}

const fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => ":large_green_circle:",
        Severity::Warning => ":large_yellow_circle:",
        Severity::Critical => ":red_circle:",
    }
}

/// The message as Block Kit, with plain text for notifications.
pub(super) fn payload(message: &Message) -> Value {
    let title = one_line(&message.title);
    let section =
        |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": cut(&title, HEADER), "emoji": false}}),
        section(limited(&message.text, SECTION)),
    ];
    let facts: Vec<Value> = message
        .facts
        .iter()
        .take(FIELDS)
        .map(|fact| {
            let name = limited(&fact.name, 100);
            let value = limited(&fact.value, FIELD - 110);
            json!({"type": "mrkdwn", "text": format!("*{name}*\n{value}")})
        })
        .collect();
    if !facts.is_empty() {
        blocks.push(json!({"type": "section", "fields": facts}));
    }
    if !message.links.is_empty() {
        let links: Vec<String> = message
            .links
            .iter()
            .map(|link| format!("<{}|{}>", escaped(&link.url), escaped(&link.text)))
            .collect();
        blocks.push(section(links.join("   ")));
    }
    let foot = format!(
        "{} {} · `{}` · {}",
        mark(message.severity),
        message.severity,
        message.event,
        message.time
    );
    blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": foot}]}));
    let fallback = limited(&format!("[{}] {title}", message.severity), SECTION);
    json!({"text": fallback, "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}
