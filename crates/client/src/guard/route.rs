//! A route and its flag.

use esclusa_flags::{
    GuardMode, GuardedRoute, PathPattern, RequestPath, closed_body, default_message, takes_method,
};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// Seconds for `Retry-After` where a route says nothing.
const RETRY_AFTER: u32 = 60;

/// A route that a flag opens and closes.
#[derive(Debug, Clone)]
pub struct Route {
    method: Option<String>,
    path: PathPattern,
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
    /// The path is none; in words why.
    #[error("{0}: write it as /reports/:id or /reports/*")]
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
        let pattern = PathPattern::parse(path).map_err(RouteError::Path)?;
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

    pub(super) fn matches(&self, method: &str, path: &RequestPath<'_>) -> bool {
        takes_method(self.method.as_deref(), method) && self.path.fits(path)
    }

    /// The answer of a closed route.
    pub(super) fn closed<B: From<bytes::Bytes>>(&self) -> http::Response<B> {
        let message = self.message.clone();
        let body = closed_body(&message.unwrap_or_else(|| default_message(&self.flag)));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(route: &Route, method: &str, path: &str) -> bool {
        route.matches(method, &RequestPath::new(path))
    }

    // GRD-04: however a path is written, the guard stands before it.
    #[test]
    fn a_path_is_met_however_it_is_written() {
        let route = Route::block("GET", "/reports/exec/:id", "f").expect("a route");
        for path in [
            "/reports/exec/7",
            "/reports/exec/7/",
            "//reports///exec/7",
            "/reports/./exec/7",
            "/x/../reports/exec/7",
            "/reports/%65xec/7",
            "/Reports/EXEC/7",
            "/reports%2Fexec%2F7",
            "/reports\\exec\\7",
            "/reports/exec;v=1/7",
            "/reports/exec/%F0",
        ] {
            assert!(meets(&route, "GET", path), "{path}");
        }
        for path in ["/", "/reports/exec", "/reports/exec/7/8", "/report/exec/7"] {
            assert!(!meets(&route, "GET", path), "{path}");
        }
    }

    // GRD-04: what answers GET answers HEAD, and a route of HEAD alone is one too.
    #[test]
    fn a_route_takes_its_method() {
        let of = |method| Route::block(method, "/reports", "f").expect("a route");
        for (own, method, takes) in [
            ("GET", "GET", true),
            ("GET", "HEAD", true),
            ("HEAD", "HEAD", true),
            ("HEAD", "GET", false),
            ("POST", "HEAD", false),
            ("", "DELETE", true),
        ] {
            assert_eq!(meets(&of(own), method, "/reports"), takes, "{own} {method}");
        }
    }
}
