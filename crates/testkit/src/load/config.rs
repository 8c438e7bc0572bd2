//! What load to make.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use std::net::SocketAddr;
use std::time::Duration;

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive.
    #[default]
    H1,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

/// How requests are spread over a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Arrivals {
    /// One every 1/rate seconds.
    #[default]
    Even,
    /// As independent people come: exponential pauses with the same mean.
    Poisson,
}

/// Why a text is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no request: write it as `GET /path` or `/path`")]
pub struct TemplateError(String);

/// One kind of request.
#[derive(Debug, Clone)]
pub struct RequestTemplate {
    /// Its method.
    pub method: Method,
    /// Path and query; `{n}` stands for a number that changes with each request.
    pub path: String,
    /// Its body, often empty.
    pub body: Bytes,
    /// Headers of its own.
    pub headers: HeaderMap,
}

impl RequestTemplate {
    /// `GET` of this path.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            body: Bytes::new(),
            headers: HeaderMap::new(),
        }
    }
}

impl std::str::FromStr for RequestTemplate {
    type Err = TemplateError;
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let error = || TemplateError(text.to_owned());
        let (method, path) = text.trim().split_once(' ').unwrap_or(("GET", text.trim()));
        let template = Self {
            method: method.parse().map_err(|_| error())?,
            ..Self::get(path.trim())
        };
        let example: Uri = template
            .path
            .replace("{n}", "1")
            .parse()
            .map_err(|_| error())?;
        if example.path().starts_with('/') && example.authority().is_none() {
            Ok(template)
        } else {
            Err(error())
        }
    }
}

/// What load to make, on whom, for how long.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Where to connect.
    pub target: SocketAddr,
    /// What `Host` says; the target when empty.
    pub host: String,
    /// Requests a second, over all users.
    pub rate: f64,
    /// How requests are spread.
    pub arrivals: Arrivals,
    /// Ends by itself after this; runs until stopped when absent.
    pub duration: Option<Duration>,
    /// People, each with cookies of their own; requests go round among them.
    pub users: usize,
    /// Sent in turn.
    pub requests: Vec<RequestTemplate>,
    /// A header that holds the user's number, such as `x-tenant-id`.
    pub user_header: Option<http::HeaderName>,
    /// How requests travel.
    pub protocol: Protocol,
    /// A reply that is not complete by then has failed.
    pub timeout: Duration,
    /// Requests under way at once; what comes on top is counted as not sent.
    pub max_under_way: usize,
    /// What its randomness depends on.
    pub seed: u64,
}

impl LoadConfig {
    /// A light, mixed load on `target` until it is stopped: 50 requests a second by 50 people.
    #[must_use]
    pub fn on(target: SocketAddr) -> Self {
        let checkout = RequestTemplate {
            method: Method::POST,
            body: Bytes::from_static(b"{\"items\":[1,2]}"),
            ..RequestTemplate::get("/checkout")
        };
        Self {
            target,
            host: String::new(),
            rate: 50.0,
            arrivals: Arrivals::Even,
            duration: None,
            users: 50,
            requests: vec![
                RequestTemplate::get("/"),
                RequestTemplate::get("/item/{n}"),
                RequestTemplate::get("/cart"),
                checkout,
            ],
            user_header: None,
            protocol: Protocol::H1,
            timeout: Duration::from_secs(10),
            max_under_way: 5_000,
            seed: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_from_text() {
        let read = |text: &str| {
            text.parse::<RequestTemplate>()
                .map(|template| format!("{} {}", template.method, template.path))
        };
        assert_eq!(read("/cart"), Ok("GET /cart".into()));
        assert_eq!(read("POST /checkout?a=1"), Ok("POST /checkout?a=1".into()));
        assert_eq!(read("/item/{n}"), Ok("GET /item/{n}".into()));
        for bad in ["", "cart", "G@T /", "GET http://x/"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
