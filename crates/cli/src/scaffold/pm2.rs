//! A pm2 ecosystem file: JSON, or JavaScript that is little more than that.

use super::detect::{first, kind_by_name, one_web, port_in, shell, with_port};
use super::write::label;
use super::{Found, Kind, Part, Run};
use serde_json::Value;
use std::path::Path;

const FILES: [&str; 6] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.json",
    "ecosystem.json",
    "pm2.json",
    "pm2.config.js",
];

pub(super) fn look(folder: &Path) -> Option<Found> {
    let (file, text) = first(folder, &FILES)?;
    let mut found = Found::default();
    let Some(apps) = apps(&text) else {
        found.found.push(format!(
            "{file}: it computes its values, so it was not understood"
        ));
        found
            .guessed
            .push("one web component under the name of the folder".to_owned());
        found.parts.push(Part {
            name: "web".to_owned(),
            kind: Kind::Web,
            run: Run::Process {
                line: "exec node ${dir}/server.js".to_owned(),
                env: Vec::new(),
            },
            health: None,
        });
        return Some(found);
    };
    let alone = apps.len() == 1;
    let mut names = Vec::new();
    for app in &apps {
        let word = |key: &str| app.get(key).and_then(Value::as_str);
        let Some(script) = word("script") else {
            continue;
        };
        let name = word("name").unwrap_or("web");
        names.push(name.to_owned());
        let env = environment(app);
        let line = line(app, script);
        let port = env
            .iter()
            .find(|(key, _)| key == "PORT")
            .and_then(|(_, port)| port.parse().ok())
            .or_else(|| port_in(&line));
        let kind = if app.get("cron_restart").is_some() {
            Kind::Singleton
        } else {
            kind_by_name(name, alone || port.is_some())
        };
        found.port = found.port.or(port);
        let copies = app
            .get("instances")
            .map_or("1".to_owned(), Value::to_string);
        if copies != "1" {
            found.guessed.push(format!(
                "{name} runs once, and {copies} times under pm2: see `instances`"
            ));
        }
        found.parts.push(Part {
            name: label(name),
            kind,
            run: Run::Process {
                line: shell(&with_port(&line, port)),
                env: env
                    .into_iter()
                    .filter(|(key, _)| key != "PORT")
                    .map(|(key, value)| (key, shell(&value)))
                    .collect(),
            },
            health: None,
        });
    }
    found.found.push(format!("{file}: {}", names.join(", ")));
    found.guessed.push(
        "pm2 itself is no longer needed: esclusa starts and watches the processes".to_owned(),
    );
    one_web(&mut found);
    (!found.parts.is_empty()).then_some(found)
}

fn line(app: &Value, script: &str) -> String {
    let word = |key: &str| app.get(key).and_then(Value::as_str);
    let script = script.trim_start_matches("./");
    let by_end = match script.rsplit('.').next() {
        Some("js" | "cjs" | "mjs") => "node",
        Some("py") => "python3",
        Some("sh") => "sh",
        _ => "",
    };
    let interpreter = match word("interpreter") {
        Some("none") => "",
        Some(other) => other,
        None => by_end,
    };
    let args = match app.get("args") {
        Some(Value::String(args)) => args.clone(),
        Some(Value::Array(args)) => args
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    };
    let script = if script.contains('/') || !by_end.is_empty() {
        format!("${{dir}}/{script}")
    } else {
        script.to_owned()
    };
    let words = ["exec", interpreter, &script, &args];
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn environment(app: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for block in ["env", "env_production"] {
        for (key, value) in app
            .get(block)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            all.retain(|(known, _)| known != key);
            all.push((key.clone(), value));
        }
    }
    all
}

/// The list of apps. An object of JavaScript that holds only values is YAML in braces.
fn apps(text: &str) -> Option<Vec<Value>> {
    let text = without_comments(text);
    let start = text.find(['{', '['])?;
    let whole = text
        .get(start..)?
        .trim_end()
        .trim_end_matches(';')
        .trim_end();
    let value: Value = serde_json::from_str(whole)
        .ok()
        .or_else(|| serde_saphyr::from_str(&whole.replace('\t', " ")).ok())?;
    let apps = value.get("apps").cloned().unwrap_or(value);
    match apps {
        Value::Array(apps) => Some(apps),
        Value::Object(_) => Some(vec![apps]),
        _ => None,
    }
}

/// JavaScript without its comments; `//` within quotes is none.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut quote: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c, rest.peek()) {
            (None, '/', Some('/')) => {
                for c in rest.by_ref() {
                    if c == '\n' {
                        out.push(c);
                        break;
                    }
                }
            }
            (None, '/', Some('*')) => {
                let mut last = ' ';
                for c in rest.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            (None, '"' | '\'' | '`', _) => {
                quote = Some(c);
                out.push(c);
            }
            (Some(mark), c, _) if mark == c => {
                quote = None;
                out.push(c);
            }
            (_, c, _) => out.push(c),
        }
    }
    out
}
