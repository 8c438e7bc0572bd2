//! Speaks to a server: over its Unix socket, or over HTTP with a token.

use crate::args::Global;
use crate::exit::Failure;
use crate::place;
use esclusa_server::{ApiError, ErrorKind, socket_path};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::time::Duration;

/// Longest wait for an answer that is no stream; a little more than the server allows
/// itself, so that its own words are seen.
const PATIENCE: Duration = Duration::from_secs(40);
const CONNECT: Duration = Duration::from_secs(10);

/// One server.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<HeaderValue>,
    /// Where it is, for messages.
    place: String,
}

impl Client {
    /// The server that the arguments name.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        // Another part of the program may have installed one already: as good.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        match &global.server {
            Some(url) => Self::remote(url),
            None => Self::local(global),
        }
    }

    fn local(global: &Global) -> Result<Self, Failure> {
        let socket = socket_path(&place::data(global)?);
        let place = format!("unix:{}", socket.display());
        let http = builder()
            .no_proxy()
            .tls_certs_only(Vec::new())
            .unix_socket(socket);
        let http = http
            .build()
            .map_err(|error| Failure::internal(error.to_string()))?;
        let base = Url::parse("http://localhost/")
            .map_err(|error| Failure::internal(error.to_string()))?;
        Ok(Self {
            http,
            base,
            token: None,
            place,
        })
    }

    fn remote(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::input(
                "ESC-0506",
                format!("the server's address is not usable: {why}"),
                "write it like https://esclusa.example or http://127.0.0.1:7300",
            )
        };
        let base = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("it begins with neither http:// nor https://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong(
                "it holds a password; tokens are read from ESCLUSA_TOKEN",
            ));
        }
        let loopback = is_loopback(&base);
        let token = match std::env::var("ESCLUSA_TOKEN") {
            Ok(token) if !token.is_empty() => Some(bearer(&token)?),
            Ok(_) | Err(_) => None,
        };
        if token.is_some() && base.scheme() == "http" && !loopback {
            return Err(wrong(
                "it would carry the token unencrypted over the network",
            ));
        }
        let http = if loopback {
            builder().no_proxy()
        } else {
            builder()
        };
        let http = http
            .build()
            .map_err(|error| Failure::internal(error.to_string()))?;
        let place = base.origin().ascii_serialization();
        Ok(Self {
            http,
            base,
            token,
            place,
        })
    }

    /// Asks for a value.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.value(self.request(Method::GET, path)?.timeout(PATIENCE))
            .await
    }

    /// Asks for a text.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let response = self
            .send(self.request(Method::GET, path)?.timeout(PATIENCE))
            .await?;
        response
            .text()
            .await
            .map_err(|error| self.unreachable(&error))
    }

    /// Sends a value and gets one.
    pub(crate) async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        self.post_within(path, body, PATIENCE).await
    }

    /// The same with a patience of its own.
    pub(crate) async fn post_within<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        patience: Duration,
    ) -> Result<T, Failure> {
        self.value(
            self.request(Method::POST, path)?
                .timeout(patience)
                .json(body),
        )
        .await
    }

    /// Sends a value to be put in place, and gets what became of it.
    pub(crate) async fn put<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let request = self.request(Method::PUT, path)?;
        self.value(request.timeout(PATIENCE).json(body)).await
    }

    /// Sends a change, and gets what became of it.
    pub(crate) async fn patch<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let request = self.request(Method::PATCH, path)?;
        self.value(request.timeout(PATIENCE).json(body)).await
    }

    /// Asks for something that has no answer but that it is done.
    pub(crate) async fn post_for_nothing(&self, path: &str) -> Result<(), Failure> {
        self.send(self.request(Method::POST, path)?.timeout(PATIENCE))
            .await
            .map(drop)
    }

    /// The same with a body.
    pub(crate) async fn post_without_answer<B: Serialize + ?Sized>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<(), Failure> {
        let request = self.request(Method::POST, path)?;
        let sent = self.send(request.timeout(PATIENCE).json(body));
        sent.await.map(drop)
    }

    /// Removes something.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, path)?.timeout(PATIENCE))
            .await
            .map(drop)
    }

    /// Opens a body that is read piece by piece; it has no deadline of its own.
    pub(crate) async fn body(&self, path: &str) -> Result<Pieces<'_>, Failure> {
        let response = self.send(self.request(Method::GET, path)?).await?;
        Ok(Pieces {
            client: self,
            response,
        })
    }

    /// Opens a stream; it has no deadline of its own.
    pub(crate) async fn stream(&self, path: &str, after: u64) -> Result<Response, Failure> {
        let request = self
            .request(Method::GET, path)?
            .header(ACCEPT, "text/event-stream");
        let request = if after > 0 {
            request.header("last-event-id", after.to_string())
        } else {
            request
        };
        self.send(request).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let url = self
            .base
            .join(path)
            .map_err(|error| Failure::internal(format!("{path} is no address: {error}")))?;
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        Ok(request)
    }

    async fn value<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request).await?;
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_understood(&error.to_string()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        match serde_json::from_slice::<ApiError>(&bytes) {
            Ok(error) => Err(error.into()),
            Err(_) => Err(self.not_understood(&format!("status {status}"))),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        ApiError::new(
            ErrorKind::Unavailable,
            "ESC-0501",
            format!("no server answers on {}: {cause}", self.place),
            "start one with `esclusa serve`, or name it with --server or --data",
        )
        .into()
    }

    fn broke_off(&self, error: &reqwest::Error) -> Failure {
        ApiError::new(
            ErrorKind::Unavailable,
            "ESC-0501",
            format!("what {} sent broke off: {error}", self.place),
            "ask again; the server's log says why it stopped",
        )
        .into()
    }

    fn not_understood(&self, why: &str) -> Failure {
        ApiError::new(
            ErrorKind::Internal,
            "ESC-0504",
            format!("what answers on {} is not understood: {why}", self.place),
            "check the address, and that server and command are of the same version",
        )
        .into()
    }
}

/// An answer's body as it comes.
pub(crate) struct Pieces<'a> {
    client: &'a Client,
    response: Response,
}

impl Pieces<'_> {
    /// The next piece; none at the end. One that breaks off is an error, never an end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let piece = self.response.chunk().await;
        let piece = piece.map_err(|error| self.client.broke_off(&error))?;
        Ok(piece.map(|bytes| bytes.to_vec()))
    }
}

/// No redirects: a token goes nowhere but where it was meant to go.
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("esclusa/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .redirect(redirect::Policy::none())
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
        Failure::input(
            "ESC-0506",
            "ESCLUSA_TOKEN holds characters that no token has",
            "copy the token again from where it was made",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether an address of a server is one of this machine.
pub(crate) fn is_here(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_on_the_machine_or_behind_tls() {
        for (url, loopback) in [
            ("http://localhost:7300", true),
            ("http://[::1]:1", true),
            ("http://127.0.0.5", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(
                is_loopback(&Url::parse(url).expect("a URL")),
                loopback,
                "{url}"
            );
        }
        assert!(bearer("a\nb").is_err());
        assert!(!format!("{:?}", bearer("esclusa_x_1").expect("a header")).contains("esclusa_x"));
    }
}
