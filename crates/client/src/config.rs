//! Where the server is, and how long anything may take.

use crate::Context;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a client.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) endpoint: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) context: Context,
    pub(crate) timeout: Duration,
    pub(crate) poll: Duration,
    pub(crate) silence: Duration,
    pub(crate) max_age: Duration,
    pub(crate) max_entries: usize,
    pub(crate) disk: Option<PathBuf>,
    pub(crate) disk_max_age: Duration,
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address of the server cannot be used.
    #[error("{0:?} is no address of a server: write it as http://host:port")]
    Endpoint(String),
    /// The address holds a name or password, which would be shown wherever it is.
    #[error("the address of the server holds an @: secrets go into a header")]
    Secret,
    /// A header cannot be sent. Its value is not shown.
    #[error("the header {0:?} cannot be sent")]
    Header(String),
    /// An environment variable says something else than expected.
    #[error("the environment variable {name} {what}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

impl Config {
    /// Asks the server at `endpoint`, below which `/ofrep/v1` stands.
    ///
    /// # Errors
    /// When it is no address.
    pub fn new(endpoint: &str) -> Result<Self, ConfigError> {
        let url = Url::parse(endpoint.trim()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if endpoint.contains('@') {
            return Err(ConfigError::Secret);
        }
        let mut url = url.ok_or_else(|| ConfigError::Endpoint(endpoint.to_owned()))?;
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self {
            endpoint: url,
            headers: HeaderMap::new(),
            context: Context::new(),
            timeout: Duration::from_millis(500),
            poll: Duration::from_secs(30),
            silence: Duration::from_secs(45),
            max_age: Duration::from_secs(300),
            max_entries: 10_000,
            disk: None,
            disk_max_age: Duration::from_secs(7 * 86_400),
        })
    }

    /// Reads `OFREP_ENDPOINT`, and where they are set `OFREP_HEADERS` (`name=value`, more
    /// behind commas, percent-encoded) and `OFREP_TIMEOUT_MS`.
    ///
    /// # Errors
    /// When the first is missing, or one of them cannot be read.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(read: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let bad = |name, what| ConfigError::Variable { name, what };
        let endpoint = read("OFREP_ENDPOINT").ok_or_else(|| bad("OFREP_ENDPOINT", "is not set"))?;
        let mut config = Self::new(&endpoint)?;
        let headers = read("OFREP_HEADERS").unwrap_or_default();
        for pair in headers.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let pair = pair.split_once('=');
            let (name, value) = pair.ok_or_else(|| bad("OFREP_HEADERS", "has no name=value"))?;
            let plain = |text: &str| {
                percent_decode_str(text.trim())
                    .decode_utf8_lossy()
                    .into_owned()
            };
            config = config.header(&plain(name), &plain(value))?;
        }
        if let Some(ms) = read("OFREP_TIMEOUT_MS") {
            let ms = ms.trim().parse().ok().filter(|ms| *ms > 0);
            let ms = ms.ok_or_else(|| bad("OFREP_TIMEOUT_MS", "is no number of milliseconds"))?;
            config.timeout = Duration::from_millis(ms);
        }
        Ok(config)
    }

    /// Shows this token.
    ///
    /// # Errors
    /// When it holds characters that no token has.
    pub fn token(self, token: &str) -> Result<Self, ConfigError> {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {}", token.trim()))
    }

    /// Sends one more header.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, ConfigError> {
        let bad = || ConfigError::Header(name.to_owned());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        self.headers.insert(key, value);
        Ok(self)
    }

    /// Whom the client asks for when it asks whether anything changed. Servers that need a
    /// targeting key in every question need one here.
    #[must_use]
    pub fn context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Longest wait for one answer: 500 ms if not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often the server is asked where it offers no event stream, give or take a half:
    /// 30 s if not set, never more often than every 100 ms.
    #[must_use]
    pub fn poll(mut self, every: Duration) -> Self {
        self.poll = every.max(Duration::from_millis(100));
        self
    }

    /// After how long an event stream without a word is given up: 45 s if not set. Servers
    /// show more often that it lives.
    #[must_use]
    pub fn silence(mut self, after: Duration) -> Self {
        self.silence = after;
        self
    }

    /// After how long a remembered answer is renewed although nothing is known to have
    /// changed: 5 minutes if not set.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How many answers are remembered: 10,000 if not set. Those used longest ago go first.
    #[must_use]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries.max(1);
        self
    }

    /// Keeps the last known values in this file. It holds values and variants by a hash of
    /// flag and context, and counts only for the same server and headers.
    #[must_use]
    pub fn disk(mut self, file: impl Into<PathBuf>) -> Self {
        self.disk = Some(file.into());
        self
    }

    /// Up to which age values from the disk count: 7 days if not set.
    #[must_use]
    pub fn disk_max_age(mut self, age: Duration) -> Self {
        self.disk_max_age = age;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let find = |name: &str| pairs.iter().find(|(n, _)| *n == name);
        Config::from_variables(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_says_where_and_how() {
        let config = from(&[
            ("OFREP_ENDPOINT", "http://flags.example:8016/"),
            ("OFREP_HEADERS", "authorization=Bearer%20abc, x-team=a%2Cb"),
            ("OFREP_TIMEOUT_MS", "250"),
        ])
        .expect("all is well");
        assert_eq!(config.headers["authorization"], "Bearer abc");
        assert_eq!(config.headers["x-team"], "a,b");
        assert_eq!(config.timeout, Duration::from_millis(250));
        assert!(!format!("{config:?}").contains("abc"), "a secret is shown");
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        fn said(pairs: &[(&str, &str)]) -> String {
            from(pairs).expect_err("refused").to_string()
        }
        assert!(said(&[]).contains("OFREP_ENDPOINT is not set"));
        for place in ["", "flags:8016", "file:///flags", "not a place"] {
            assert!(
                said(&[("OFREP_ENDPOINT", place)]).contains("no address"),
                "{place}"
            );
        }
        let secret = said(&[("OFREP_ENDPOINT", "http://me:hidden@flags.example")]);
        assert!(!secret.contains("hidden"), "{secret}");
        let good = ("OFREP_ENDPOINT", "http://localhost");
        for ms in ["0", "-1", "fast"] {
            let said = said(&[good, ("OFREP_TIMEOUT_MS", ms)]);
            assert!(said.contains("milliseconds"), "{said}");
        }
        assert!(said(&[good, ("OFREP_HEADERS", "x")]).contains("name=value"));
        let secret = said(&[good, ("OFREP_HEADERS", "x-key=hidden%0A")]);
        assert!(
            secret.contains("x-key") && !secret.contains("hidden"),
            "{secret}"
        );
    }
}
