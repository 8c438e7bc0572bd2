//! A route and its flag.

use super::path::Pattern;
use esclusa_flags::{GuardMode, GuardedRoute};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// Seconds for `Retry-After` where a route says nothing.
const RETRY_AFTER: u32 = 60;

/// A route that a flag opens and closes.
#[derive(Debug, Clone)]
pub struct Route {
    method: Option<String>,
    path: Pattern,
    pub(super) flag: Arc<str>,
    pub(super) variant: Option<String>,
    pub(super) safe: bool,
    pub(super) mode: GuardMode,
    status: StatusCode,
    retry_after: u32,
    message: Option<String>,
}

/// What is wrong with a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path is none.
    #[error("{0:?} is no pattern of a path: write it as /reports/:id or /reports/*")]
    Path(String),
    /// The method is none.
    #[error("{0:?} is no method in upper case")]
    Method(String),
    /// The status is none of an error.
    #[error("{0} is no status of an error, 400 to 599")]
    Status(u16),
    /// No header has this name.
    #[error("{0:?} is no name of a header")]
    Header(String),
}

impl Route {
    /// While the flag is off, the guard answers: 503, `Retry-After`, and
    /// `{"error": "<Feature> not available", "code": "FEATURE_DISABLED"}`. An empty method
    /// stands for any.
    ///
    /// # Errors
    /// When method or path are none.
    pub fn block(method: &str, path: &str, flag: &str) -> Result<Self, RouteError> {
        Self::new(method, path, flag, GuardMode::Block)
    }

    /// While the flag is off, the handler runs all the same, and is told to do without the
    /// feature: by the header [`super::FEATURE_HEADER`] and the extension
    /// [`super::Feature`].
    ///
    /// # Errors
    /// When method or path are none.
    pub fn fallback(method: &str, path: &str, flag: &str) -> Result<Self, RouteError> {
        Self::new(method, path, flag, GuardMode::Fallback)
    }

    fn new(method: &str, path: &str, flag: &str, mode: GuardMode) -> Result<Self, RouteError> {
        if !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(RouteError::Method(method.to_owned()));
        }
        let pattern = Pattern::parse(path).ok_or_else(|| RouteError::Path(path.to_owned()))?;
        Ok(Self {
            method: (!method.is_empty()).then(|| method.to_owned()),
            path: pattern,
            flag: flag.into(),
            variant: None,
            safe: false,
            mode,
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after: RETRY_AFTER,
            message: None,
        })
    }

    /// The feature's name in the answer of a closed route; the flag's if not given.
    #[must_use]
    pub fn feature(self, name: &str) -> Self {
        self.message(&format!("{name} not available"))
    }

    /// The whole message.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        self.message = Some(message.to_owned());
        self
    }

    /// The variant that opens the route, for flags that are neither true nor false.
    #[must_use]
    pub fn variant(mut self, variant: &str) -> Self {
        self.variant = Some(variant.to_owned());
        self
    }

    /// Whether the route is open where nothing is known: to a request that is nobody's, and
    /// while the server and all memory of it are gone. It is closed if not said.
    #[must_use]
    pub fn safe(mut self, open: bool) -> Self {
        self.safe = open;
        self
    }

    /// Another status of a closed route.
    ///
    /// # Errors
    /// When it is none of an error.
    pub fn status(mut self, status: u16) -> Result<Self, RouteError> {
        let known = StatusCode::from_u16(status).ok();
        let known = known.filter(|s| s.is_client_error() || s.is_server_error());
        self.status = known.ok_or(RouteError::Status(status))?;
        Ok(self)
    }

    /// Seconds after which a client may try again; 60 if not set.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = seconds;
        self
    }

    pub(super) fn matches(&self, method: &str, readings: &[Vec<String>]) -> bool {
        let method = if method == "HEAD" { "GET" } else { method };
        self.method.as_deref().is_none_or(|own| own == method)
            && readings.iter().any(|path| self.path.matches(path))
    }

    /// The answer of a closed route.
    pub(super) fn closed<B: From<bytes::Bytes>>(&self) -> http::Response<B> {
        let unnamed = || format!("{} not available", self.flag);
        let message = self.message.clone().unwrap_or_else(unnamed);
        let message = serde_json::Value::from(message);
        let body = format!("{{\"error\":{message},\"code\":\"FEATURE_DISABLED\"}}");
        let mut answer = http::Response::new(B::from(body.into()));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(http::header::CONTENT_TYPE, json);
        headers.insert(http::header::RETRY_AFTER, self.retry_after.into());
        let never = HeaderValue::from_static("no-store");
        headers.insert(http::header::CACHE_CONTROL, never);
        headers.insert(super::FEATURE_HEADER, HeaderValue::from_static("off"));
        answer
    }
}

impl TryFrom<&GuardedRoute> for Route {
    type Error = RouteError;

    /// A route as a set of flags defines it. The flag's message is not part of it.
    fn try_from(defined: &GuardedRoute) -> Result<Self, RouteError> {
        let method = defined.method.as_deref().unwrap_or_default();
        let mut route = Self::new(method, &defined.path, &defined.flag, defined.mode)?;
        route.variant.clone_from(&defined.variant);
        if let Some(seconds) = defined.retry_after {
            route.retry_after = seconds;
        }
        match defined.status {
            Some(status) => route.status(status),
            None => Ok(route),
        }
    }
}
