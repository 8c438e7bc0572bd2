//! Pages of the documentation that are made from the language, and snippets of the guide
//! that must be what they say. `UPDATE=1` writes the made ones anew.

use esclusa_plan::{Catalog, Severity, SourceFile, json_schema, parse, render_all};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The drivers of this program, as they have agreed to be.
fn catalog() -> Catalog {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers/golden/catalog.json");
    let text = std::fs::read_to_string(file).expect("the drivers' catalog");
    serde_json::from_str(&text).expect("a catalog")
}

/// Compares a page with what it should be, or writes it.
fn same(page: &str, text: &str) {
    let path = docs().join(page);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{page} is not what the program says; UPDATE=1 writes it anew"
    );
}

const PLAN_HEAD: &str = "# All keys of a plan

Made from the tables by which plans are read (`UPDATE=1 cargo nextest run --workspace -E
'test(the_reference_names_every_key)'` writes it anew). How to write a plan is in [the
guide](../plan.md); `esclusa plan schema` prints the same as JSON Schema, for editors.

A key that is not here is refused. Texts may name placeholders such as `${version}`.

| form | written as |
|---|---|
| duration | a number and `ms`, `s`, `m`, `h` or `d`: `300ms`, `30s`, `1h30m` |
| seconds | `5` or `5s`, for keys that end in `-s` |
| share, percent | `5%`, shares in steps of 0.01% |
| fraction | `0.01` or `1%` |
| points | percentage points: `0.5pp` |
| size | `64 MiB`, `10 MB` |
| rate | `10/s`, `30/m` |
| command | a line for the shell, or a list of words that are run as they are |
| label | `a-z`, `0-9` and `-`, at most 63 |
| token | letters, digits and `. _ + : @ / -`, at most 128 |
";

#[test]
fn the_reference_names_every_key() {
    let schema = json_schema(&catalog());
    let mut out = PLAN_HEAD.to_owned();
    out.push_str("\n## The top of a plan\n\n");
    let mut below = Vec::new();
    table(&schema, "", &mut out, &mut below);
    // Blocks in the order in which they are named; each once.
    let mut at = 0;
    while let Some((path, block)) = below.get(at).cloned() {
        let _ = writeln!(out, "\n## `{path}`\n");
        table(&block, &path, &mut out, &mut below);
        at += 1;
    }
    for key in [
        "`lost-control.then`",
        "## `judge.latency.p95`",
        "`requires[].sign-off`",
    ] {
        let plain = key.trim_matches('`');
        assert!(
            out.contains(plain.rsplit('.').next().unwrap_or(plain)),
            "{key} in {out}"
        );
    }
    same("reference/plan.md", &out);
}

