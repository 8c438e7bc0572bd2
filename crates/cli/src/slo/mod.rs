//! `slo rules | check | lint | template | budget`: without a server, from files and, where
//! it is named, a Prometheus.

mod args;
mod known;

use crate::exit::{Exit, Failure};
use crate::findings;
use crate::output::{Output, Tone};
use crate::place::one_file;
pub(crate) use args::SloVerb;
use args::{BudgetArgs, LintArgs, RulesArgs, TemplateArgs};
use esclusa_drivers::Placeholders;
use esclusa_drivers::metrics::{PrometheusAt, instant_query};
use esclusa_model::Outcome;
use esclusa_plan::{Severity, SourceFile};
use esclusa_slo::{
    LintOptions, Read, RuleOptions, Template, TemplateOptions, budget_query, lint_rules,
    metrics_with_buckets, read_openslo, rules, template, to_yaml,
};
use serde_json::json;
use std::path::Path;

pub(crate) async fn run(verb: SloVerb, output: &Output) -> Result<Exit, Failure> {
    match verb {
        SloVerb::Rules(asked) => write_rules(&asked, output).await,
        SloVerb::Check { files } => check(&files, output),
        SloVerb::Lint(asked) => lint(&asked, output).await,
        SloVerb::Template(asked) => write_template(asked, output).await,
        SloVerb::Budget(asked) => budget(asked, output).await,
    }
}

fn source(file: &Path) -> Result<SourceFile, Failure> {
    let text = one_file(file, "name a file that exists and is text")?;
    Ok(SourceFile::new(file.display().to_string(), text))
}

/// The objectives of a file, or nothing after its findings were printed.
fn accepted(source: &SourceFile, output: &Output) -> Option<Read> {
    match read_openslo(source) {
        Ok(read) => {
            findings::print(&read.warnings, source, output);
            Some(read)
        }
        Err(found) => {
            let told = json!({ "accepted": false, "file": source.name, "diagnostics": found });
            if !output.json(&told) {
                findings::print(&found, source, output);
                let words = format!("refused, {} to look at", found.len());
                let words = output.talk_colour.paint(Tone::Bad, &words);
                output.say(&format!("{}: {words}", source.name));
            }
            None
        }
    }
}

async fn write_rules(asked: &RulesArgs, output: &Output) -> Result<Exit, Failure> {
    let source = source(&asked.file)?;
    let Some(read) = accepted(&source, output) else {
        return Ok(Exit::BadInput);
    };
    let options = RuleOptions {
        min_bad_events: asked.min_bad_events,
        buckets: asked.known.buckets(&read_histograms(&read)).await?,
    };
    let groups = rules(&read.slos, &options).map_err(|wrong| {
        let code = wrong.first().map_or("ESC-0803", |(code, _)| code);
        let all: Vec<&str> = wrong.iter().map(|(_, why)| why.as_str()).collect();
        Failure::input(
            code,
            all.join("; "),
            "change the objective, or give the histogram a bucket there",
        )
    })?;
    let comment = format!(
        "Written by `esclusa slo rules {}`. Change that file and write this one again.",
        asked
            .file
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    );
    let text = to_yaml(&comment, &groups);
    let count = |alerts: bool| {
        let all = groups.iter().flat_map(|group| &group.rules);
        all.filter(|rule| matches!(rule.kind, esclusa_slo::RuleKind::Alert { .. }) == alerts)
            .count()
    };
    let told = json!({ "groups": groups.len(), "alerts": count(true), "records": count(false), "rules": text });
    put(&text, asked.out.as_deref(), &told, output)
}

/// The histograms that objectives count by.
fn read_histograms(read: &Read) -> Vec<String> {
    let objectives = read.slos.iter().flat_map(|slo| &slo.objectives);
    objectives
        .filter_map(|o| o.indicator.bound().map(|(name, _)| name))
        .collect()
}

fn put(
    text: &str,
    out: Option<&Path>,
    told: &serde_json::Value,
    output: &Output,
) -> Result<Exit, Failure> {
    if let Some(file) = out {
        std::fs::write(file, text).map_err(|error| {
            Failure::input(
                "ESC-0512",
                format!("{} cannot be written: {error}", file.display()),
                "name a file in a folder that exists and that you may write to",
            )
        })?;
    }
    if !output.json(told) {
        match out {
            Some(file) => output.say(&format!("{} is written", file.display())),
            None => output.line(text.trim_end()),
        }
    }
    Ok(Exit::Done)
}

fn check(files: &[std::path::PathBuf], output: &Output) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    let mut refused = false;
    for file in files {
        let source = source(file)?;
        let (accepted, slos, found) = match read_openslo(&source) {
            Ok(read) => (true, read.slos, read.warnings),
            Err(found) => (false, Vec::new(), found),
        };
        refused |= !accepted;
        let objectives: usize = slos.iter().map(|slo| slo.objectives.len()).sum();
        if output.form == crate::output::Form::People {
            findings::print(&found, &source, output);
            let (tone, words) = if accepted {
                (
                    Tone::Good,
                    format!("accepted, {} SLOs with {objectives} objectives", slos.len()),
                )
            } else {
                (Tone::Bad, format!("refused, {} to look at", found.len()))
            };
            output.say(&format!(
                "{}: {}",
                source.name,
                output.talk_colour.paint(tone, &words)
            ));
        }
        all.push(json!({
            "file": source.name, "accepted": accepted, "slos": slos.len(),
            "objectives": objectives, "diagnostics": found,
        }));
    }
    output.json(&json!({ "accepted": !refused, "files": all }));
    Ok(if refused { Exit::BadInput } else { Exit::Done })
}

