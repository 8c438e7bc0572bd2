//! A Procfile: one line for each kind of process.

use super::detect::{first, kind_by_name, one_web, shell, with_port};
use super::write::label;
use super::{Found, Kind, Part, Run};
use std::path::Path;

pub(super) fn look(folder: &Path) -> Option<Found> {
    let (file, text) = first(folder, &["Procfile"])?;
    let mut found = Found::default();
    let lines: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, line)| (name.trim(), line.trim()))
        .filter(|(name, line)| !name.is_empty() && !line.is_empty())
        .collect();
    let alone = lines.iter().filter(|(name, _)| *name != "release").count() == 1;
    for (name, line) in &lines {
        if *name == "release" {
            found.before.push(shell(line));
            found.guessed.push(format!(
                "nothing takes `{line}` back: add `undo:`, or `undo: none` when nothing has to"
            ));
            continue;
        }
        let kind = match *name {
            "web" => Kind::Web,
            name => kind_by_name(name, alone),
        };
        found.parts.push(Part {
            name: label(name),
            kind,
            run: Run::Process {
                line: shell(&with_port(line, None)),
                env: Vec::new(),
            },
            health: None,
        });
    }
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    found.found.push(format!("{file}: {}", names.join(", ")));
    one_web(&mut found);
    (!found.parts.is_empty()).then_some(found)
}
