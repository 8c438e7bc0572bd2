//! A file of flags: read, and complained about at the place in it.

use crate::exit::{Exit, Failure};
use crate::findings;
use crate::output::{Output, Tone};
use crate::place;
use esclusa_flags::{FlagSet, Problem, unambiguous, validate};
use esclusa_plan::{Diagnostic, Places, SourceFile};
use serde_json::{Value, json};
use std::path::Path;

const HELP: &str = "name a set of flags in JSON or YAML, such as `esclusa flag export` prints";

/// A set of flags, or some of one, with its text.
pub(super) struct FlagFile {
    source: SourceFile,
    pub set: Value,
}

impl FlagFile {
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let text = place::one_file(file, HELP)?;
        let source = SourceFile::new(file.display().to_string(), text);
        let unread = |why: String| {
            let message = format!("{} cannot be read: {why}", source.name);
            Failure::input("ESC-0747", message, HELP)
        };
        let places = Places::of(&source);
        let twice = places.written_twice();
        if let Some(first) = twice.first() {
            let (message, line) = (&first.message, first.line);
            let mut failure = unread(format!("{message} (line {line})"));
            failure.error.help = "keep one of them".to_owned();
            let details = twice.iter().map(|found| placed(&source, found));
            failure.error.details = details.collect();
            return Err(failure);
        }
        let set = parse(&source.text).map_err(unread)?;
        Ok(Self { source, set })
    }

    /// An error whose details name fields, with the places of those in the file.
    pub(super) fn place(&self, mut failure: Failure) -> Failure {
        let places = Places::of(&self.source);
        for detail in &mut failure.error.details {
            let Some(pointer) = detail["path"].as_str() else {
                continue;
            };
            let none = String::new;
            let found = places.error("ESC-0740", pointer, none(), none());
            detail["file"] = json!(self.source.name);
            detail["line"] = json!(found.line);
            detail["column"] = json!(found.column);
        }
        failure
    }
}

/// A finding that also says in which file it is.
fn placed(source: &SourceFile, found: &Diagnostic) -> Value {
    let mut value = json!(found);
    value["file"] = json!(source.name);
    value
}

/// Says all that is wrong with a file, without a server.
pub(super) fn lint(file: &Path, output: &Output) -> Result<Exit, Failure> {
    let read = FlagFile::read(file)?;
    let checked = FlagSet::default().merged(&read.set);
    let (flags, problems) = match checked {
        Ok(set) => (set.flags.len(), validate(&set)),
        Err(problems) => (0, problems),
    };
    if problems.is_empty() {
        let accepted = json!({ "accepted": true, "flags": flags, "diagnostics": [] });
        if !output.json(&accepted) {
            let word = output.talk_colour.paint(Tone::Good, "accepted");
            output.say(&format!("{}: {word}, {flags} flags", read.source.name));
        }
        return Ok(Exit::Done);
    }
    let places = Places::of(&read.source);
    let finding = |problem: &Problem| {
        let help = problem.hint.clone().unwrap_or_default();
        let message = match problem.path.as_str() {
            "" => problem.message.clone(),
            path => format!("{path}: {}", problem.message),
        };
        places.error("ESC-0740", &problem.path, message, help)
    };
    let mut found: Vec<Diagnostic> = problems.iter().map(finding).collect();
    found.sort_by_key(|found| found.span.offset);
    Ok(findings::refuse(&found, &read.source, output))
}

/// A variant `on` is a name, not the word that older YAML has for true.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = unambiguous(&mut json).and_then(|value| json.end().map(|()| value));
    // What is no JSON may be YAML, whose words are the better ones then.
    let read = match read {
        Err(error) if !error.is_data() => {
            let options = serde_saphyr::options! { strict_booleans: true };
            let yaml = serde_saphyr::from_str_with_options(text, options);
            yaml.map_err(|error: serde_saphyr::Error| {
                // The first line says it; the others draw it.
                let error = error.to_string();
                let error = error.lines().next().unwrap_or_default();
                let error = error.strip_prefix("error: ").unwrap_or(error);
                format!("it is neither JSON nor YAML: {error}")
            })
        }
        read => read.map_err(|error| error.to_string()),
    };
    match read? {
        Value::Null => Err("the file is empty".to_owned()),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_on_and_off_are_names_in_yaml_too() {
        let read = parse("flags: { a: { type: boolean, default: on, browsers: true } }");
        let flag = &read.expect("YAML")["flags"]["a"];
        assert_eq!(
            (&flag["default"], &flag["browsers"]),
            (&"on".into(), &true.into())
        );
    }

    #[test]
    fn a_file_says_something_and_each_thing_once() {
        for nothing in ["", " \n", "# flags\n", "null"] {
            assert_eq!(parse(nothing), Err("the file is empty".to_owned()));
        }
        let twice = parse(r#"{"flags": {"a": 1, "a": 2}}"#).expect_err("twice");
        assert!(twice.starts_with("/flags/a is written twice"), "{twice}");
        let neither = parse("{ flags: [").expect_err("neither");
        assert!(neither.starts_with("it is neither"), "{neither}");
    }
}
