//! A compose file: services that are built here or have a version; stores stay as they are.

use super::detect::{first, kind_by_name, one_web};
use super::write::label;
use super::{Found, Kind, Part, Run};
use serde_json::Value;
use std::path::Path;

const FILES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];

/// Images that hold data or stand in front: they are no part of a release.
const BESIDE: [&str; 20] = [
    "postgres",
    "mysql",
    "mariadb",
    "redis",
    "valkey",
    "memcached",
    "mongo",
    "rabbitmq",
    "kafka",
    "zookeeper",
    "nats",
    "elasticsearch",
    "opensearch",
    "minio",
    "nginx",
    "traefik",
    "caddy",
    "haproxy",
    "prometheus",
    "grafana",
];

pub(super) fn look(folder: &Path) -> Option<Found> {
    let (file, text) = first(folder, &FILES)?;
    let value: Value = serde_saphyr::from_str(&text).ok()?;
    let services = value.get("services")?.as_object()?;
    let mut found = Found::default();
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for (name, service) in services {
        let image = service.get("image").and_then(Value::as_str).unwrap_or("");
        let stays = service.get("build").is_none()
            && BESIDE.iter().any(|known| image_name(image).contains(known));
        if stays {
            beside.push(format!("{name} ({image})"));
        } else {
            ours.push((name.as_str(), service));
        }
    }
    let names: Vec<&str> = ours.iter().map(|(name, _)| *name).collect();
    found.found.push(format!("{file}: {}", names.join(", ")));
    if !beside.is_empty() {
        found.found.push(format!(
            "{} in it: left as they are, no part of a release",
            beside.join(", ")
        ));
    }
    let alone = ours.len() == 1;
    for (name, service) in ours {
        let port = published(service);
        let kind = kind_by_name(name, alone || port.is_some());
        let takes_port = service.to_string().contains("${PORT");
        let takes_version = service.to_string().contains("${VERSION");
        if kind == Kind::Web && !takes_port {
            let outer = port.unwrap_or(3000);
            let inner = inner_port(service).unwrap_or(outer);
            found.guessed.push(format!(
                "{name} publishes a port that two versions cannot both have: write `ports: \
                 [\"${{PORT:-{outer}}}:{inner}\"]` in {file}"
            ));
        }
        if !takes_version {
            found.guessed.push(format!(
                "{name} has no version: write `image: {name}:${{VERSION:-latest}}` in {file}"
            ));
        }
        found.port = found.port.or(port);
        found.parts.push(Part {
            name: label(name),
            kind,
            run: scripts(name, file),
            health: health(service),
        });
    }
    found.guessed.push(
        "each instance is a compose project of its own: what it needs from other services has to \
         be reachable over a network that is `external`"
            .to_owned(),
    );
    one_web(&mut found);
    (!found.parts.is_empty()).then_some(found)
}

/// An image without registry and tag.
fn image_name(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split([':', '@']).next().unwrap_or(name)
}

fn scripts(name: &str, file: &str) -> Run {
    let compose = format!("docker compose -f {file} -p {}-${{port}}", label(name));
    Run::Scripts {
        start: format!(
            "VERSION=${{version}} PORT=${{port}} {compose} up --detach --no-deps {name}"
        ),
        stop: format!("{compose} down"),
        status: format!("{compose} ps --status running --quiet {name} | grep -q ."),
    }
}

/// The first port of the machine that a service publishes.
fn published(service: &Value) -> Option<u16> {
    let ports = service.get("ports")?.as_array()?;
    ports.iter().find_map(|port| match port {
        Value::String(text) => {
            let host = text.split('/').next()?.rsplit(':').nth(1)?;
            let digits = host.trim_end_matches('}').rsplit('-').next()?;
            digits.parse().ok()
        }
        Value::Object(long) => match long.get("published")? {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64().and_then(|n| u16::try_from(n).ok()),
        },
        _ => None,
    })
}

/// The port inside of the container that a service publishes first.
fn inner_port(service: &Value) -> Option<u16> {
    match service.get("ports")?.as_array()?.first()? {
        Value::String(text) => text.split('/').next()?.rsplit(':').next()?.parse().ok(),
        Value::Object(long) => u16::try_from(long.get("target")?.as_u64()?).ok(),
        number => number.as_u64().and_then(|n| u16::try_from(n).ok()),
    }
}

/// The path that a health check asks, where it asks one.
fn health(service: &Value) -> Option<String> {
    let test = service.get("healthcheck")?.get("test")?.to_string();
    let (_, after) = test.split_once("://")?;
    let path = after.split_once('/')?.1;
    let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)));
    Some(format!("/{}", path.get(..end.unwrap_or(path.len()))?))
}
