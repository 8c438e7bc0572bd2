//! The protocol (OFREP 0.3.0): one flag, all flags, the event stream.

use crate::answer::{Answer, Failure, FlagError};
use crate::config::Config;
use http::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime};

/// What stays as it is in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// Largest answer for one flag.
const LARGEST: usize = 1024 * 1024;
/// Largest answer for all flags.
const LARGEST_BULK: usize = 32 * 1024 * 1024;
/// Longest time that a server is left alone because it asked for it.
const LONGEST_REST: Duration = Duration::from_secs(600);

/// What the server said, error of the question included.
pub(crate) type Outcome = Result<Answer, FlagError>;

/// Speaks to one server.
pub(crate) struct Ofrep {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
}

/// What the server says of all flags together.
pub(crate) enum Bulk {
    /// The same as before.
    Same,
    /// Something else, or it cannot be told.
    Changed {
        etag: Option<HeaderValue>,
        stream: Option<Url>,
    },
}

/// An event of the stream.
#[derive(Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    kind: String,
    etag: Option<String>,
    #[serde(rename = "lastModified")]
    last_modified: Option<Value>,
}

impl Event {
    /// Reads an event; one that is no object of this protocol is none.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }

    pub(crate) fn is_refetch(&self) -> bool {
        self.kind == "refetchEvaluation"
    }
}

#[derive(Deserialize)]
struct Single {
    key: Option<String>,
    value: Option<Value>,
    variant: Option<String>,
    reason: Option<String>,
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrong {
    error_code: String,
    error_details: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct All {
    #[serde(rename = "flags")]
    _flags: Vec<IgnoredAny>,
    event_streams: Option<Vec<EventStream>>,
}

#[derive(Deserialize)]
struct EventStream {
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    endpoint: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    origin: Option<String>,
    request_uri: String,
}

impl Ofrep {
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("esclusa-client/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.timeout)
            // A token goes nowhere but where it was meant to go.
            .redirect(redirect::Policy::none())
            .tls_backend_preconfigured(tls(config.endpoint.scheme() == "https")?);
        // A proxy of the environment leads elsewhere, never to this machine.
        if is_here(&config.endpoint) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| error.to_string())?;
        Ok(Self {
            http,
            base: config.endpoint.clone(),
            headers: config.headers.clone(),
        })
    }

    fn flags(&self) -> String {
        let base = self.base.as_str().trim_end_matches('/');
        format!("{base}/ofrep/v1/evaluate/flags")
    }

    async fn post(&self, url: Url, extra: HeaderMap, body: String) -> Result<Response, Failure> {
        let request = self
            .http
            .request(Method::POST, url)
            .headers(self.headers.clone())
            .headers(extra)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        request.send().await.map_err(unreachable)
    }

    /// Asks for one flag. `context` is an object as JSON.
    pub(crate) async fn single(&self, flag: &str, context: &str) -> Result<Outcome, Failure> {
        // An address cannot hold them, and no flag has them.
        if matches!(flag, "" | "." | "..") {
            return Ok(Err(FlagError::NotFound));
        }
        let url = format!("{}/{}", self.flags(), utf8_percent_encode(flag, SEGMENT));
        let url = Url::parse(&url).map_err(|error| Failure::Unreachable(error.to_string()))?;
        let body = format!("{{\"context\":{context}}}");
        let answer = self.post(url, HeaderMap::new(), body).await?;
        let status = answer.status();
        if !matches!(status.as_u16(), 200 | 400 | 404) {
            return Err(refusal(&answer));
        }
        let bytes = body_of(answer, LARGEST).await?;
        if status == StatusCode::OK {
            let said: Single = serde_json::from_slice(&bytes).map_err(|error| garbage(&error))?;
            if said.key.is_some_and(|key| key != flag) {
                return Err(Failure::Garbage("it is about another flag".to_owned()));
            }
            return Ok(Ok(Answer {
                value: said.value,
                variant: said.variant,
                reason: said.reason.unwrap_or_else(|| "UNKNOWN".to_owned()),
                metadata: said.metadata.unwrap_or_default(),
            }));
        }
        // Only the protocol's own words say something about the flag: a 404 may as well
        // come from whatever else stands at this address.
        let wrong: Option<Wrong> = serde_json::from_slice(&bytes).ok();
        let details = |wrong: Wrong| wrong.error_details.unwrap_or_default();
        match wrong {
            Some(wrong) if wrong.error_code == "FLAG_NOT_FOUND" => Ok(Err(FlagError::NotFound)),
            Some(wrong) if wrong.error_code == "TARGETING_KEY_MISSING" => {
                Ok(Err(FlagError::TargetingKeyMissing))
            }
            Some(wrong) if wrong.error_code == "INVALID_CONTEXT" => {
                Ok(Err(FlagError::InvalidContext(details(wrong))))
            }
            _ => Err(Failure::Refused(status.as_u16())),
        }
    }

    /// Asks for all flags; of the answer only what it says about changes is of use.
    pub(crate) async fn bulk(
        &self,
        context: &str,
        etag: Option<&HeaderValue>,
        told: Option<&Event>,
    ) -> Result<Bulk, Failure> {
        let url = Url::parse(&self.flags());
        let mut url = url.map_err(|error| Failure::Unreachable(error.to_string()))?;
        if let Some(event) = told {
            let mut query = url.query_pairs_mut();
            if let Some(etag) = &event.etag {
                query.append_pair("flagConfigEtag", etag);
            }
            match &event.last_modified {
                Some(Value::String(at)) => {
                    query.append_pair("flagConfigLastModified", at);
                }
                Some(Value::Number(at)) => {
                    query.append_pair("flagConfigLastModified", &at.to_string());
                }
                _ => {}
            }
        }
        let mut extra = HeaderMap::new();
        if let Some(etag) = etag {
            extra.insert(IF_NONE_MATCH, etag.clone());
        }
        let answer = self
            .post(url, extra, format!("{{\"context\":{context}}}"))
            .await?;
        match answer.status() {
            // Nobody may say that nothing changed to whom it told nothing.
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Bulk::Same),
            StatusCode::OK => {
                let etag = answer.headers().get(ETAG).cloned();
                let bytes = body_of(answer, LARGEST_BULK).await?;
                let all: All = serde_json::from_slice(&bytes).map_err(|error| garbage(&error))?;
                let streams = all.event_streams.unwrap_or_default();
                let stream = streams.iter().find_map(|stream| self.address(stream));
                Ok(Bulk::Changed { etag, stream })
            }
            _ => Err(refusal(&answer)),
        }
    }

