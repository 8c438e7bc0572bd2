//! The `route` section: where requests arrive and how users are told apart.

use crate::diagnostic as code;
use crate::fields::Fields;
use crate::model::{HoldOrReturn, LostControl, NamedRoute, PartRoute, Route, Sticky};
use crate::shape::{Block, Key, Shape};
use crate::sink::{Sink, printable};
use esclusa_model::Millis;
use std::net::{IpAddr, SocketAddr};

/// Most routes that slices tell apart.
const MAX_ROUTES: usize = 64;

/// The table of the section.
pub(crate) fn block() -> Block {
    Block::of(vec![
        Key::new(
            "listen",
            Shape::Text,
            "IP address and port to listen on, such as `127.0.0.1:8080`.",
        )
        .required()
        .example("127.0.0.1:8080"),
        host_key(),
        path_key(),
        Key::new(
            "sticky",
            Shape::list(Shape::Text),
            "Where a request's unit is read from, in order: `header:<name>` or `cookie`.",
        )
        .default("[cookie]"),
        Key::new(
            "lost-control",
            Shape::Block(lost_control()),
            "What proxies do when the controller is silent.",
        )
        .default("{}"),
        Key::new(
            "routes",
            Shape::list(Shape::Text),
            "Routes that the judge tells apart, `GET /orders/:id`; at most 64.",
        ),
        Key::new(
            "response-timeout",
            Shape::Duration,
            "Longest wait for the head of a response.",
        )
        .default("60s"),
        Key::new("max-body", Shape::Size, "Largest request body.").default("64 MiB"),
        Key::new(
            "trusted-proxies",
            Shape::list(Shape::Text),
            "Addresses (CIDR) whose forwarding headers are believed.",
        ),
    ])
}

/// The table of a component's own `route`.
pub(crate) fn part_block() -> Block {
    Block::of(vec![host_key(), path_key()])
}

fn host_key() -> Key {
    let doc = "Host name that belongs here; any when absent.";
    Key::new("host", Shape::Text, doc)
}

fn path_key() -> Key {
    let doc = "Path prefix that belongs here; any when absent.";
    Key::new("path", Shape::Text, doc)
}

fn lost_control() -> Block {
    Block::of(vec![
        Key::new("after", Shape::Duration, "Silence that counts as lost.").default("2m"),
        Key::new(
            "then",
            Shape::choice(&["return", "hold"]),
            "Send everybody to stable, or keep the share.",
        )
        .default("return"),
    ])
}

/// Builds the route; broken parts are reported and left at something harmless.
pub(crate) fn build(fields: &Fields, sink: &mut Sink<'_>) -> Route {
    let each = |key: &str| -> Vec<(String, String)> {
        let texts = fields.texts(key).unwrap_or_default();
        let path = fields.at(key);
        texts
            .into_iter()
            .enumerate()
            .map(|(i, text)| (format!("{path}[{i}]"), text))
            .collect()
    };
    let sticky = each("sticky")
        .into_iter()
        .filter_map(|(path, text)| sticky_source(&text, &path, sink))
        .collect();
    let routes = named_routes(each("routes"), fields, sink);
    let trusted_proxies = each("trusted-proxies")
        .into_iter()
        .filter_map(|(path, text)| network(&text, &path, sink))
        .collect();
    let lost = fields.block("lost-control").unwrap_or_default();
    let PartRoute { host, path } = build_part(fields, sink);
    Route {
        listen: listen(fields, sink),
        host,
        path,
        sticky,
        lost_control: LostControl {
            after: lost.duration("after").unwrap_or(Millis::ZERO),
            then: match lost.text("then").as_deref() {
                Some("hold") => HoldOrReturn::Hold,
                _ => HoldOrReturn::Return,
            },
        },
        routes,
        response_timeout: fields.duration("response-timeout").unwrap_or(Millis::ZERO),
        max_body_bytes: fields.size("max-body").unwrap_or(0),
        trusted_proxies,
    }
}

/// Builds which requests belong somewhere.
pub(crate) fn build_part(fields: &Fields, sink: &mut Sink<'_>) -> PartRoute {
    PartRoute {
        host: fields
            .text("host")
            .and_then(|host| host_name(&host, fields, sink)),
        path: fields
            .text("path")
            .and_then(|path| prefix(&path, fields, sink)),
    }
}

fn bad_address(sink: &mut Sink<'_>, path: &str, text: &str, what: &str, help: &str) {
    sink.error(
        code::ADDRESS,
        path,
        format!("`{}` is not {what}", printable(text)),
        help.to_owned(),
    );
}

