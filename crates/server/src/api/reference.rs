//! `docs/reference/api.md`, written from the interface's own description.

use super::openapi::description;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "# The HTTP interface

Written from [openapi/esclusa.json](../../openapi/esclusa.json), which has the shapes of all
bodies (`cargo nextest run -E 'test(the_page_is_what_the_description_says)'` with `UPDATE=1`
writes it anew). A server gives its own description at `/openapi.json`.

Errors are JSON with a code, a sentence and the next step; [errors](../errors) has a page for
each code. Send a token as `Authorization: Bearer`; the Unix socket of the data folder needs
none. *Scope* is the least that a token has to have.
";

fn page(description: &Value) -> String {
    let mut by_tag: BTreeMap<String, Vec<[String; 4]>> = BTreeMap::new();
    let none = serde_json::Map::new();
    for (path, item) in description["paths"].as_object().unwrap_or(&none) {
        for (method, operation) in item.as_object().unwrap_or(&none) {
            let text = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
            let tag = operation["tags"][0].as_str().unwrap_or("other").to_owned();
            let parameters = operation["parameters"].as_array();
            let parameters = parameters.into_iter().flatten().filter_map(|parameter| {
                let name = parameter["name"].as_str()?;
                (parameter["in"] == "query").then(|| format!("`{name}`"))
            });
            let parameters: Vec<String> = parameters.collect();
            by_tag.entry(tag).or_default().push([
                format!("{} {path}", method.to_uppercase()),
                text("x-esclusa-scope"),
                text("summary").replace('\n', " "),
                parameters.join(", "),
            ]);
        }
    }
    let mut out = HEAD.to_owned();
    for (tag, rows) in by_tag {
        let _ = write!(
            out,
            "\n## {tag}\n\n| call | scope | what | query |\n|---|---|---|---|\n"
        );
        for [call, scope, what, query] in rows {
            let _ = writeln!(out, "| `{call}` | {scope} | {what} | {query} |");
        }
    }
    out
}

#[test]
fn the_page_is_what_the_description_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/api.md");
    let page = page(description());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/api.md is not what the description says; UPDATE=1 writes it anew"
    );
}

#[test]
fn every_call_says_what_it_does_and_whom_it_answers() {
    let mute = |description: &Value| -> Vec<String> {
        let page = page(description);
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        rows.filter(|row| {
            row.contains("|  | ") && {
                let cells: Vec<&str> = row.split(" | ").collect();
                cells.get(1).is_none_or(|scope| scope.trim().is_empty())
                    || cells.get(2).is_none_or(|what| what.trim().is_empty())
            }
        })
        .map(str::to_owned)
        .collect()
    };
    assert_eq!(mute(description()), Vec::<String>::new());
    let planted = serde_json::json!({ "paths": { "/x": { "get": { "tags": ["a"] } } } });
    assert_eq!(mute(&planted).len(), 1);
}
