//! `docs/reference/cli.md`, written from the words that `--help` shows.

use crate::args::Cli;
use clap::{Arg, ArgAction, Command, CommandFactory as _};
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "# The command line

Written from the program's own help (`cargo nextest run -E 'test(the_page_is_what_help_says)'`
with `UPDATE=1` writes it anew). Data goes to standard output and talk to standard error;
`--json` makes the data JSON. Colours are only for terminals, and `NO_COLOR` turns them off.

| exit | meaning |
|---|---|
| 0 | done; of a release that is waited for: promoted |
| 1 | a fault of the program, or nobody answers |
| 2 | bad input |
| 3 | rolled back |
| 4 | held: it waits for a person, or the command's own deadline passed |
| 5 | aborted |
| 6 | refused before any user was exposed |
| 9 | something could not be put back; the reason names it |
";

fn page() -> String {
    let mut command = Cli::command();
    command.build();
    let mut out = HEAD.to_owned();
    let everywhere: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .collect();
    out.push_str("\n## For all verbs\n\n");
    table(&mut out, &everywhere);
    for verb in command.get_subcommands() {
        section(&mut out, verb, "esclusa");
    }
    out
}

/// One verb and those below it.
fn section(out: &mut String, command: &Command, above: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{above} {}", command.get_name());
    let below: Vec<&Command> = command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
        .collect();
    let about = command.get_long_about().or_else(|| command.get_about());
    let _ = writeln!(out, "\n## {name}\n");
    if let Some(about) = about {
        let _ = writeln!(out, "{}\n", about.to_string().trim());
    }
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        let _ = writeln!(out, "Also written: `{}`.\n", aliases.join("`, `"));
    }
    if below.is_empty() {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").trim();
        let _ = writeln!(out, "```\n{usage}\n```\n");
    }
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set())
        .filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version") || takes_value(arg))
        .collect();
    table(out, &own);
    for verb in below {
        section(out, verb, &name);
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn table(out: &mut String, args: &[&Arg]) {
    if args.is_empty() {
        return;
    }
    out.push_str("| argument | meaning |\n|---|---|\n");
    for arg in args {
        let _ = writeln!(out, "| `{}` | {} |", written(arg), meaning(arg));
    }
}

/// How an argument is typed.
fn written(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(|name| format!("<{name}>"))
        .collect::<Vec<_>>()
        .join(" ");
    let names: Vec<String> = arg
        .get_short()
        .map(|short| format!("-{short}"))
        .into_iter()
        .chain(arg.get_long().map(|long| format!("--{long}")))
        .collect();
    match (names.is_empty(), takes_value(arg)) {
        (true, _) => value,
        (false, true) => format!("{} {value}", names.join(", "))
            .trim_end()
            .to_owned(),
        (false, false) => names.join(", "),
    }
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut words = help.map(ToString::to_string).unwrap_or_default();
    words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if arg.is_required_set() {
        words.push_str(" (required)");
    }
    if takes_value(arg) {
        let choices: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({help})", value.get_name()),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        if !choices.is_empty() {
            let _ = write!(words, ". One of {}", choices.join(", "));
        }
        let defaults: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        if !defaults.is_empty() {
            let _ = write!(words, ". Default: `{}`", defaults.join(" "));
        }
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(words, ". Also from `{}`", variable.to_string_lossy());
    }
    words.replace('|', "\\|").replace('<', "&lt;")
}

#[test]
fn the_page_is_what_help_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/cli.md is not what the program says; UPDATE=1 writes it anew"
    );
}

#[test]
fn every_argument_says_what_it_means() {
    fn silent(command: &Command, above: &str, found: &mut Vec<String>) {
        let name = format!("{above} {}", command.get_name());
        if command.is_hide_set() {
            return;
        }
        if command.get_about().is_none() {
            found.push(name.clone());
        }
        for arg in command.get_arguments() {
            if arg.get_help().is_none() && !arg.is_hide_set() {
                found.push(format!("{name} {}", written(arg)));
            }
        }
        for verb in command.get_subcommands() {
            silent(verb, &name, found);
        }
    }
    let mut found = Vec::new();
    silent(&Cli::command(), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let planted = Command::new("x").about("y").arg(Arg::new("z").long("z"));
    silent(&planted, "", &mut found);
    assert_eq!(found, [" x --z"]);
}
