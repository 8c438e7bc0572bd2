//! `plan lint | fmt | show | schema`: without a server, against this program's own drivers.

use crate::args::{PlanFile, PlanVerb};
use crate::exit::{Exit, Failure};
use crate::findings;
use crate::layout;
use crate::output::{Output, Tone};
use crate::place::{PlanText, read_plan};
use esclusa_plan::{Parsed, SourceFile, json_schema, overview, parse, show};
use serde_json::json;

pub(crate) fn run(verb: PlanVerb, output: &Output) -> Result<Exit, Failure> {
    match verb {
        PlanVerb::Lint(PlanFile { file }) => lint(&read_plan(&file)?, output),
        PlanVerb::Show(PlanFile { file }) => show_plan(&read_plan(&file)?, output),
        PlanVerb::Fmt(asked) => layout::run(&asked, output),
        PlanVerb::Schema => {
            let schema = json_schema(&esclusa_drivers::catalog());
            output.line(&serde_json::to_string_pretty(&schema).unwrap_or_default());
            Ok(Exit::Done)
        }
    }
}

fn lint(plan: &PlanText, output: &Output) -> Result<Exit, Failure> {
    let source = SourceFile::new(&plan.name, &plan.text);
    let (accepted, found) = match parse(&source, &esclusa_drivers::catalog()) {
        Ok(parsed) => (true, parsed.warnings),
        Err(found) => (false, found),
    };
    let done = if accepted { Exit::Done } else { Exit::BadInput };
    if output.json(&json!({ "accepted": accepted, "diagnostics": found })) {
        return Ok(done);
    }
    findings::print(&found, &source, output);
    let words = match (accepted, found.len()) {
        (true, 0) => output.talk_colour.paint(Tone::Good, "accepted"),
        (true, n) => format!("accepted, {n} to look at"),
        (false, n) => output
            .talk_colour
            .paint(Tone::Bad, &format!("refused, {n} to look at")),
    };
    output.say(&format!("{}: {words}", plan.name));
    Ok(done)
}

fn show_plan(plan: &PlanText, output: &Output) -> Result<Exit, Failure> {
    let Some(parsed) = accepted(plan, output) else {
        return Ok(Exit::BadInput);
    };
    // With the whole plan, defaults and templates in place.
    let mut data = json!(overview(&parsed.plan));
    data["plan"] = json!(parsed.plan);
    if !output.json(&data) {
        output.line(show(&parsed.plan).trim_end());
    }
    Ok(Exit::Done)
}

/// The plan, or nothing after its findings were printed.
pub(crate) fn accepted(plan: &PlanText, output: &Output) -> Option<Parsed> {
    let source = SourceFile::new(&plan.name, &plan.text);
    match parse(&source, &esclusa_drivers::catalog()) {
        Ok(parsed) => Some(parsed),
        Err(found) => {
            if !output.json(&json!({ "accepted": false, "diagnostics": found })) {
                findings::print(&found, &source, output);
            }
            None
        }
    }
}
