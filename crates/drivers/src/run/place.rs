//! Where an instance answers.

use crate::error::DriverError;

/// Where an instance answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceAddress {
    /// Host and port to connect to.
    pub host_port: String,
    /// Speak TLS and verify this name.
    pub tls_sni: Option<String>,
    /// PEM file of a private certificate authority.
    pub ca_file: Option<String>,
    /// Sent as `Host` instead of the client's.
    pub host_header: Option<String>,
    /// Put before each request's path, such as `/v2`; empty for none.
    pub path_prefix: String,
}

impl InstanceAddress {
    /// A plain local port.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self {
            host_port: format!("127.0.0.1:{port}"),
            tls_sni: None,
            ca_file: None,
            host_header: None,
            path_prefix: String::new(),
        }
    }

    /// The address in a URL.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL of host, port and path alone.
    pub fn parse(url: &str) -> Result<Self, DriverError> {
        let wrong = |why: &str| {
            DriverError::config(format!(
                "{} is not an address: {why}",
                crate::http::shown(url)
            ))
        };
        let parsed = reqwest::Url::parse(url).map_err(|e| wrong(&e.to_string()))?;
        let tls = match parsed.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("use http or https")),
        };
        let plain = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        if !plain {
            return Err(wrong("use host, port and path alone"));
        }
        let host = parsed.host_str().ok_or_else(|| wrong("it has no host"))?;
        let port = parsed
            .port_or_known_default()
            .ok_or_else(|| wrong("it has no port"))?;
        Ok(Self {
            host_port: format!("{host}:{port}"),
            tls_sni: tls.then(|| host.trim_matches(['[', ']']).to_owned()),
            ca_file: None,
            host_header: None,
            path_prefix: parsed.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Scheme, host, port and prefix, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls_sni.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}{}", self.host_port, self.path_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses_and_back() {
        let address = InstanceAddress::parse("https://Shop.internal:8443/v2/").expect("valid");
        assert_eq!(address.host_port, "shop.internal:8443");
        assert_eq!(address.tls_sni.as_deref(), Some("shop.internal"));
        assert_eq!(address.path_prefix, "/v2");
        assert_eq!(address.url(), "https://shop.internal:8443/v2");
        let v6 = InstanceAddress::parse("http://[::1]").expect("valid");
        assert_eq!((v6.host_port.as_str(), v6.tls_sni), ("[::1]:80", None));
        for bad in [
            "ftp://x",
            "shop:80",
            "http://u:p@x/",
            "http://x/?a=1",
            "http://",
        ] {
            let error = InstanceAddress::parse(bad).expect_err(bad);
            assert!(!error.message.contains("u:p"), "{error}");
        }
    }
}
