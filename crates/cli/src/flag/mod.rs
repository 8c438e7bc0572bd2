//! The verbs of `flag`.

mod agree;
mod apply;
pub(crate) mod args;
mod change;
mod env_file;
mod exposures;
mod file;
mod import;
mod kill;
mod look;
mod revert;
pub(crate) mod set_file;
mod sinks;
mod status;
mod tester;

pub(crate) use kill::{
    line as killed_line, short_reason, warnings as killed_warnings, words as flag_words,
};

use crate::args::Global;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::table::one_line;
use args::{FlagVerb, SinkVerb};
use esclusa_flags::Change;
use esclusa_server::body::{ChangedView, GuardTroubleView};
use serde_json::{Map, Value};

pub(crate) async fn run(verb: FlagVerb, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let client = Client::new(global)?;
    match verb {
        FlagVerb::Coverage(asked) => crate::flag_coverage::run(&asked, global, output).await,
        FlagVerb::List { project, stale } => {
            look::list(&client, project.as_deref(), stale, output).await
        }
        FlagVerb::Get(key) => look::get(&client, &key.key, output).await,
        FlagVerb::Set(asked) => change::set(&client, &asked, output).await,
        FlagVerb::Unset(asked) => change::unset(&client, &asked, output).await,
        FlagVerb::Disable(asked) => change::switch(&client, &asked, false, output).await,
        FlagVerb::Enable(asked) => change::switch(&client, &asked, true, output).await,
        FlagVerb::Delete(asked) => change::delete(&client, &asked, output).await,
        FlagVerb::Lint { file } => file::lint(&file, output),
        FlagVerb::Apply(asked) => apply::apply(&client, &asked, output).await,
        FlagVerb::Explain(asked) => look::explain(&client, &asked, output).await,
        FlagVerb::Who { key, at } => look::who(&client, &key.key, &at, output).await,
        FlagVerb::History { key, limit } => {
            look::history(&client, key.as_deref(), limit, output).await
        }
        FlagVerb::Revert(asked) => revert::revert(&client, &asked, output).await,
        FlagVerb::Export { out } => look::export(&client, out.as_deref(), output).await,
        FlagVerb::ImportEnv(asked) => import::import(&client, &asked, output).await,
        FlagVerb::Kill(names) => kill::kill(&client, names, output).await,
        FlagVerb::Lift(names) => kill::lift(&client, names, output).await,
        FlagVerb::Status => status::run(&client, output).await,
        FlagVerb::Exposures(asked) => exposures::run(&asked, global, output),
        FlagVerb::Tester(asked) => tester::run(&client, asked, output).await,
        FlagVerb::Sink(SinkVerb::Lint { file }) => sinks::lint(&file, output),
        FlagVerb::Sink(SinkVerb::Sql { name, file }) => {
            sinks::sql(&name, file.as_deref(), global, output)
        }
        FlagVerb::Rules => look::rules(&client, output).await,
    }
}

/// Says what was changed, and whether it has arrived.
fn say_changed(done: &ChangedView, output: &Output) {
    if output.json(done) {
        return;
    }
    for line in done
        .changes
        .iter()
        .flat_map(|change| change_lines(change, output))
    {
        output.line(&line);
    }
    match done.changes.is_empty() {
        true => output.say("nothing is different from what it was"),
        false => output.say(&format!("revision {}", done.revision)),
    }
    say_arrived(done.in_force, done.note.as_deref(), output);
}

/// The lines of a difference, green for what comes and red for what goes. All flags at once,
/// as the first file brings them, are a line each.
fn change_lines(change: &Change, output: &Output) -> Vec<String> {
    let top = change.path.matches('/').count() == 1;
    let parts = match (&change.before, &change.after) {
        (None, Some(Value::Object(all))) if top => members(change, all, true),
        (Some(Value::Object(all)), None) if top => members(change, all, false),
        _ => vec![change.clone()],
    };
    let lines = parts.iter().map(|change| one_line(&change.to_string()));
    lines.map(|line| painted(&line, output)).collect()
}

fn members(change: &Change, all: &Map<String, Value>, comes: bool) -> Vec<Change> {
    let member = |(key, value): (&String, &Value)| {
        let key = key.replace('~', "~0").replace('/', "~1");
        Change {
            path: format!("{}/{key}", change.path),
            before: (!comes).then(|| value.clone()),
            after: comes.then(|| value.clone()),
        }
    };
    all.iter().map(member).collect()
}

fn painted(line: &str, output: &Output) -> String {
    match line.chars().next() {
        Some('+') => output.colour.paint(Tone::Good, line),
        Some('-') => output.colour.paint(Tone::Bad, line),
        Some('~') => output.colour.paint(Tone::Warn, line),
        _ => line.to_owned(),
    }
}

/// Guards that do not do what they seem to, but for those that were told before.
fn guard_warnings(found: &[GuardTroubleView], told: &[GuardTroubleView], output: &Output) {
    for guard in found.iter().filter(|guard| !told.contains(guard)) {
        let word = output.talk_colour.paint(Tone::Warn, "warning");
        let trouble = one_line(&guard.trouble);
        output.say(&format!("{word}: guard {}: {trouble}", guard.guard));
    }
}

fn say_arrived(in_force: bool, note: Option<&str>, output: &Output) {
    if !in_force {
        let why = note.unwrap_or("it has not said why");
        let word = output.talk_colour.paint(Tone::Warn, "warning");
        output.say(&format!(
            "{word}: it is recorded, and the proxy does not have it yet: {why}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_first_file_is_a_line_for_each_flag() {
        let output = Output::new(false);
        let change = |path: &str, before, after| Change {
            path: path.into(),
            before,
            after,
        };
        let all = change(
            "/flags",
            None,
            Some(json!({ "a/b": { "type": "boolean" }, "c": {} })),
        );
        assert_eq!(
            change_lines(&all, &output),
            [r#"+ /flags/a~1b: {"type":"boolean"}"#, "+ /flags/c: {}"]
        );
        let one = change("/flags/c/off", Some(json!("a")), Some(json!("b")));
        assert_eq!(
            change_lines(&one, &output),
            [r#"~ /flags/c/off: "a" -> "b""#]
        );
    }
}
