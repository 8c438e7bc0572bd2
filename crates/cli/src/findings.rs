//! What is wrong with a plan, shown at its place in the file.

use crate::exit::Exit;
use crate::output::{Colour, Output, Tone};
use esclusa_plan::{Diagnostic, SourceFile};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource};
use miette::{Report, Severity};
use serde::Deserialize;
use serde_json::{Value, json};

/// A finding as the server sends it.
#[derive(Debug, Deserialize)]
struct Finding {
    code: String,
    severity: String,
    message: String,
    #[serde(default)]
    help: String,
    #[serde(default)]
    line: usize,
    #[serde(default)]
    column: usize,
    span: Span,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Span {
    offset: usize,
    len: usize,
}

/// Prints findings of a plan to standard error: drawn on terminals, else as plain text.
pub(crate) fn print(found: &[Diagnostic], source: &SourceFile, output: &Output) {
    let source = &source.concealing(found);
    if output.talk_colour == Colour::Off {
        for finding in found {
            output.say(&finding.render(source));
        }
        return;
    }
    let values: Vec<Value> = found
        .iter()
        .filter_map(|finding| serde_json::to_value(finding).ok())
        .collect();
    print_values(&values, source, output);
}

/// Says that a file is refused, with its findings; for programs as one document.
pub(crate) fn refuse(found: &[Diagnostic], source: &SourceFile, output: &Output) -> Exit {
    if !output.json(&json!({ "accepted": false, "diagnostics": found })) {
        print(found, source, output);
        let words = format!("refused, {} to look at", found.len());
        let words = output.talk_colour.paint(Tone::Bad, &words);
        output.say(&format!("{}: {words}", source.name));
    }
    Exit::BadInput
}

/// The same for findings that a server sent.
pub(crate) fn print_values(found: &[Value], source: &SourceFile, output: &Output) {
    for value in found {
        let drawn = (output.talk_colour == Colour::On)
            .then(|| serde_json::from_value::<Finding>(value.clone()).ok())
            .flatten()
            .and_then(|finding| draw(&finding, source));
        match drawn {
            Some(text) => output.say(&text),
            None => output.say(&located(value, &source.name)),
        }
    }
}

/// A finding of unknown shape, in one line.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(words) => words.clone(),
        value => located(value, value["file"].as_str().unwrap_or_default()),
    }
}

/// The findings of an error that its message does not say already, each in one line.
pub(crate) fn beside(message: &str, details: &[Value]) -> Vec<String> {
    let plain = details.iter().map(plain);
    plain.filter(|words| !message.contains(words)).collect()
}

/// What is wrong with a field that is named by a JSON pointer.
#[derive(Debug, Deserialize)]
struct AtField {
    path: String,
    message: String,
    #[serde(default)]
    hint: String,
    /// The variable that the field comes from: people wrote that.
    #[serde(default)]
    variable: Option<String>,
    /// Where it stands, when it was read from a file.
    #[serde(default)]
    line: usize,
    #[serde(default)]
    column: usize,
}

fn located(value: &Value, file: &str) -> String {
    if value["path"]
        .as_str()
        .is_some_and(|path| path.starts_with('/'))
        && let Ok(found) = serde_json::from_value::<AtField>(value.clone())
    {
        let hint = match found.hint.as_str() {
            "" => String::new(),
            hint => format!(" ({hint})"),
        };
        let place = match found.line {
            0 => String::new(),
            line => format!("{file}:{line}:{}: ", found.column),
        };
        let field = found.variable.unwrap_or(found.path);
        return format!("{place}{field}: {}{hint}", found.message);
    }
    let Ok(finding) = serde_json::from_value::<Finding>(value.clone()) else {
        return value.to_string();
    };
    let mut text = format!(
        "{file}:{}:{}: {}[{}]: {}",
        finding.line, finding.column, finding.severity, finding.code, finding.message
    );
    if !finding.help.is_empty() {
        text.push_str("\n  help: ");
        text.push_str(&finding.help);
    }
    text
}

fn draw(finding: &Finding, source: &SourceFile) -> Option<String> {
    let severity = if finding.severity == "warning" {
        Severity::Warning
    } else {
        Severity::Error
    };
    let within = finding.span.offset + finding.span.len <= source.text.len();
    let mut diagnostic = MietteDiagnostic::new(finding.message.clone())
        .with_code(finding.code.clone())
        .with_severity(severity);
    if !finding.help.is_empty() {
        diagnostic = diagnostic.with_help(finding.help.clone());
    }
    if within {
        let span = finding.span.offset..finding.span.offset + finding.span.len;
        diagnostic = diagnostic.with_label(LabeledSpan::underline(span));
    }
    let named = NamedSource::new(&source.name, source.text.clone());
    let report = Report::new(diagnostic).with_source_code(named);
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode());
    let mut out = String::new();
    handler.render_report(&mut out, report.as_ref()).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Value {
        serde_json::json!({
            "code": "ESC-0110", "severity": "error", "message": "`stagess` is not known",
            "path": "stagess", "line": 2, "column": 1, "span": { "offset": 9, "len": 7 },
            "help": "did you mean `stages`?"
        })
    }

    #[test]
    fn a_finding_is_shown_at_its_place() {
        assert_eq!(
            located(&finding(), "esclusa.yaml"),
            "esclusa.yaml:2:1: error[ESC-0110]: `stagess` is not known\n  help: did you mean `stages`?"
        );
        let source = SourceFile::new("esclusa.yaml", "esclusa: 1\nstagess: []\n");
        let finding = serde_json::from_value(finding()).expect("a finding");
        let drawn = draw(&finding, &source).expect("drawn");
        for part in ["esclusa.yaml:", "stagess: []", "did you mean", "ESC-0110"] {
            assert!(drawn.contains(part), "{part} in {drawn}");
        }
    }

    #[test]
    fn a_finding_of_another_file_does_not_break_the_drawing() {
        let source = SourceFile::new("short.yaml", "a");
        let finding = serde_json::from_value(finding()).expect("a finding");
        assert!(draw(&finding, &source).expect("drawn").contains("ESC-0110"));
        assert_eq!(plain(&serde_json::json!("odd")), "odd");
        let field = serde_json::json!({
            "path": "/flags/a", "code": "unknown-flag", "message": "no", "hint": "yes?"
        });
        assert_eq!(plain(&field), "/flags/a: no (yes?)");
        let placed = serde_json::json!({
            "path": "/flags/a", "message": "no", "file": "f.json", "line": 2, "column": 3
        });
        assert_eq!(plain(&placed), "f.json:2:3: /flags/a: no");
        // Once is enough.
        let details = [serde_json::json!("flag a"), serde_json::json!("flag b")];
        assert_eq!(beside("refused: flag a, and 1 more", &details), ["flag b"]);
    }
}
