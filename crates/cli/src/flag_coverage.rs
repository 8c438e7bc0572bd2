//! `flag coverage`: which endpoints of an OpenAPI document the guards cover.

use crate::args::Global;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::flag::set_file::read;
use crate::output::{Output, Tone};
use crate::table::table;
use clap::Args;
use esclusa_flags::{
    Coverage, CoverageOf, Endpoint, FlagSet, GuardMode, PathPattern, Problem, coverage,
};
use esclusa_server::body::{GuardTroubleKind, PropagationView};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The operations of a path in OpenAPI; other keys there are none.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// Compare guards with endpoints.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    /// The application's OpenAPI document, in JSON or YAML
    #[arg(long, value_name = "FILE")]
    openapi: PathBuf,
    /// A set of flags with its guards, in JSON or YAML; whether the services exist that they
    /// name is not known then [default: the server's]
    #[arg(long, value_name = "FILE")]
    flags: Option<PathBuf>,
    /// Only guards of this service [default: all]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only endpoints under this path, such as /reports, and guards' routes that may match there
    #[arg(long, value_name = "PATH")]
    under: Option<String>,
    /// Exit 2 when an endpoint is not guarded, a guard's route fits none, or a guard's service is
    /// not known
    #[arg(long)]
    strict: bool,
}

pub(crate) async fn run(
    asked: &CoverageArgs,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let document = read(
        &asked.openapi,
        "ESC-0760",
        "name the application's OpenAPI document",
    )?;
    let endpoints = endpoints(&document);
    let file = asked.openapi.display();
    if endpoints.is_empty() {
        let message = format!("{file} names no endpoint: it has no `paths` with operations");
        let help = "name the application's OpenAPI document; what checks nothing passes nothing";
        return Err(Failure::input("ESC-0760", message, help));
    }
    let below = asked.under.as_deref().map(PathPattern::below).transpose();
    let below = below.map_err(|why| {
        let help = "name the beginning of a path, such as /reports";
        Failure::input("ESC-0760", format!("--under: {why}"), help)
    })?;
    let (set, missing) = match &asked.flags {
        Some(file) => {
            let help = "name a set of flags with guards";
            (read(file, "ESC-0761", help)?, None)
        }
        None => from_server(&Client::new(global)?).await?,
    };
    let none = BTreeSet::new();
    let of = CoverageOf {
        service: asked.service.as_deref(),
        below: below.as_ref(),
        missing_services: missing.as_ref().unwrap_or(&none),
    };
    let found = FlagSet::from_json(set)
        .map_err(|problem| vec![problem])
        .and_then(|set| coverage(&set, of, &endpoints))
        .map_err(|problems| wrong_set(&problems, asked.flags.as_deref()))?;
    if found.guarded.is_empty() && found.unguarded.is_empty() {
        let under = asked.under.as_deref().unwrap_or_default();
        let message = format!("{file} has no endpoint under {under}: there is nothing to check");
        let help = format!("its paths begin with {}", beginnings(&endpoints));
        return Err(Failure::input("ESC-0760", message, help));
    }
    let open =
        !(found.unguarded.is_empty() && found.idle.is_empty() && found.of_nothing.is_empty());
    let answer = Answer {
        found,
        services_known: missing.is_some(),
    };
    if !output.json(&answer) {
        show(&answer, output);
    }
    Ok(match asked.strict && open {
        true => Exit::BadInput,
        false => Exit::Done,
    })
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    found: Coverage,
    /// Whether guards of services that do not exist are told from others.
    services_known: bool,
}

/// The server's set, and the services that its guards name and that it does not know.
async fn from_server(client: &Client) -> Result<(Value, Option<BTreeSet<String>>), Failure> {
    let set = client.get("/api/v1/flag-set").await?;
    let status: PropagationView = client.get("/api/v1/flag-set/status").await?;
    let unknown = status.guards.into_iter();
    let unknown = unknown.filter(|guard| guard.kind == GuardTroubleKind::UnknownService);
    Ok((
        set,
        Some(unknown.filter_map(|guard| guard.service).collect()),
    ))
}

fn wrong_set(problems: &[Problem], file: Option<&Path>) -> Failure {
    let of = file.map_or("the server's flags".into(), |file| {
        file.display().to_string()
    });
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let help = "correct the guards; `docs/flags.md` says how they are written";
    Failure::input("ESC-0761", format!("{of}: {}", all.join("; ")), help)
}

/// The first segments of all paths, for whoever named another.
fn beginnings(endpoints: &[Endpoint]) -> String {
    const SHOWN: usize = 8;
    let first = |endpoint: &Endpoint| {
        let segment = endpoint.path.trim_start_matches('/').split('/').next();
        format!("/{}", segment.unwrap_or_default())
    };
    let all: BTreeSet<String> = endpoints.iter().map(first).collect();
    let mut named: Vec<String> = all.iter().take(SHOWN).cloned().collect();
    if all.len() > SHOWN {
        named.push(format!("{} more", all.len() - SHOWN));
    }
    named.join(", ")
}

/// All operations, sorted by path. Paths begin at the document's first server.
fn endpoints(document: &Value) -> Vec<Endpoint> {
    let server = document.pointer("/servers/0/url").and_then(Value::as_str);
    let base = document.get("basePath").and_then(Value::as_str);
    let base = base.or(server.map(path_of)).unwrap_or_default();
    let base = base.trim_end_matches('/');
    let mut endpoints = Vec::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, operations) in paths.into_iter().flatten() {
        for method in METHODS {
            if operations.get(method).is_some_and(Value::is_object) {
                endpoints.push(Endpoint {
                    method: method.to_ascii_uppercase(),
                    path: format!("{base}{path}"),
                });
            }
        }
    }
    endpoints.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
    endpoints
}

