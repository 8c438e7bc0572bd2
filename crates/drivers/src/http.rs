//! One HTTP request, mostly a GET, and why there was no answer.
//!
//! Every request opens a connection of its own: a kept one would go on answering for
//! a process that no longer accepts any. Proxies from the environment are not used,
//! redirects only when asked, bodies only up to a limit.

use esclusa_model::Millis;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, Url, redirect};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

/// Largest body that is looked at, in bytes.
pub(crate) const BODY_CAP: usize = 256 * 1024;

/// What to ask.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) url: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) redirects: Redirects,
    pub(crate) timeout: Millis,
    /// A private certificate authority besides the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// What to do with a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// It is the answer.
    Shown,
    /// Up to five are followed.
    Followed,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) extent: Extent,
}

/// Whether the body was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    Cut,
}

/// Why there is no answer. Texts never hold the URL, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Somebody is there and did not serve us: refused, reset, broken off.
    Refused(String),
    /// Nothing came in time.
    TimedOut,
    /// The question never arrived: no such name, no route, no usable request.
    NotAsked(String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) | Self::NotAsked(why) => f.write_str(why),
            Self::TimedOut => f.write_str("no answer in time"),
        }
    }
}

/// Asks once.
pub(crate) async fn get(ask: &Ask) -> Result<Answer, NoAnswer> {
    send(ask, "GET", None).await
}

/// No headers.
#[cfg(test)]
pub(crate) fn none() -> HeaderMap {
    HeaderMap::new()
}

/// Asks once, by another method and with a body.
pub(crate) async fn send(
    ask: &Ask,
    method: &str,
    sent: Option<String>,
) -> Result<Answer, NoAnswer> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| NoAnswer::NotAsked(format!("{method:?} is no method")))?;
    let url = Url::parse(&ask.url).map_err(|e| NoAnswer::NotAsked(format!("URL: {e}")))?;
    let headers = header_map(&ask.headers).map_err(NoAnswer::NotAsked)?;
    let client = client(&url, ask).await.map_err(NoAnswer::NotAsked)?;
    let asked = async {
        let mut request = client.request(method, url).headers(headers);
        if let Some(body) = sent {
            request = request.body(body);
        }
        let mut response = request.send().await?;
        let mut body = Vec::new();
        let mut extent = Extent::Whole;
        while let Some(chunk) = response.chunk().await? {
            let room = BODY_CAP - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                extent = Extent::Cut;
                break;
            }
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
            extent,
        })
    };
    match tokio::time::timeout(ask.timeout.as_std(), asked).await {
        Err(_) => Err(NoAnswer::TimedOut),
        Ok(result) => result.map_err(classify),
    }
}

/// Sorts what went wrong; the text never holds the URL.
pub(crate) fn classify(error: reqwest::Error) -> NoAnswer {
    let error = error.without_url();
    if error.is_timeout() {
        return NoAnswer::TimedOut;
    }
    let mut text = error.to_string();
    let mut refused = !error.is_connect() && !error.is_builder();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            refused |= matches!(
                io.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
                    | ErrorKind::InvalidData
            );
        }
        cause = inner.source();
    }
    if refused {
        NoAnswer::Refused(text)
    } else {
        NoAnswer::NotAsked(text)
    }
}

fn header_map(headers: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let key: HeaderName = name
            .parse()
            .map_err(|_| format!("{name:?} is not a header name"))?;
        // The value may be a token; it is not shown.
        let value = HeaderValue::from_str(value)
            .map_err(|_| format!("the value of header {name} cannot be sent"))?;
        map.insert(key, value);
    }
    Ok(map)
}

/// Plain requests need no certificates, which a small machine may not have; where they
/// may be redirected, they may end at a TLS address.
async fn client(url: &Url, ask: &Ask) -> Result<Client, String> {
    static PLAIN: OnceLock<Result<Client, String>> = OnceLock::new();
    static SECURE: OnceLock<Result<Client, String>> = OnceLock::new();
    static FOLLOWING: OnceLock<Result<Client, String>> = OnceLock::new();
    let tls = url.scheme() == "https";
    if let (true, Some(file)) = (tls, &ask.ca_file) {
        return build(Trust::Also(authority(file).await?), ask.redirects);
    }
    let client = match (ask.redirects, tls) {
        (Redirects::Followed, _) => {
            FOLLOWING.get_or_init(|| build(Trust::System, Redirects::Followed))
        }
        (Redirects::Shown, true) => SECURE.get_or_init(|| build(Trust::System, Redirects::Shown)),
        (Redirects::Shown, false) => PLAIN.get_or_init(|| build(Trust::Nobody, Redirects::Shown)),
    };
    client.clone()
}

pub(crate) async fn authority(file: &Path) -> Result<Vec<Certificate>, String> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let pem = tokio::fs::read(file).await.map_err(|e| told(&e))?;
    Certificate::from_pem_bundle(&pem).map_err(|e| told(&e))
}

/// Whose certificates are believed.
pub(crate) enum Trust {
    Nobody,
    System,
    Also(Vec<Certificate>),
}

/// A client that follows redirects as told.
pub(crate) fn build(trust: Trust, redirects: Redirects) -> Result<Client, String> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Another part of the program may have installed one already: as good.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    });
    let builder = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .user_agent(concat!("esclusa/", env!("CARGO_PKG_VERSION")))
        .redirect(match redirects {
            Redirects::Shown => redirect::Policy::none(),
            Redirects::Followed => redirect::Policy::limited(5),
        });
    let builder = match trust {
        Trust::Nobody => builder.tls_certs_only(Vec::new()),
        Trust::System => builder,
        Trust::Also(authority) => builder.tls_certs_merge(authority),
    };
    builder.build().map_err(|e| {
        let cause = e.source().map(ToString::to_string);
        format!("no HTTP client: {}", cause.unwrap_or_else(|| e.to_string()))
    })
}

/// Scheme, host and path of a URL: what may be shown.
pub(crate) fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "an unreadable URL".into(),
        |u| {
            let host = u.host_str().unwrap_or_default();
            let port = u.port().map(|p| format!(":{p}")).unwrap_or_default();
            format!("{}://{host}{port}{}", u.scheme(), u.path())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_url_are_not_shown() {
        let url = "https://user:pass@example.test:8443/health?token=abc#x";
        assert_eq!(shown(url), "https://example.test:8443/health");
    }

    #[test]
    fn a_header_that_cannot_be_sent_does_not_show_its_value() {
        let bad = BTreeMap::from([("authorization".into(), "secret\nvalue".into())]);
        let why = header_map(&bad).expect_err("refused");
        assert!(
            why.contains("authorization") && !why.contains("secret"),
            "{why}"
        );
    }
}