fn table(block: &Value, path: &str, out: &mut String, below: &mut Vec<(String, Value)>) {
    let required: Vec<&str> = block["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = block["properties"].as_object();
    if properties.is_none_or(serde_json::Map::is_empty) {
        out.push_str("No keys: write `{}`.\n");
        return;
    }
    out.push_str("| key | form | meaning |\n|---|---|---|\n");
    for (key, value) in properties.into_iter().flatten() {
        let here = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let form = form(value, &here, below);
        let mut meaning = value["description"].as_str().unwrap_or("").to_owned();
        if required.contains(&key.as_str()) {
            meaning.push_str(" **Needed.**");
        }
        match &value["default"] {
            Value::Null => {}
            Value::Object(empty) if empty.is_empty() => {}
            Value::String(text) => {
                let _ = write!(meaning, " Default: `{text}`.");
            }
            other => {
                let _ = write!(meaning, " Default: `{other}`.");
            }
        }
        let meaning = meaning.replace('|', "\\|");
        let _ = writeln!(out, "| `{key}` | {form} | {meaning} |");
    }
}

/// The form of a value in words; blocks get a section of their own.
fn form(value: &Value, path: &str, below: &mut Vec<(String, Value)>) -> String {
    if let Some(name) = value["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    if let Some(words) = value["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .filter_map(Value::as_str)
            .map(|w| format!("`{w}`"))
            .collect();
        return words.join(", ");
    }
    if let Some(word) = value["const"].as_str() {
        return format!("`{word}`");
    }
    if let Some(all) = value["anyOf"].as_array() {
        let all: Vec<String> = all.iter().map(|one| form(one, path, below)).collect();
        return all.join(", or ");
    }
    match value["type"].as_str() {
        Some("array") => {
            let inner = form(&value["items"], &format!("{path}[]"), below);
            format!("list of {inner}")
        }
        Some("object") if value["properties"].is_object() => {
            if !below.iter().any(|(known, _)| known == path) {
                below.push((path.to_owned(), value.clone()));
            }
            "block".to_owned()
        }
        Some("object") => {
            let inner = form(
                &value["additionalProperties"],
                &format!("{path}.<name>"),
                below,
            );
            format!("names, each with {inner}")
        }
        Some("integer") => format!("{} to {}", value["minimum"], value["maximum"]),
        Some("boolean") => "`true`, `false`".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

const ERRORS_HEAD: &str = "# All error codes

Made from the pages in [errors](../errors) (`UPDATE=1 cargo nextest run --workspace -E
'test(the_list_of_errors_is_complete)'` writes it anew). Every message that users meet has a
code; each page says what it means and what to do next.

| code | what |
|---|---|
";

#[test]
fn the_list_of_errors_is_complete() {
    let mut out = ERRORS_HEAD.to_owned();
    let mut titles = BTreeMap::new();
    for entry in std::fs::read_dir(docs().join("errors")).expect("the pages of errors") {
        let path = entry.expect("a page").path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("a page");
        let first = text.lines().next().unwrap_or("");
        let title = first.strip_prefix(&format!("# {name}: "));
        let title = title.map(str::to_owned).unwrap_or_default();
        assert!(
            !title.is_empty(),
            "{name} does not begin with its code: {first}"
        );
        titles.insert(name, title);
    }
    for (code, title) in &titles {
        let _ = writeln!(out, "| [{code}](../errors/{code}.md) | {title} |");
    }
    // What a page is called is what the code is called.
    for (code, title) in esclusa_plan::CODES {
        assert_eq!(
            titles.get(*code).map(String::as_str),
            Some(*title),
            "{code}"
        );
    }
    same("reference/errors.md", &out);
}

/// A plan around a snippet: whatever the snippet does not say.
const AROUND: [(&str, &str); 5] = [
    ("esclusa", "1"),
    ("service", "shop"),
    ("route", "{ listen: 127.0.0.1:8080 }"),
    ("artifact", "./dist/${version}"),
    ("stages", "[{ to: 5%, for: 30m }, { to: 100%, watch: 1h }]"),
];
const RUN: &str =
    "process: { command: [\"${dir}/shop\", --port, \"${port}\"], ready: { http: /health } }\n";

fn whole(snippet: &str) -> String {
    let says = |key: &str| {
        snippet
            .lines()
            .any(|line| line.starts_with(&format!("{key}:")))
    };
    // One that is whole already.
    if says("esclusa") {
        return snippet.to_owned();
    }
    let mut text = snippet.to_owned();
    let own_parts = ["components", "process", "command", "address"]
        .iter()
        .any(|key| says(key));
    for (key, value) in AROUND {
        let replaced = says(key)
            || (key == "artifact" && own_parts)
            || (key == "stages" && says("template"))
            || (key == "route" && says("traffic"));
        if !replaced {
            let _ = writeln!(text, "{key}: {value}");
        }
    }
    if !own_parts {
        text.push_str(RUN);
    }
    text
}

#[test]
fn every_snippet_of_the_guide_is_a_plan() {
    let page = std::fs::read_to_string(docs().join("plan.md")).expect("the guide");
    let snippets: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|after| after.split("```").next())
        .collect();
    assert!(snippets.len() >= 8, "only {} snippets", snippets.len());
    for snippet in snippets {
        let source = SourceFile::new("plan.md", whole(snippet));
        let found = match parse(&source, &catalog()) {
            Ok(parsed) => parsed.warnings,
            Err(found) => found,
        };
        let errors = found.iter().any(|d| d.severity == Severity::Error);
        assert!(!errors, "{}\n{}", render_all(&source, &found), source.text);
    }
    // The wrong one that the guide shows is told what the guide says.
    let wrong = SourceFile::new(
        "esclusa.yaml",
        whole("stages:\n  - { to: 5, for: 30 minutes }\n  - { to: 100%, watch: 1h }\n"),
    );
    let found = parse(&wrong, &catalog()).expect_err("refused");
    let told = render_all(&wrong, &found);
    let shown = page
        .split("```text\n")
        .nth(1)
        .and_then(|after| after.split("```").next());
    assert_eq!(shown.map(str::trim), Some(told.trim()));
}