/// The path of an address, which may be relative.
fn path_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else {
        return if url.starts_with('/') { url } else { "" };
    };
    rest.find('/').map_or("", |at| &rest[at..])
}

fn show(answer: &Answer, output: &Output) {
    let Coverage {
        guarded,
        unguarded,
        idle,
        of_nothing,
    } = &answer.found;
    for line in lines(&answer.found, output) {
        output.line(&line);
    }
    if !answer.services_known {
        output.say("whether the services exist that guards name is not known: no server was asked");
    }
    output.say(&format!(
        "{} guarded, {} unguarded, {} routes of guards fit no endpoint",
        guarded.len(),
        unguarded.len(),
        idle.len()
    ));
    if !of_nothing.is_empty() {
        let count = of_nothing.len();
        output.say(&format!(
            "guards of services that are not known, which count as none: {count}"
        ));
    }
}

fn lines(found: &Coverage, output: &Output) -> Vec<String> {
    let mut rows = Vec::new();
    for guarded in &found.guarded {
        let mode = match guarded.mode {
            GuardMode::Block => "block",
            GuardMode::Fallback => "fallback",
        };
        let Endpoint { method, path } = &guarded.endpoint;
        let row: [&str; 5] = [method, path, &guarded.flag, mode, &guarded.guard];
        rows.push(row.map(str::to_owned).to_vec());
    }
    let mut lines = match rows.is_empty() {
        true => Vec::new(),
        false => table(&["METHOD", "PATH", "FLAG", "MODE", "GUARD"], &rows),
    };
    let warn = |word| output.colour.paint(Tone::Warn, word);
    for Endpoint { method, path } in &found.unguarded {
        lines.push(format!("{}  {method} {path}", warn("unguarded")));
    }
    for idle in &found.idle {
        let method = idle.method.as_deref().unwrap_or("any");
        let (path, guard, at) = (&idle.path, &idle.guard, idle.route + 1);
        lines.push(format!(
            "{}  {method} {path} (route {at} of guard {guard})",
            warn("fits none")
        ));
    }
    for guard in &found.of_nothing {
        lines.push(format!(
            "{}  guard {}: no service {} is known",
            warn("guards nothing"),
            guard.guard,
            guard.service
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // GRD-06
    #[test]
    fn endpoints_begin_at_the_first_server() {
        let paths =
            json!({ "/b": { "get": {}, "parameters": [] }, "/a": { "post": {}, "get": {} } });
        let list = |document: Value| -> Vec<String> {
            let found = endpoints(&document);
            found
                .iter()
                .map(|e| format!("{} {}", e.method, e.path))
                .collect()
        };
        assert_eq!(
            list(json!({ "paths": paths })),
            ["GET /a", "POST /a", "GET /b"]
        );
        for (server, first) in [
            ("/api/v1/", "GET /api/v1/a"),
            ("https://shop.example/api", "GET /api/a"),
            ("https://shop.example", "GET /a"),
            ("shop", "GET /a"),
        ] {
            let document = json!({ "servers": [{ "url": server }], "paths": paths });
            assert_eq!(list(document)[0], first, "{server}");
        }
        assert_eq!(
            list(json!({ "basePath": "/v2", "paths": paths }))[0],
            "GET /v2/a"
        );
        assert_eq!(endpoints(&json!({ "openapi": "3.1.0" })), []);
    }

    /// The first fenced text behind a title in the documentation of flags.
    fn block<'d>(docs: &'d str, behind: &str) -> &'d str {
        let (_, rest) = docs.split_once(behind).expect("the title");
        let (_, rest) = rest.split_once("\n```").expect("a fence");
        let (_, rest) = rest.split_once('\n').expect("its text");
        rest.split_once("\n```").expect("its end").0
    }

    // GRD-06: what the documentation shows is what is printed.
    #[test]
    fn the_example_of_the_documentation_is_true() {
        let docs = include_str!("../../../docs/flags.md");
        let guards = block(docs, "\n## Guards\n");
        let set = serde_json::from_str(&format!("{{ {guards} }}")).expect("JSON");
        let set = FlagSet::from_json(set).expect("a set");
        let title = "\n### Is every endpoint guarded?\n";
        let document = serde_saphyr::from_str(block(docs, title)).expect("YAML");
        let (_, rest) = docs.split_once("paths:\n").expect("the document");
        let shown = block(rest, "\n```\n");
        let below = PathPattern::below("/modules").expect("a path");
        let of = CoverageOf {
            service: None,
            below: Some(&below),
            missing_services: &BTreeSet::new(),
        };
        let found = coverage(&set, of, &endpoints(&document)).expect("guards");
        let mut wanted: Vec<&str> = shown.lines().collect();
        let talk = wanted.split_off(wanted.len() - 2);
        let command = "$ esclusa flag coverage --openapi openapi.yaml --flags flags.json --under /modules --strict";
        assert_eq!(wanted.remove(0), command);
        assert_eq!(lines(&found, &Output::new(false)), wanted);
        assert_eq!(
            talk[1],
            "1 guarded, 1 unguarded, 0 routes of guards fit no endpoint"
        );
    }
}
