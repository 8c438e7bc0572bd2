//! A first plan as text.

use super::{Found, Kind, Part, Run, SCHEMA};
use std::fmt::Write as _;

/// The plan for what was found in a folder of this name.
pub(super) fn plan(folder: &str, found: &Found) -> String {
    let mut out = format!("# yaml-language-server: $schema=./{SCHEMA}\n");
    // Writing to a text cannot fail.
    let _ = writeln!(
        out,
        "# A first plan. It was written for what lies in this folder:"
    );
    for line in &found.found {
        let _ = writeln!(out, "#   {line}");
    }
    if !found.guessed.is_empty() {
        let _ = writeln!(out, "# Look at these; nobody said so:");
    }
    for line in &found.guessed {
        let _ = writeln!(out, "#   {line}");
    }
    let _ = writeln!(out, "\nesclusa: 1\nservice: {}", label(folder));
    let web = found.parts.iter().any(|part| part.kind == Kind::Web);
    let processes = found
        .parts
        .iter()
        .any(|part| matches!(part.run, Run::Process { .. }));
    if web {
        let port = listen(found.port);
        out.push_str("\n# Where users come to; the versions themselves get ports of their own.\n");
        let _ = writeln!(out, "route: {{ listen: 127.0.0.1:{port} }}");
    }
    out.push('\n');
    if processes {
        out.push_str("# Put each version into a folder of its own before its release.\n");
    }
    out.push_str("components:\n");
    for part in &found.parts {
        component(part, &mut out);
    }
    if !found.before.is_empty() {
        out.push_str("\nbefore:\n");
        for line in &found.before {
            let _ = writeln!(out, "  - command: {}", quoted(line));
        }
    }
    if !web {
        out.push_str(
            "\n# Nothing here answers requests, so nothing can judge it: a person lets it go on.\n\
             judge: { blind: { then: hold } }\n",
        );
    }
    out.push_str(
        "\nstages:\n  - { to: 5%, for: 30m }\n  - { to: 25%, for: 30m }\n  - { to: 50%, for: 30m }\n  \
         - { to: 100%, watch: 1h }\n",
    );
    out
}

/// Users keep their port where there is one; a plan cannot listen where the old process
/// still does, which is said in the guide.
fn listen(port: Option<u16>) -> u16 {
    port.unwrap_or(8080)
}

fn component(part: &Part, out: &mut String) {
    let _ = writeln!(out, "  {}:", part.name);
    match part.kind {
        Kind::Web => {}
        Kind::Worker => out.push_str("    kind: worker\n"),
        Kind::Singleton => out.push_str("    kind: singleton\n"),
    }
    let web = part.kind == Kind::Web;
    match &part.run {
        Run::Process { line, env } => {
            out.push_str("    artifact: ./dist/${version}\n    process:\n");
            let _ = writeln!(out, "      command: {}", quoted(line));
            let port = web && !line.contains("${port}");
            if port || !env.is_empty() {
                out.push_str("      env:\n");
            }
            if port {
                out.push_str("        PORT: \"${port}\"\n");
            }
            for (key, value) in env {
                let _ = writeln!(out, "        {key}: {}", quoted(value));
            }
        }
        Run::Scripts {
            start,
            stop,
            status,
        } => {
            out.push_str("    command:\n");
            let _ = writeln!(out, "      start: {}", quoted(start));
            let _ = writeln!(out, "      stop: {}", quoted(stop));
            let _ = writeln!(out, "      status: {}", quoted(status));
            if web {
                out.push_str("      url: http://127.0.0.1:${port}\n");
            }
        }
    }
    if web {
        match &part.health {
            Some(path) => {
                let _ = writeln!(out, "      ready: {{ http: {path} }}");
            }
            None => out.push_str(
                "      # Better `http: /health`, where it answers such a path.\n      ready: { tcp: true }\n",
            ),
        }
    }
    if part.kind == Kind::Singleton {
        out.push_str(
            "      # Handed over by stopping one and starting the other; see `track-hook`.\n",
        );
    }
}

/// A text as YAML takes it, whatever is in it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name that services and components may have.
pub(super) fn label(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
        if out.len() == 60 {
            break;
        }
    }
    let out = out.trim_end_matches('-');
    if out.is_empty() { "service" } else { out }.to_owned()
}
