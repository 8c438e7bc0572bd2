//! Which files of a folder say how its service runs, the most telling first.

use super::{Found, Kind, Part, Run, compose, pm2, procfile, systemd};
use std::path::Path;

/// Larger files are not what they are called.
const MAX_BYTES: u64 = 1 << 20;

/// Looks at a folder. There is always something to write, if only a guess.
pub(super) fn look(folder: &Path) -> Found {
    let ways: [fn(&Path) -> Option<Found>; 4] =
        [compose::look, pm2::look, procfile::look, systemd::look];
    let mut all = ways.into_iter().filter_map(|way| way(folder));
    let Some(mut first) = all.next() else {
        return nothing(folder);
    };
    for other in all {
        for line in other.found {
            first
                .guessed
                .push(format!("{line}: not used, because of what was found first"));
        }
    }
    first
}

/// A text file of the folder, where it is there and not too large.
pub(super) fn text(file: &Path) -> Option<String> {
    let about = std::fs::metadata(file).ok()?;
    (about.is_file() && about.len() <= MAX_BYTES)
        .then(|| std::fs::read_to_string(file).ok())
        .flatten()
}

/// The first of these files that is there, with its name and text.
pub(super) fn first<'n>(folder: &Path, names: &[&'n str]) -> Option<(&'n str, String)> {
    names
        .iter()
        .find_map(|name| Some((*name, text(&folder.join(name))?)))
}

fn nothing(folder: &Path) -> Found {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let program = super::write::label(&name);
    Found {
        found: vec![
            "nothing that says how the service runs: no compose file, ecosystem file, Procfile or \
             unit"
                .to_owned(),
        ],
        guessed: vec![format!(
            "the service is one program `{program}` that takes its port after --port"
        )],
        parts: vec![Part {
            name: "web".to_owned(),
            kind: Kind::Web,
            run: Run::Process {
                line: format!("exec ${{dir}}/{program} --port ${{port}}"),
                env: Vec::new(),
            },
            health: None,
        }],
        ..Found::default()
    }
}

/// What a part's name says about it, where nothing else does.
pub(super) fn kind_by_name(name: &str, alone: bool) -> Kind {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["cron", "sched", "clock", "beat", "timer"]) {
        Kind::Singleton
    } else if alone
        || has(&[
            "web", "api", "app", "http", "front", "site", "server", "gateway",
        ])
    {
        Kind::Web
    } else {
        Kind::Worker
    }
}

/// Only one web component can answer everything; the others become workers.
pub(super) fn one_web(found: &mut Found) {
    let mut seen = false;
    for part in &mut found.parts {
        if part.kind == Kind::Web {
            if seen {
                part.kind = Kind::Worker;
                found.guessed.push(format!(
                    "{} may answer requests too: give it `kind: web` and a `route` of its own then",
                    part.name
                ));
            }
            seen = true;
        }
    }
}

/// A command line with its port in place of `$PORT`, `${PORT}` or a number that stands for
/// it.
pub(super) fn with_port(line: &str, port: Option<u16>) -> String {
    let line = line
        .replace("${PORT:-", "${PORT-")
        .replace("${PORT}", "${port}")
        .replace("$PORT", "${port}");
    let line = match line.split_once("${PORT-") {
        Some((before, after)) => {
            let rest = after.split_once('}').map_or("", |(_, rest)| rest);
            format!("{before}${{port}}{rest}")
        }
        None => line,
    };
    let Some(port) = port.filter(|_| !line.contains("${port}")) else {
        return line;
    };
    let port = port.to_string();
    let words = line.split(' ').map(|word| {
        let ends = word
            .strip_suffix(&port)
            .filter(|before| before.is_empty() || before.ends_with([':', '=']));
        ends.map_or_else(|| word.to_owned(), |before| format!("{before}${{port}}"))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The port that a command line names after `--port`, `-p` or a colon.
pub(super) fn port_in(line: &str) -> Option<u16> {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.iter().enumerate().find_map(|(at, word)| {
        let after = |flag: &&str| matches!(*flag, "--port" | "-p" | "--listen" | "--bind" | "-b");
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        let number = if before.is_some_and(after) {
            word.rsplit(':').next().unwrap_or(word)
        } else {
            word.split_once("--port=")
                .map(|(_, number)| number)
                .or_else(|| word.rsplit_once(':').map(|(_, number)| number))?
        };
        number.parse().ok().filter(|port| *port >= 80)
    })
}

/// `${` of a shell stays one.
pub(super) fn shell(line: &str) -> String {
    const OURS: [&str; 3] = ["${port}", "${dir}", "${version}"];
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if !OURS.iter().any(|own| from.starts_with(own)) && !before.ends_with('$') {
            out.push('$');
        }
        out.push_str("${");
        rest = from.strip_prefix("${").unwrap_or("");
    }
    out + rest
}
