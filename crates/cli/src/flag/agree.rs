//! Asking a person before flags are changed.

use super::change_lines;
use crate::exit::Failure;
use crate::output::{Form, Output};
use esclusa_flags::Change;
use std::io::{BufRead as _, IsTerminal as _};

/// Most lines of a difference; nobody reads a thousand tenants.
const MAX_LINES: usize = 50;

/// Shows what becomes different. For programs it is talk: their answer comes at the end.
pub(super) fn show(changes: &[Change], output: &Output) {
    let lines: Vec<String> = changes
        .iter()
        .flat_map(|change| change_lines(change, output))
        .collect();
    for line in lines.iter().take(MAX_LINES) {
        match output.form {
            Form::People => output.line(line),
            Form::Json => output.say(line),
        }
    }
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        output.say(&format!("and {more} more: `--dry-run --json` shows all"));
    }
    if changes.is_empty() {
        output.say("nothing is different from what is stored");
    }
}

/// Asks a person who sits at a terminal; a program has said what it wants by calling this.
pub(super) fn agreed(changes: &[Change], yes: bool, output: &Output) -> bool {
    let input = std::io::stdin();
    let asks = !yes && input.is_terminal();
    if asks || output.form == Form::People {
        show(changes, output);
    }
    if !asks {
        return true;
    }
    output.say("make these changes? [y/N]");
    let mut answer = String::new();
    // Who closes the terminal has not agreed.
    let read = input.lock().read_line(&mut answer);
    let agreed = read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
    if !agreed {
        output.say("nothing was changed");
    }
    agreed
}

/// Refuses to remove flags where nobody is asked and nobody agreed beforehand.
pub(super) fn spare_flags(changes: &[Change], yes: bool) -> Result<(), Failure> {
    if yes || std::io::stdin().is_terminal() {
        return Ok(());
    }
    let gone = removed_flags(changes);
    if gone.is_empty() {
        return Ok(());
    }
    let shown = gone.iter().take(5).map(String::as_str);
    let mut names = shown.collect::<Vec<_>>().join(", ");
    if gone.len() > 5 {
        names.push_str(&format!(" and {} more", gone.len() - 5));
    }
    Err(Failure::input(
        "ESC-0750",
        format!("that would remove flags that the file does not name: {names}"),
        "nothing was changed; say `--yes` to remove them, or leave out --replace to keep them",
    ))
}

fn removed_flags(changes: &[Change]) -> Vec<String> {
    let gone = changes.iter().filter(|change| change.after.is_none());
    gone.flat_map(|change| match change.path.strip_prefix("/flags") {
        Some("") => {
            let all = change.before.as_ref().and_then(|all| all.as_object());
            all.map(|all| all.keys().cloned().collect())
                .unwrap_or_default()
        }
        Some(below) => match below.strip_prefix('/') {
            Some(key) if !key.contains('/') => vec![key.replace("~1", "/").replace("~0", "~")],
            Some(_) | None => Vec::new(),
        },
        None => Vec::new(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_whole_flags_are_removed_flags() {
        let gone = |path: &str, before| Change {
            path: path.into(),
            before: Some(before),
            after: None,
        };
        let changes = [
            gone("/flags", json!({ "a": {}, "b": {} })),
            gone("/flags/c~1d", json!({})),
            gone("/flags/e/owner", json!("x")),
            gone("/flagship", json!({})),
        ];
        assert_eq!(removed_flags(&changes), ["a", "b", "c/d"]);
    }
}
