//! `plan lint | fmt | show | schema`: without a server, against this program's own drivers.
//! `show` asks one for the service's traffic where there is one.

use crate::args::{Global, PlanAt, PlanVerb};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::findings;
use crate::layout;
use crate::output::{Output, Tone};
use crate::place::{PlanText, read_plan};
use crate::release::path_part;
use esclusa_model::Fraction;
use esclusa_plan::{
    Parsed, SourceFile, StagePower, Traffic, json_schema, overview, parse, parse_with_traffic,
    show, stage_power,
};
use esclusa_server::body::PastTraffic;
use serde_json::json;

/// The error rate that is assumed where none is known, in percent.
const USUAL_ERRORS: f64 = 0.1;
/// Fewest counted seconds from which a mean is told.
const LEAST_COUNTED_S: u64 = 60;

pub(crate) fn run(verb: PlanVerb, global: &Global, output: &Output) -> Result<Exit, Failure> {
    match verb {
        PlanVerb::Lint(asked) => lint(&asked, output),
        PlanVerb::Show(asked) => show_plan(&asked, global, output),
        PlanVerb::Fmt(asked) => layout::run(&asked, output),
        PlanVerb::Schema => {
            let schema = json_schema(&esclusa_drivers::catalog());
            output.line(&serde_json::to_string_pretty(&schema).unwrap_or_default());
            Ok(Exit::Done)
        }
    }
}

fn lint(asked: &PlanAt, output: &Output) -> Result<Exit, Failure> {
    let plan = read_plan(&asked.file)?;
    let source = SourceFile::new(&plan.name, &plan.text);
    let catalog = esclusa_drivers::catalog();
    let parsed = match asked.rps {
        Some(rps) => parse_with_traffic(&source, &catalog, &traffic(rps, asked.error_rate)?),
        None => parse(&source, &catalog),
    };
    let (accepted, found) = match parsed {
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

fn show_plan(asked: &PlanAt, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let plan = read_plan(&asked.file)?;
    let Some(parsed) = accepted(&plan, output) else {
        return Ok(Exit::BadInput);
    };
    let known = match asked.rps {
        Some(rps) => Ok((traffic(rps, asked.error_rate)?, "as named")),
        None => counted(parsed.plan.service.as_str(), global),
    };
    let known = known.map(|(traffic, from)| {
        let stages = stage_power(&parsed.plan, &traffic);
        (traffic, from, stages)
    });
    // With the whole plan, defaults and templates in place.
    let mut data = json!(overview(&parsed.plan));
    data["plan"] = json!(parsed.plan);
    data["power"] = match &known {
        Ok((traffic, from, stages)) => {
            json!({ "traffic": traffic, "from": from, "stages": stages })
        }
        Err(why) => json!({ "unknown_because": why }),
    };
    if output.json(&data) {
        return Ok(Exit::Done);
    }
    output.line(show(&parsed.plan).trim_end());
    output.line("");
    match &known {
        Ok((traffic, from, stages)) => {
            output.line(&format!(
                "What the stages can see at {:.1} requests/s, {:.2} % of which fail ({from})\n",
                traffic.rps,
                traffic.error_rate.get() * 100.0
            ));
            print_power(stages, output);
        }
        Err(why) => output.line(&format!(
            "What the stages can see is not known: {why}; name the traffic with --rps"
        )),
    }
    Ok(Exit::Done)
}

/// What each stage sees, and what to change where that is too little.
pub(crate) fn print_power(stages: &[StagePower], output: &Output) {
    for stage in stages {
        output.line(&format!("  {}", stage.in_words()));
        if stage.lacks.is_some() {
            output.line(
                &output
                    .colour
                    .paint(Tone::Warn, "    powerless at this traffic"),
            );
        }
        if let Some(advice) = stage.advice_in_words() {
            output.line(&format!("    {advice}"));
        }
    }
}

/// Traffic that somebody names.
pub(crate) fn traffic(rps: f64, error_percent: Option<f64>) -> Result<Traffic, Failure> {
    let percent = error_percent.unwrap_or(USUAL_ERRORS);
    let error_rate = Fraction::new(percent / 100.0)
        .ok()
        .filter(|r| r.get() < 1.0);
    let error_rate = error_rate.ok_or_else(|| {
        Failure::input(
            "ESC-0502",
            format!("{percent} is no error rate"),
            "write it in percent, such as --error-rate 0.1",
        )
    })?;
    Ok(Traffic {
        rps,
        error_rate,
        units: None,
    })
}

/// The last day's traffic of a service as a server counted it, or why it is not known.
fn counted(service: &str, global: &Global) -> Result<(Traffic, &'static str), String> {
    let path = format!("/api/v1/services/{}/traffic?hours=24", path_part(service));
    let asked = crate::one_thread().and_then(|runtime| {
        runtime.block_on(async { Client::new(global)?.get::<PastTraffic>(&path).await })
    });
    let past = asked.map_err(|failure| match failure.error.code.as_str() {
        "ESC-0501" => "no server answers".to_owned(),
        _ => failure.error.message,
    })?;
    let few = || {
        format!(
            "{service} was counted for {} s of the last day",
            past.counted_s
        )
    };
    let rps = past.requests_per_s.filter(|rps| *rps > 0.0);
    let rps = rps
        .filter(|_| past.counted_s >= LEAST_COUNTED_S)
        .ok_or_else(few)?;
    let errors = past
        .error_percent
        .map_or(USUAL_ERRORS, |percent| percent.get());
    Ok((
        Traffic {
            rps,
            error_rate: Fraction::new(errors / 100.0).map_err(|error| error.to_string())?,
            units: Some(past.units_at_least).filter(|units| *units > 0),
        },
        "the last day's mean",
    ))
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
