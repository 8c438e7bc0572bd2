//! Where a request came in, and what that alone says about its sender.

use crate::auth::Caller;
use crate::error::{ApiError, ErrorKind};
use axum::http::{HeaderMap, header};

/// Where requests come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The Unix socket: its mode lets in nobody but the owner.
    Local,
    /// A TCP address: everybody needs a token.
    Token,
    /// A loopback address without login, for development.
    Dev {
        /// The port, which Host and Origin must name.
        port: u16,
    },
}

impl Door {
    /// Whom the door itself vouches for.
    ///
    /// # Errors
    /// Never for the names used here.
    pub(crate) fn caller(self) -> Result<Option<Caller>, ApiError> {
        match self {
            Self::Local => Caller::owner("local").map(Some),
            Self::Dev { .. } => Caller::owner("dev").map(Some),
            Self::Token => Ok(None),
        }
    }

    /// Whether a browser that somebody else's page steers may come in: without a login,
    /// a page under a name that resolves to 127.0.0.1 could act here (DNS rebinding).
    ///
    /// # Errors
    /// 403 when Host or Origin is not a loopback name with our port.
    pub(crate) fn check(self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Self::Dev { port } = self else {
            return Ok(());
        };
        let ours = |value: &str| {
            ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| {
                value.strip_prefix(name).is_some_and(|rest| {
                    rest.strip_prefix(':')
                        .map_or(rest.is_empty() && port == 80, |found| {
                            found.parse() == Ok(port)
                        })
                })
            })
        };
        let text = |name| {
            headers
                .get(&name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        let host = text(header::HOST).is_some_and(ours);
        let origin = text(header::ORIGIN)
            .is_none_or(|origin| origin.strip_prefix("http://").is_some_and(ours));
        if host && origin {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorKind::Forbidden,
            "ESC-0413",
            "Host or Origin is not this server's loopback address",
            "open the address that `serve --dev` printed",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn without_login_only_our_own_page_is_let_in() {
        let dev = Door::Dev { port: 7300 };
        let host = header::HOST;
        let origin = header::ORIGIN;
        for good in ["localhost:7300", "127.0.0.1:7300", "[::1]:7300"] {
            assert!(
                dev.check(&headers(&[(host.clone(), good)])).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "evil.example:7300",
            "localhost",
            "localhost:1",
            "localhost.evil.example:7300",
        ] {
            assert!(
                dev.check(&headers(&[(host.clone(), bad)])).is_err(),
                "{bad}"
            );
        }
        assert!(dev.check(&headers(&[])).is_err());
        let both = |value| {
            dev.check(&headers(&[
                (host.clone(), "localhost:7300"),
                (origin.clone(), value),
            ]))
        };
        assert!(both("http://localhost:7300").is_ok());
        for bad in [
            "http://evil.example",
            "null",
            "https://localhost:7300",
            "http://localhost:1",
        ] {
            assert!(both(bad).is_err(), "{bad}");
        }
        assert!(Door::Token.check(&headers(&[])).is_ok());
    }
}
