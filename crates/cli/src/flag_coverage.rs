//! `flag coverage`: which endpoints of an OpenAPI document the guards cover.

use crate::args::Global;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::place::one_file;
use crate::table::table;
use clap::Args;
use esclusa_flags::{Coverage, Endpoint, FlagSet, GuardMode, coverage};
use serde_json::Value;
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
    /// A set of flags with its guards, in JSON or YAML [default: the server's]
    #[arg(long, value_name = "FILE")]
    flags: Option<PathBuf>,
    /// Only guards of this service [default: all]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only endpoints under this path, such as /reports
    #[arg(long, value_name = "PATH")]
    under: Option<String>,
    /// Exit 2 when an endpoint is not guarded, or a guard's route fits none
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
    let mut endpoints = endpoints(&document).ok_or_else(|| {
        let message = format!("{} has no paths", asked.openapi.display());
        Failure::input("ESC-0760", message, "name an OpenAPI document with `paths`")
    })?;
    if let Some(under) = &asked.under {
        let under = under.trim_end_matches('/');
        endpoints.retain(|endpoint| {
            let rest = endpoint.path.strip_prefix(under);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    }
    let set = match &asked.flags {
        Some(file) => read(file, "ESC-0761", "name a set of flags with guards")?,
        None => Client::new(global)?.get("/api/v1/flag-set").await?,
    };
    let found = FlagSet::from_json(set)
        .map_err(|problem| vec![problem])
        .and_then(|set| coverage(&set, asked.service.as_deref(), &endpoints))
        .map_err(|problems| {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let help = "correct the guards; `docs/flags.md` says how they are written";
            Failure::input("ESC-0761", all.join("; "), help)
        })?;
    let open = !(found.unguarded.is_empty() && found.idle.is_empty());
    if !output.json(&found) {
        show(&found, output);
    }
    Ok(match asked.strict && open {
        true => Exit::BadInput,
        false => Exit::Done,
    })
}

fn read(file: &Path, code: &str, help: &str) -> Result<Value, Failure> {
    let text = one_file(file, help)?;
    let json = serde_json::from_str(&text);
    // What is no JSON may be YAML, whose words are the better ones then.
    json.or_else(|_| serde_saphyr::from_str(&text))
        .map_err(|error| {
            let message = format!("{} is neither JSON nor YAML: {error}", file.display());
            Failure::input(code, message, help)
        })
}

/// All operations, sorted by path. Paths begin at the document's first server.
fn endpoints(document: &Value) -> Option<Vec<Endpoint>> {
    let server = document.pointer("/servers/0/url").and_then(Value::as_str);
    let base = document.get("basePath").and_then(Value::as_str);
    let base = base.or(server.map(path_of)).unwrap_or_default();
    let base = base.trim_end_matches('/');
    let mut endpoints = Vec::new();
    for (path, operations) in document.get("paths")?.as_object()? {
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
    Some(endpoints)
}

/// The path of an address, which may be relative.
fn path_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else {
        return if url.starts_with('/') { url } else { "" };
    };
    rest.find('/').map_or("", |at| &rest[at..])
}

fn show(found: &Coverage, output: &Output) {
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
    if !rows.is_empty() {
        for line in table(&["METHOD", "PATH", "FLAG", "MODE", "GUARD"], &rows) {
            output.line(&line);
        }
    }
    for Endpoint { method, path } in &found.unguarded {
        let word = output.colour.paint(Tone::Warn, "unguarded");
        output.line(&format!("{word}  {method} {path}"));
    }
    for idle in &found.idle {
        let word = output.colour.paint(Tone::Warn, "fits none");
        let method = idle.method.as_deref().unwrap_or("any");
        let (path, guard, at) = (&idle.path, &idle.guard, idle.route + 1);
        output.line(&format!(
            "{word}  {method} {path} (route {at} of guard {guard})"
        ));
    }
    output.say(&format!(
        "{} guarded, {} unguarded, {} routes of guards fit no endpoint",
        found.guarded.len(),
        found.unguarded.len(),
        found.idle.len()
    ));
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
            let found = endpoints(&document).expect("paths");
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
        assert_eq!(endpoints(&json!({ "openapi": "3.1.0" })), None);
    }
}
