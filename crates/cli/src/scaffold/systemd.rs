//! systemd units: `ExecStart` of a service, instances of a template.

use super::detect::{kind_by_name, one_web, port_in, shell, text, with_port};
use super::write::label;
use super::{Found, Part, Run};
use std::path::{Path, PathBuf};

/// Where projects keep their units.
const FOLDERS: [&str; 6] = [
    ".",
    "systemd",
    "deploy",
    "deploy/systemd",
    "packaging",
    "units",
];

pub(super) fn look(folder: &Path) -> Option<Found> {
    let mut units: Vec<(PathBuf, String)> = Vec::new();
    for sub in FOLDERS {
        let entries = std::fs::read_dir(folder.join(sub)).into_iter().flatten();
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|ext| ext == "service")
                && let Some(text) = text(&path)
            {
                units.push((path, text));
            }
        }
    }
    units.sort();
    let mut found = Found::default();
    let alone = units.len() == 1;
    for (path, unit) in &units {
        let shown = path
            .strip_prefix(folder)
            .unwrap_or(path)
            .display()
            .to_string();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(start) = value(unit, "ExecStart") else {
            continue;
        };
        if value(unit, "Type").as_deref() == Some("oneshot") {
            found
                .found
                .push(format!("{shown}: runs once and ends; it stays as it is"));
            continue;
        }
        found.found.push(format!("{shown}: {start}"));
        let env: Vec<(String, String)> = values(unit, "Environment");
        let port = env
            .iter()
            .find(|(key, _)| key == "PORT")
            .and_then(|(_, port)| port.parse().ok())
            .or_else(|| port_in(&start));
        let plain = name.trim_end_matches('@');
        let run = if name.ends_with('@') {
            found.guessed.push(format!(
                "`%i` of {name}.service is the port; its unit has to run the version in \
                 /run/{plain}/%i.version"
            ));
            scripts(plain)
        } else {
            found.guessed.push(format!(
                "{shown} is replaced by a process of esclusa's own; stop the unit before the first \
                 release"
            ));
            process(&start, env, port)
        };
        let kind = kind_by_name(plain, alone || port.is_some());
        found.port = found.port.or(port);
        found.parts.push(Part {
            name: label(plain),
            kind,
            run,
            health: None,
        });
    }
    one_web(&mut found);
    (!found.parts.is_empty()).then_some(found)
}

/// One instance of a template for each port; the file says which version it runs.
fn scripts(name: &str) -> Run {
    Run::Scripts {
        start: format!(
            "mkdir -p /run/{name} && echo ${{version}} > /run/{name}/${{port}}.version && \
             systemctl start {name}@${{port}}"
        ),
        stop: format!("systemctl stop {name}@${{port}}"),
        status: format!("systemctl is-active --quiet {name}@${{port}}"),
    }
}

/// The program of the unit, from the artifact in place of its fixed folder.
fn process(start: &str, env: Vec<(String, String)>, port: Option<u16>) -> Run {
    let start = start.trim_start_matches(['-', '@', '+', '!', ':']);
    let (program, words) = start.split_once(' ').unwrap_or((start, ""));
    let own = !["/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"]
        .iter()
        .any(|folder| program.starts_with(folder));
    let program = match program.rsplit_once('/') {
        Some((_, name)) if own => format!("${{dir}}/{name}"),
        _ => program.to_owned(),
    };
    let line = with_port(format!("exec {program} {words}").trim_end(), port);
    let env = env
        .into_iter()
        .filter(|(key, _)| key != "PORT")
        .map(|(key, value)| (key, shell(&value)))
        .collect();
    Run::Process {
        line: shell(&line),
        env,
    }
}

/// The last value of a setting, lines that go on joined.
fn value(unit: &str, key: &str) -> Option<String> {
    let joined = unit.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.split_once('='));
    let value = lines
        .filter(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
        .next_back()?;
    (!value.is_empty()).then_some(value)
}

/// All `KEY=value` of a setting.
fn values(unit: &str, key: &str) -> Vec<(String, String)> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(name, _)| name.trim() == key)
        .filter_map(|(_, value)| value.trim().trim_matches('"').split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
