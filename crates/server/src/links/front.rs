//! Where browsers reach this server: what stands in front of its paths.

use std::net::SocketAddr;

/// Where browsers reach this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Front {
    /// Scheme and authority, such as `https://esclusa.example`; none where the server
    /// listens for other machines and nobody said under which name.
    origin: Option<String>,
    /// Whether it was said, and not only what it listens on.
    said: bool,
}

impl Front {
    /// As `--public-url` says it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn public(text: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(text.trim()).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("it begins with neither http:// nor https://".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a name or a password".into());
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("it has a path; esclusa answers at the root of a name of its own".into());
        }
        Ok(Self {
            origin: Some(url.origin().ascii_serialization()),
            said: true,
        })
    }

    /// Where nothing was said: this machine's own address, if no other machine reaches it.
    pub(crate) fn listening(address: SocketAddr) -> Self {
        let own = address.ip().is_loopback();
        Self {
            origin: own.then(|| format!("http://{address}")),
            said: false,
        }
    }

    /// Whether it was said that browsers come over https.
    pub(crate) fn is_https(&self) -> bool {
        let origin = self.origin.as_deref();
        self.said && origin.is_some_and(|origin| origin.starts_with("https://"))
    }

    /// Whether a page under this origin is ours, as it was said.
    pub(crate) fn is_ours(&self, origin: &str) -> bool {
        self.said && self.origin.as_deref() == Some(origin)
    }

    /// A path with its front, where it was said: other people's machines reach that.
    pub(crate) fn said_url(&self, path: &str) -> Option<String> {
        self.said.then(|| self.url(path)).flatten()
    }

    /// A path with its front.
    pub(crate) fn url(&self, path: &str) -> Option<String> {
        self.origin.as_ref().map(|origin| format!("{origin}{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_said_or_this_machine_s_own() {
        let public = Front::public("https://Esclusa.example:443").expect("an address");
        assert!(public.is_https() && public.is_ours("https://esclusa.example"));
        assert!(!public.is_ours("http://esclusa.example"));
        let url = public.url("/l/x");
        assert_eq!(url.as_deref(), Some("https://esclusa.example/l/x"));
        for wrong in [
            "esclusa.example",
            "ftp://esclusa.example",
            "https://ana:x@esclusa.example",
            "https://esclusa.example/under",
            "https://esclusa.example/?a=b",
        ] {
            assert!(Front::public(wrong).is_err(), "{wrong}");
        }
        let own = Front::listening(([127, 0, 0, 1], 7300).into());
        assert_eq!(
            own.url("/l/x").as_deref(),
            Some("http://127.0.0.1:7300/l/x")
        );
        assert_eq!((own.said_url(""), public.said_url("/l/x")), (None, url));
        assert!(!own.is_https() && !own.is_ours("http://127.0.0.1:7300"));
        assert_eq!(Front::listening(([0, 0, 0, 0], 7300).into()).url("/"), None);
    }
}
