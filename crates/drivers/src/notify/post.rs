//! One HTTP POST of a message, and what its answer means.

use super::schedule::retry_after;
use super::{Again, Delivery, SendError, one_line, usable_url};
use crate::error::Fault;
use crate::http::{NoAnswer, Redirects, Trust, authority, build, classify};
use crate::secret::SecretRef;
use esclusa_model::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde_json::Value;
use std::path::Path;

/// How much of an answer is shown.
const SHOWN: usize = 200;

/// What to post.
pub(super) struct Post<'a> {
    pub(super) url: Url,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// A private certificate authority besides the system's.
    pub(super) ca_file: Option<&'a Path>,
    pub(super) now: Timestamp,
}

/// Posts JSON to an address that is a secret.
pub(super) async fn post_secretly(
    url: &SecretRef,
    body: Value,
    delivery: &Delivery,
) -> Result<(), SendError> {
    let secret = url.read().await?;
    let url = usable_url(secret.reveal()).map_err(|why| {
        SendError::later(
            Fault::Config,
            format!("the address in {url} is not usable: {why}"),
        )
    })?;
    post(Post {
        url,
        content_type: "application/json",
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
        ca_file: None,
        now: delivery.sent_at,
    })
    .await
}

/// Posts once. Texts of errors never hold the URL, which may be a secret.
pub(super) async fn post(post: Post<'_>) -> Result<(), SendError> {
    let config = |why: String| SendError::later(Fault::Config, why);
    let trust = match post.ca_file {
        Some(file) => Trust::Also(authority(file).await.map_err(config)?),
        None if post.url.scheme() == "http" => Trust::Nobody,
        None => Trust::System,
    };
    let client = build(trust, Redirects::Shown).map_err(config)?;
    let mut request = client
        .post(post.url)
        .header(CONTENT_TYPE, HeaderValue::from_static(post.content_type));
    for (name, value) in post.headers {
        request = request.header(name, value);
    }
    let answer = request.body(post.body).send().await;
    let mut answer = answer.map_err(|error| match classify(error) {
        NoAnswer::NotAsked(why) => SendError::later(Fault::Config, why),
        why => SendError::later(Fault::Target, why.to_string()),
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let wait = answer.headers().get(RETRY_AFTER);
    let wait = wait.and_then(|value| retry_after(value.to_str().ok()?, post.now));
    // The first part is enough, and an answer that never ends must not be read.
    let said = answer.chunk().await.ok().flatten().unwrap_or_default();
    let said = String::from_utf8_lossy(said.get(..SHOWN.min(said.len())).unwrap_or_default());
    let said = one_line(&said);
    let colon = if said.is_empty() { "" } else { ": " };
    let message = format!("it answered {}{colon}{said}", status.as_u16());
    Err(refused(status, message, wait))
}

fn refused(status: StatusCode, message: String, wait: Option<esclusa_model::Millis>) -> SendError {
    let waits = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if status.is_server_error() || waits.contains(&status) {
        return SendError {
            fault: Fault::Target,
            again: Again::Later(wait),
            message,
        };
    }
    SendError::never(Fault::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::Millis;

    #[test]
    fn an_answer_says_whether_another_try_helps() {
        let of = |code: u16, wait: Option<u64>| {
            let status = StatusCode::from_u16(code).expect("a status");
            refused(status, String::new(), wait.map(Millis)).again
        };
        assert_eq!(of(429, Some(9_000)), Again::Later(Some(Millis(9_000))));
        assert_eq!(of(503, Some(1_000)), Again::Later(Some(Millis(1_000))));
        for code in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(of(code, None), Again::Later(None), "{code}");
        }
        for code in [301, 400, 401, 403, 404, 410, 413, 422] {
            assert_eq!(of(code, None), Again::Never, "{code}");
        }
    }
}
