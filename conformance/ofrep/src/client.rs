//! Asks one request, over a connection of its own, exactly as it is told.

use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// As it was given.
    pub base_url: String,
    authority: String,
    prefix: String,
    token: Option<String>,
    headers: Vec<(String, String)>,
}

impl Settings {
    /// Reads a base URL and header lines.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn new(base_url: &str, token: Option<String>, headers: &[String]) -> Result<Self, String> {
        let rest = base_url
            .strip_prefix("http://")
            .ok_or_else(|| format!("{base_url} does not begin with http://"))?;
        let (authority, prefix) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, String::new()),
        };
        let authority = match authority.contains(':') {
            true => authority.to_owned(),
            false => format!("{authority}:80"),
        };
        let lines = headers.iter().map(|line| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("{line:?} is no header line, name: value"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        });
        Ok(Self {
            base_url: base_url.to_owned(),
            authority,
            prefix: prefix.trim_end_matches('/').to_owned(),
            token,
            headers: lines.collect::<Result<_, String>>()?,
        })
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's text; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.and_then(Result::ok).unwrap_or_default()
    }
}

/// Asks as the settings say.
pub(crate) struct Client<'s> {
    settings: &'s Settings,
}

impl<'s> Client<'s> {
    pub(crate) fn new(settings: &'s Settings) -> Self {
        Self { settings }
    }

    pub(crate) fn token(&self) -> Option<&'s str> {
        self.settings.token.as_deref()
    }

    /// As everybody with the token asks.
    pub(crate) async fn post(&self, path: &str, body: &str) -> io::Result<Reply> {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Reply> {
        let bearer = self.token().map(|token| format!("Bearer {token}"));
        let mut all = vec![("content-type", "application/json; charset=utf-8")];
        all.extend(
            bearer
                .iter()
                .map(|bearer| ("authorization", bearer.as_str())),
        );
        all.extend_from_slice(headers);
        self.ask("POST", path, &all, body).await
    }

    /// With these headers and those of the settings alone.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Reply> {
        let asking = self.asking(method, path, headers, body);
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(reply) => reply,
            Err(_) => Err(io::Error::other("no answer within ten seconds")),
        }
    }

    async fn asking(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Reply> {
        let (head, rest) = self.send(method, path, headers, body).await?;
        let body = rest.collect().await.map_err(io::Error::other)?;
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes().to_vec(),
        })
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<(http::response::Parts, hyper::body::Incoming)> {
        let settings = self.settings;
        let socket = TcpStream::connect(&settings.authority).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(io::Error::other)?;
        // Ends with the socket, when sender and body are dropped.
        tokio::spawn(connection);
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", settings.prefix))
            .header("host", &settings.authority);
        for (name, value) in &settings.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::<hyper::body::Bytes>::from(body.to_owned());
        let request = request.body(body).map_err(io::Error::other)?;
        let response = sender.send_request(request).await;
        Ok(response.map_err(io::Error::other)?.into_parts())
    }

    /// Opens an event stream and reads until its first event or the end of patience.
    pub(crate) async fn first_event(&self, target: &str) -> io::Result<(Reply, String)> {
        let reading = async {
            let accept = [("accept", "text/event-stream")];
            let (head, mut body) = self.send("GET", target, &accept, "").await?;
            let mut text = String::new();
            let is_stream = head.status == http::StatusCode::OK;
            while is_stream && !text.contains("data:") {
                match body.frame().await {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            text.push_str(&String::from_utf8_lossy(&data));
                        }
                    }
                    _ => break,
                }
                // What a stream says without an event is all that there is to see.
                if !text.contains("data:") && text.contains("\n\n") {
                    let more = tokio::time::timeout(Duration::from_secs(1), body.frame()).await;
                    match more {
                        Ok(Some(Ok(frame))) => {
                            if let Ok(data) = frame.into_data() {
                                text.push_str(&String::from_utf8_lossy(&data));
                            }
                        }
                        _ => break,
                    }
                }
            }
            let reply = Reply {
                status: head.status.as_u16(),
                headers: head.headers,
                body: Vec::new(),
            };
            Ok((reply, text))
        };
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(read) => read,
            Err(_) => Err(io::Error::other(
                "the stream said nothing within ten seconds",
            )),
        }
    }
}