async fn lint(asked: &LintArgs, output: &Output) -> Result<Exit, Failure> {
    let sources: Vec<SourceFile> = asked
        .files
        .iter()
        .map(|file| source(file))
        .collect::<Result<_, _>>()?;
    let mut wanted: Vec<String> = sources.iter().flat_map(metrics_with_buckets).collect();
    wanted.sort();
    wanted.dedup();
    let options = LintOptions {
        buckets: asked.known.buckets(&wanted).await?,
    };
    let mut all = Vec::new();
    let mut errors = 0;
    for source in &sources {
        let found = lint_rules(source, &options);
        let wrong = found
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .count();
        errors += wrong;
        if output.form == crate::output::Form::People {
            findings::print(&found, source, output);
            let (tone, words) = match (wrong, found.len()) {
                (0, 0) => (Tone::Good, "nothing to look at".to_owned()),
                (0, n) => (Tone::Warn, format!("{n} to look at")),
                (wrong, n) => (Tone::Bad, format!("{wrong} errors, {n} to look at")),
            };
            output.say(&format!(
                "{}: {}",
                source.name,
                output.talk_colour.paint(tone, &words)
            ));
        }
        all.push(json!({ "file": source.name, "errors": wrong, "diagnostics": found }));
    }
    output.json(&json!({ "accepted": errors == 0, "files": all }));
    Ok(if errors == 0 {
        Exit::Done
    } else {
        Exit::BadInput
    })
}

async fn write_template(asked: TemplateArgs, output: &Output) -> Result<Exit, Failure> {
    let which = asked.template.into();
    let wanted = match which {
        Template::ResponseTime => vec![asked.histogram()],
        Template::Queue | Template::ErrorRate => Vec::new(),
    };
    let buckets = asked.known.buckets(&wanted).await?;
    let options = TemplateOptions {
        service: asked.service,
        metric: asked.metric,
        bad: asked.bad,
        limit: asked.limit.unwrap_or_else(|| which.usual_limit()),
        quantile: asked.quantile,
        min_events: asked.min_events,
        severity: asked.severity,
        buckets,
    };
    let groups = template(which, &options).map_err(|why| {
        Failure::input(
            "ESC-0805",
            why,
            "`esclusa slo template --help` shows what each needs",
        )
    })?;
    let text = to_yaml(
        "Written by `esclusa slo template`; yours to change.",
        &groups,
    );
    put(
        &text,
        asked.out.as_deref(),
        &json!({ "rules": text }),
        output,
    )
}

async fn budget(asked: BudgetArgs, output: &Output) -> Result<Exit, Failure> {
    let source = source(&asked.file)?;
    let Some(read) = accepted(&source, output) else {
        return Ok(Exit::BadInput);
    };
    let server = PrometheusAt {
        url: asked.prometheus,
        ..PrometheusAt::default()
    };
    let mut told = Vec::new();
    let mut enough = true;
    for slo in &read.slos {
        let queries = budget_query(slo).map_err(|e| {
            Failure::input(
                "ESC-0802",
                e.to_string(),
                "write `isRolling: true` in its time window",
            )
        })?;
        for query in &queries {
            let answer =
                instant_query(&server, &query.promql, &Placeholders::new(), asked.timeout).await;
            let found = answer.and_then(|answer| query.read(&answer).map_err(|e| e.to_string()));
            let known = found.as_ref().ok();
            enough &= known.is_some_and(|budget| budget.left >= 0.0);
            let words = match &found {
                Ok(budget) => format!(
                    "{}: {:.1} % of the error budget is left ({:.3} % bad)",
                    query.what,
                    budget.left * 100.0,
                    budget.bad * 100.0
                ),
                Err(why) => format!("unknown: {why}"),
            };
            let tone = match known {
                None => Tone::Warn,
                Some(budget) if budget.left < 0.0 => Tone::Bad,
                Some(_) => Tone::Good,
            };
            told.push((
                tone,
                words.clone(),
                json!({
                    "objective": query.what, "left": known.map(|b| b.left), "bad": known.map(|b| b.bad),
                    "unknown": found.err(),
                }),
            ));
        }
    }
    let data: Vec<_> = told.iter().map(|(_, _, data)| data).collect();
    if !output.json(&json!({ "enough": enough, "budgets": data })) {
        for (tone, words, _) in &told {
            output.line(&output.colour.paint(*tone, words));
        }
    }
    Ok(if enough {
        Exit::Done
    } else {
        Exit::Outcome(Outcome::Refused)
    })
}
