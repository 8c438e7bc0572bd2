//! Tables that follow the flags: how they stand, and the file that names them.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::findings;
use crate::output::{Output, Tone};
use crate::place;
use crate::table::{one_line, table};
use esclusa_model::Timestamp;
use esclusa_plan::SourceFile;
use esclusa_server::body::{PropagationView, SinkView};
use esclusa_server::report::rfc3339;
use esclusa_server::{NoSql, check_sinks, proxy_socket_path, sink_by_hand};
use serde_json::json;
use std::path::Path;

/// Shows how the tables stand, where there are any.
pub(super) fn show(found: &PropagationView, output: &Output) {
    if let Some(trouble) = &found.sinks_trouble {
        output.say("the file that says which tables follow the flags is not in force (ESC-0720):");
        output.say(trouble);
    }
    if found.sinks.is_empty() {
        return;
    }
    output.line("");
    let head = ["TABLE OF", "STATE", "ROWS", "WRITTEN", "DRIFT", "MISSING"];
    let rows: Vec<Vec<String>> = found.sinks.iter().map(row).collect();
    for line in table(&head, &rows) {
        output.line(&line);
    }
    for sink in &found.sinks {
        for line in more(sink) {
            output.say(&format!("{}: {}", sink.name, one_line(&line)));
        }
    }
}

fn row(sink: &SinkView) -> Vec<String> {
    let state = match sink.behind_since_us {
        Some(at) if sink.state == "behind" => {
            format!("behind since {}", rfc3339(Timestamp(at)))
        }
        Some(_) | None => sink.state.clone(),
    };
    vec![
        format!("{} ({} {})", sink.name, sink.kind, sink.table),
        state,
        sink.rows.to_string(),
        sink.written.to_string(),
        sink.drift.to_string(),
        sink.missing.to_string(),
    ]
}

/// What is not as it should be.
fn more(sink: &SinkView) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(sink.error.clone());
    let mut name = |words: &str, some: &[String]| {
        if !some.is_empty() {
            lines.push(format!("{words}: {}", some.join(", ")));
        }
    };
    name("changed by somebody else and left so", &sink.left);
    name("no rows for", &sink.missing_keys);
    name("flags that nobody has defined", &sink.unknown_flags);
    lines.extend(sink.notes.iter().cloned());
    lines
}

/// Says all that is wrong with a file.
pub(super) fn lint(file: &Path, output: &Output) -> Result<Exit, Failure> {
    let help = "name the file that names the tables: `esclusa flag sink lint FILE`";
    let read = place::read_settings(file, help)?;
    let source = SourceFile::new(&read.name, &read.text);
    let found = match check_sinks(&source) {
        Ok(config) => {
            let sinks = config.sinks.len();
            let accepted = json!({ "accepted": true, "sinks": sinks, "diagnostics": [] });
            if !output.json(&accepted) {
                let word = output.talk_colour.paint(Tone::Good, "accepted");
                output.say(&format!("{}: {word}, {sinks} sinks", read.name));
            }
            return Ok(Exit::Done);
        }
        Err(found) => found,
    };
    Ok(findings::refuse(&found, &source, output))
}

/// Prints the statement of an emergency.
pub(super) fn sql(
    name: &str,
    file: Option<&Path>,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let data = place::data(global)?;
    let file = file.map_or_else(|| data.join("sinks.yaml"), Path::to_owned);
    let help = "name it with --file, or the data folder that has it as sinks.yaml with --data";
    let read = place::read_settings(&file, help)?;
    let source = SourceFile::new(&read.name, &read.text);
    let config = match check_sinks(&source) {
        Ok(config) => config,
        Err(found) => {
            findings::print(&found, &source, output);
            return Ok(Exit::BadInput);
        }
    };
    let unable = |why: String, help: &str| Failure::input("ESC-0722", why, help);
    let Some(sink) = config.sinks.iter().find(|sink| sink.name == name) else {
        let known: Vec<&str> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
        let help = format!("there are {}", known.join(", "));
        return Err(unable(format!("no sink is called {name}"), &help));
    };
    let proxy = proxy_socket_path(&data);
    let folder = proxy.parent().unwrap_or(&data);
    let saved = esclusa_proxy::saved_flags(folder);
    let made = match &saved {
        Some(saved) => sink_by_hand(sink, saved),
        None => {
            let why = "the proxy of this data folder has kept no flags".to_owned();
            let help = "name the data folder of the server with --data".to_owned();
            Err(NoSql { why, help })
        }
    };
    let made = made.map_err(|none| unable(none.why, &none.help))?;
    if !output.json(&json!({ "sql": made.sql, "notes": made.notes })) {
        output.line(&made.sql);
        for note in &made.notes {
            output.say(&one_line(note));
        }
    }
    Ok(Exit::Done)
}
