//! Addresses by which requests would come back to the proxy that sends them.

use super::error;
use crate::diagnostic as code;
use crate::model::Plan;
use crate::section::components::DEFAULT_TRAFFIC;
use crate::sink::{Sink, child};
use std::net::{IpAddr, SocketAddr};

pub(super) fn check(plan: &Plan, sink: &mut Sink<'_>) {
    let Some(route) = &plan.route else { return };
    let Ok(listen) = route.listen.parse::<SocketAddr>() else {
        return;
    };
    if plan.traffic.driver != DEFAULT_TRAFFIC {
        return;
    }
    let mut urls: Vec<(String, &str)> = Vec::new();
    if let Some(taken) = &plan.take_over {
        urls.push(("take-over.url".to_owned(), &taken.url));
    }
    for (name, component) in &plan.components {
        if let Some(url) = component.run.config.get("url").and_then(|url| url.as_str()) {
            let at = super::components::path(sink, name.as_str(), &component.run.driver);
            urls.push((child(&at, "url"), url));
        }
    }
    for (path, url) in urls {
        if is_at(url, listen) {
            error(
                sink,
                code::LOOP,
                &path,
                &format!("this is the address that `route` listens on, {listen}"),
                "give `route: { listen: ... }` another port: users come to that one, and esclusa \
                 goes to this one",
            );
        }
    }
}

/// Whether a URL leads to this socket of this machine.
fn is_at(url: &str, listen: SocketAddr) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let usual = if scheme == "https" { 443 } else { 80 };
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, Some(usual)),
    };
    let address: Option<IpAddr> = match host {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        host => host.trim_matches(['[', ']']).parse().ok(),
    };
    let here = |ip: IpAddr| {
        ip == listen.ip()
            || ip.is_unspecified()
            || (ip.is_loopback() && listen.ip().is_unspecified())
    };
    port == Some(listen.port()) && address.is_some_and(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_socket_is_the_same() {
        let listen: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let all: SocketAddr = "0.0.0.0:80".parse().expect("an address");
        for (url, at, expected) in [
            ("http://127.0.0.1:8080", listen, true),
            ("http://localhost:8080/x", listen, true),
            ("http://127.0.0.1:8081", listen, false),
            ("http://10.0.0.5:8080", listen, false),
            ("http://shop.example:8080", listen, false),
            ("http://127.0.0.1:${port}", listen, false),
            ("http://127.0.0.1", all, true),
            ("https://127.0.0.1", all, false),
            ("127.0.0.1:8080", listen, false),
        ] {
            assert_eq!(is_at(url, at), expected, "{url}");
        }
    }
}