fn listen(fields: &Fields, sink: &mut Sink<'_>) -> String {
    let Some(text) = fields.text("listen") else {
        return String::new();
    };
    match text.parse::<SocketAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => {
            let help = match text.rsplit_once(':') {
                Some(("" | "localhost" | "*", port)) => {
                    format!(
                        "write `127.0.0.1:{port}` for this machine or `0.0.0.0:{port}` for all networks"
                    )
                }
                None if text.parse::<u16>().is_ok() => format!(
                    "write `127.0.0.1:{text}` for this machine or `0.0.0.0:{text}` for all networks"
                ),
                _ => "write an IP address and a port, such as `127.0.0.1:8080`".to_owned(),
            };
            bad_address(
                sink,
                &fields.at("listen"),
                &text,
                "an IP address with a port",
                &help,
            );
            text
        }
    }
}

fn host_name(text: &str, fields: &Fields, sink: &mut Sink<'_>) -> Option<String> {
    let host = text.to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() <= 253 && host.split('.').all(label) {
        return Some(host);
    }
    let help = if text.contains("://") || text.contains('/') || text.contains(':') {
        "write the name alone, without scheme, port or path"
    } else {
        "write a host name, such as `shop.example`"
    };
    bad_address(sink, &fields.at("host"), text, "a host name", help);
    None
}

/// A path prefix without its trailing slash; `/` alone means any path.
fn prefix(text: &str, fields: &Fields, sink: &mut Sink<'_>) -> Option<String> {
    if !is_path(text) {
        bad_address(
            sink,
            &fields.at("path"),
            text,
            "a path prefix",
            "write a path from the root, such as `/shop`, without query",
        );
        return None;
    }
    let trimmed = text.trim_end_matches('/');
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// Whether a text is an absolute path of a request, without query.
fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#')
}

fn sticky_source(text: &str, path: &str, sink: &mut Sink<'_>) -> Option<Sticky> {
    if text == "cookie" {
        return Some(Sticky::Cookie);
    }
    if let Some(name) = text.strip_prefix("header:") {
        return header_name(name.trim(), path, sink).map(Sticky::Header);
    }
    sink.error(
        code::WRONG_VALUE,
        path,
        format!(
            "`{}` does not say where a unit is read from",
            printable(text)
        ),
        "write `cookie` or `header:<name>`, such as `header:x-tenant-id`".to_owned(),
    );
    None
}

/// A header's name in lower case.
pub(crate) fn header_name(text: &str, path: &str, sink: &mut Sink<'_>) -> Option<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !text.is_empty() && text.len() <= 256 && text.bytes().all(token) {
        return Some(text.to_ascii_lowercase());
    }
    bad_address(
        sink,
        path,
        text,
        "a header's name",
        "write the name alone, such as `x-tenant-id`",
    );
    None
}

fn named_routes(
    texts: Vec<(String, String)>,
    fields: &Fields,
    sink: &mut Sink<'_>,
) -> Vec<NamedRoute> {
    if texts.len() > MAX_ROUTES {
        sink.error(
            code::OUT_OF_BOUNDS,
            &fields.at("routes"),
            format!("{} routes are named", texts.len()),
            format!("name at most {MAX_ROUTES}; the others are counted together"),
        );
    }
    let mut routes: Vec<NamedRoute> = Vec::new();
    for (path, text) in texts {
        let Some(route) = named_route(&text, &path, sink) else {
            continue;
        };
        if routes.contains(&route) {
            sink.error(
                code::DUPLICATE_NAME,
                &path,
                format!("`{}` is named twice", printable(&text)),
                "keep one of them".to_owned(),
            );
        } else {
            routes.push(route);
        }
    }
    routes
}

fn named_route(text: &str, path: &str, sink: &mut Sink<'_>) -> Option<NamedRoute> {
    let (method, pattern) = match text.split_once(' ') {
        Some((method, pattern)) => (Some(method), pattern.trim()),
        None => (None, text),
    };
    let method_ok = method.is_none_or(|m| {
        !m.is_empty() && m.len() <= 20 && m.bytes().all(|b| b.is_ascii_alphabetic())
    });
    let star_ok = pattern
        .find('*')
        .is_none_or(|at| at + 1 == pattern.len() && pattern.ends_with("/*"));
    if method_ok && star_ok && is_path(pattern) {
        return Some(NamedRoute {
            method: method.map(str::to_ascii_uppercase),
            path: pattern.to_owned(),
        });
    }
    bad_address(
        sink,
        path,
        text,
        "a route",
        "write a method and a path: `GET /orders/:id`, `/static/*`",
    );
    None
}

/// A network as `address/length`; an address alone is a network of one.
fn network(text: &str, path: &str, sink: &mut Sink<'_>) -> Option<String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let parsed = address.parse::<IpAddr>().ok().and_then(|ip| {
        let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Some(most), |l| l.parse().ok())?;
        (length <= most).then(|| format!("{ip}/{length}"))
    });
    if parsed.is_none() {
        bad_address(
            sink,
            path,
            text,
            "an address or network",
            "write an address such as `10.0.0.7` or a network such as `10.0.0.0/8`",
        );
    }
    parsed
}

/// Whether a text is `http(s)://host[:port]` without path, query or credentials.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
    else {
        return false;
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    !rest.is_empty()
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}