    fn address(&self, stream: &EventStream) -> Option<Url> {
        if stream.kind != "sse" {
            return None;
        }
        let url = match (&stream.url, &stream.endpoint) {
            (Some(url), _) => Url::parse(url).ok()?,
            (None, Some(endpoint)) => {
                let origin = endpoint.origin.as_deref().map(Url::parse);
                let base = origin
                    .transpose()
                    .ok()?
                    .unwrap_or_else(|| self.base.clone());
                base.join(&endpoint.request_uri).ok()?
            }
            (None, None) => return None,
        };
        matches!(url.scheme(), "http" | "https").then_some(url)
    }

    /// Opens an event stream. Its address is a secret: errors do not name it. Headers with
    /// secrets go to the server alone, not to another that it names.
    pub(crate) async fn stream(
        &self,
        url: &Url,
        last_id: Option<HeaderValue>,
    ) -> Result<Response, Failure> {
        let mut request = self
            .http
            .request(Method::GET, url.clone())
            .header(ACCEPT, "text/event-stream");
        if url.origin() == self.base.origin() {
            request = request.headers(self.headers.clone());
        }
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(&answer));
        }
        let kind = answer.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.starts_with("text/event-stream") {
            true => Ok(answer),
            false => Err(Failure::Garbage("it is no event stream".to_owned())),
        }
    }
}

