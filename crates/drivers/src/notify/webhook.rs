//! Any program: a CloudEvents body, signed as Standard Webhooks asks.
//!
//! The receiver checks `webhook-signature` over `id.timestamp.body`, refuses old
//! timestamps, and drops an id that it has seen.

use super::post::{Post, post};
use super::{Channel, Delivery, Findings, Kind, Message, SendError, must, text};
use crate::error::Fault;
use crate::fields;
use crate::secret::{Secret, SecretRef};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use esclusa_plan::{Field, FieldKind};
use hmac::{Hmac, Mac as _};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::PathBuf;
use std::sync::Arc;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most keys that one message is signed with.
const MOST_SECRETS: usize = 5;

pub(super) const KIND: Kind = Kind {
    name: "webhook",
    doc: "Any program that takes signed HTTP requests (Standard Webhooks, CloudEvents).",
    fields: table,
    build,
};

fn table() -> Vec<Field> {
    vec![
        must(text("url", "Address that messages are posted to.")),
        fields::required(
            "secrets",
            FieldKind::List(Box::new(FieldKind::Text)),
            "Where each secret stands; every one signs, so that keys can be changed.",
        ),
        text("ca-file", "PEM file of a private certificate authority."),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Block {
    url: String,
    secrets: Vec<String>,
    ca_file: Option<PathBuf>,
}

struct Webhook {
    url: Url,
    secrets: Vec<SecretRef>,
    ca_file: Option<PathBuf>,
}

fn build(value: &Value, findings: &mut Findings<'_, '_>) -> Option<Arc<dyn Channel>> {
    let block: Block = findings.block(value)?;
    let url = findings.url("url", &block.url);
    if !(1..=MOST_SECRETS).contains(&block.secrets.len()) {
        findings.refuse(
            "ESC-0115",
            "secrets",
            format!("a webhook is signed with 1 to {MOST_SECRETS} secrets"),
            "name where a secret stands: `secrets: [env:WEBHOOK_SECRET]`",
        );
        return None;
    }
    let secrets: Vec<SecretRef> = block
        .secrets
        .iter()
        .enumerate()
        .filter_map(|(index, text)| findings.secret(&format!("secrets[{index}]"), text))
        .collect();
    let complete = secrets.len() == block.secrets.len();
    let channel = Webhook {
        url: url?,
        secrets,
        ca_file: block.ca_file,
    };
    complete.then(|| Arc::new(channel) as Arc<dyn Channel>)
}

#[async_trait]
impl Channel for Webhook {
    async fn send(&self, delivery: &Delivery) -> Result<(), SendError> {
        let body = payload(&delivery.id, &delivery.message).to_string();
        let seconds = delivery.sent_at.unix_second();
        let mut signatures = Vec::new();
        for secret in &self.secrets {
            let key = key(secret, &secret.read().await?)?;
            signatures.push(sign(&key, &delivery.id, seconds, body.as_bytes())?);
        }
        post(Post {
            url: self.url.clone(),
            content_type: "application/cloudevents+json; charset=utf-8",
            headers: vec![
                ("webhook-id", delivery.id.clone()),
                ("webhook-timestamp", seconds.to_string()),
                ("webhook-signature", signatures.join(" ")),
            ],
            body: body.into_bytes(),
            ca_file: self.ca_file.as_deref(),
            now: delivery.sent_at,
        })
        .await
    }
}

/// The bytes of a key. Nothing of it is told when it is wrong.
fn key(place: &SecretRef, secret: &Secret) -> Result<Vec<u8>, SendError> {
    let text = secret.reveal();
    let text = text.strip_prefix(PREFIX).unwrap_or(text);
    let bytes = STANDARD.decode(text).ok();
    bytes
        .filter(|bytes| KEY_BYTES.contains(&bytes.len()))
        .ok_or_else(|| {
            SendError::later(
                Fault::Config,
                format!(
                    "what stands in {place} is no secret of a webhook: {PREFIX} and then 24 to \
                     64 bytes in Base64"
                ),
            )
        })
}

/// `v1,` and the signature in Base64.
pub(super) fn sign(key: &[u8], id: &str, seconds: i64, body: &[u8]) -> Result<String, SendError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| SendError::never(Fault::Us, error.to_string()))?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Ok(format!(
        "v1,{}",
        STANDARD.encode(mac.finalize().into_bytes())
    ))
}

/// The message as a CloudEvent in its structured JSON form.
pub(super) fn payload(id: &str, message: &Message) -> Value {
    let subject = match (message.service.as_str(), &message.release) {
        ("", _) => "esclusa".to_owned(),
        (service, None) => service.to_owned(),
        (service, Some(release)) => format!("{service}/{release}"),
    };
    json!({
        "specversion": "1.0",
        "id": id,
        "source": message.source,
        "type": format!("dev.esclusa.{}", message.event),
        "subject": subject,
        "time": message.time,
        "datacontenttype": "application/json",
        "data": {
            "event": message.event,
            "severity": message.severity,
            "service": message.service,
            "release": message.release,
            "version": message.version,
            "language": message.language,
            "title": message.title,
            "text": message.text,
            "facts": message.facts,
            "links": message.links,
        },
    })
}