/// Whether an address is one of this machine alone.
fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<std::net::IpAddr> = bare.parse().ok();
        bare == "localhost" || address.is_some_and(|address| address.is_loopback())
    })
}

/// TLS of this client alone: the process' own choice is left as it is.
fn tls(is_needed: bool) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    if is_needed {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map(ToString::to_string);
            let why = why.unwrap_or_else(|| "none were found".to_owned());
            return Err(format!("the system's certificates cannot be read: {why}"));
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn body_of(mut answer: Response, largest: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > largest {
            return Err(Failure::Garbage(format!(
                "it is longer than {largest} bytes"
            )));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn garbage(error: &serde_json::Error) -> Failure {
    Failure::Garbage(error.to_string())
}

/// The innermost cause says what happened; the outer ones name the address.
pub(crate) fn unreachable(error: reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::TimedOut;
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::Unreachable(cause.to_string())
}

fn refusal(answer: &Response) -> Failure {
    if answer.status() != StatusCode::TOO_MANY_REQUESTS {
        return Failure::Refused(answer.status().as_u16());
    }
    let after = answer.headers().get(RETRY_AFTER);
    let after = after.and_then(|after| after.to_str().ok());
    Failure::Busy(rest(after, SystemTime::now()))
}

/// How long a server is left alone: seconds or a date, else a second.
fn rest(after: Option<&str>, now: SystemTime) -> Duration {
    let after = after.map(str::trim).unwrap_or_default();
    let seconds = after.parse().ok().map(Duration::from_secs);
    let until = || {
        let date = httpdate::parse_http_date(after).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    };
    seconds
        .or_else(until)
        .unwrap_or(Duration::from_secs(1))
        .min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_seconds_or_a_date_and_has_an_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (after, seconds) in [
            (Some("7"), 7),
            (Some("0"), 0),
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), 7),
            (Some("Sun, 06 Nov 1994 08:49:27 GMT"), 0),
            (Some("999999999"), 600),
            (Some("soon"), 1),
            (Some("-3"), 1),
            (None, 1),
        ] {
            assert_eq!(rest(after, now), Duration::from_secs(seconds), "{after:?}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        for (url, here) in [
            ("http://localhost:1/", true),
            ("http://127.0.0.9/", true),
            ("http://[::1]:80/", true),
            ("http://10.0.0.1/", false),
            ("http://localhost.example/", false),
        ] {
            assert_eq!(
                is_here(&Url::parse(url).expect("an address")),
                here,
                "{url}"
            );
        }
    }

    #[test]
    fn streams_are_found_where_the_server_says() {
        let config = Config::new("https://flags.example/base/").expect("an address");
        let ofrep = Ofrep {
            http: reqwest::Client::builder()
                .tls_backend_preconfigured(tls(false).expect("no certificates needed"))
                .build()
                .expect("a client"),
            base: config.endpoint,
            headers: HeaderMap::new(),
        };
        assert_eq!(
            ofrep.flags(),
            "https://flags.example/base/ofrep/v1/evaluate/flags"
        );
        for (json, found) in [
            (
                r#"{"type":"sse","endpoint":{"requestUri":"/ofrep/v1/events?ticket=t"}}"#,
                Some("https://flags.example/ofrep/v1/events?ticket=t"),
            ),
            (
                r#"{"type":"sse","endpoint":{"origin":"http://push.example","requestUri":"/e"}}"#,
                Some("http://push.example/e"),
            ),
            (
                r#"{"type":"sse","url":"https://push.example/e?x=1"}"#,
                Some("https://push.example/e?x=1"),
            ),
            (r#"{"type":"sse","url":"file:///etc/passwd"}"#, None),
            (
                r#"{"type":"websocket","url":"https://push.example/e"}"#,
                None,
            ),
            (r#"{"type":"sse"}"#, None),
        ] {
            let stream: EventStream = serde_json::from_str(json).expect("a stream");
            let address = ofrep.address(&stream);
            assert_eq!(address.as_ref().map(Url::as_str), found, "{json}");
        }
    }
}
