//! From a file's text to a plan, or to everything that is wrong with it.

use crate::catalog::Catalog;
use crate::diagnostic::{self as code, Diagnostic, Severity};
use crate::fields::Val;
use crate::lint;
use crate::model::Plan;
use crate::power::Traffic;
use crate::read::read;
use crate::section::{judge, root};
use crate::shape::{Block, Key, Shape};
use crate::sink::Sink;
use crate::source::SourceFile;
use crate::yaml;
use esclusa_judge::JudgeConfig;

/// A plan that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The plan, expanded.
    pub plan: Plan,
    /// What deserves a look all the same, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}

/// Reads, checks and expands a plan against what this program's drivers can do.
///
/// # Errors
/// Everything that is wrong with the file, warnings included, in its order.
pub fn parse(source: &SourceFile, catalog: &Catalog) -> Result<Parsed, Vec<Diagnostic>> {
    checked(source, catalog, None)
}

/// The same, and warns of stages that see too little at this traffic.
///
/// # Errors
/// Everything that is wrong with the file, warnings included, in its order.
pub fn parse_with_traffic(
    source: &SourceFile,
    catalog: &Catalog,
    traffic: &Traffic,
) -> Result<Parsed, Vec<Diagnostic>> {
    checked(source, catalog, Some(traffic))
}

fn checked(
    source: &SourceFile,
    catalog: &Catalog,
    traffic: Option<&Traffic>,
) -> Result<Parsed, Vec<Diagnostic>> {
    let mut sink = Sink::new(&source.text);
    let plan = fields_of(&source.text, root::block(catalog), &mut sink)
        .and_then(|fields| root::build(&fields, catalog, &mut sink));
    if let Some(plan) = &plan {
        lint::check(plan, catalog, &mut sink);
        if let Some(traffic) = traffic.filter(|_| !sink.failed()) {
            lint::power(plan, traffic, &mut sink);
        }
    }
    finish(plan, sink).map(|(plan, warnings)| Parsed { plan, warnings })
}

/// Reads a judge's settings from a file of their own, under the key `judge`. Who is asked
/// for series is checked and left out: recordings have their values with them.
///
/// # Errors
/// Everything that is wrong with the file, warnings included, in its order.
pub fn parse_judge(source: &SourceFile, catalog: &Catalog) -> Result<JudgeConfig, Vec<Diagnostic>> {
    let mut sink = Sink::new(&source.text);
    let key = Key::new(
        "judge",
        Shape::Block(judge::block(catalog)),
        "The judge's settings.",
    );
    let config = fields_of(&source.text, Block::of(vec![key.required()]), &mut sink)
        .and_then(|fields| fields.block("judge"))
        .map(|fields| judge::build(&fields, &mut sink));
    if let Some(config) = &config {
        lint::judge(config, "judge", &mut sink);
    }
    finish(config, sink).map(|(config, _)| config)
}

/// The top block of a text, checked against its table.
pub(crate) fn fields_of(
    text: &str,
    block: Block,
    sink: &mut Sink<'_>,
) -> Option<crate::fields::Fields> {
    let (node, problems) = yaml::load(text);
    for problem in problems {
        sink.error_at(
            problem.code,
            "",
            problem.span,
            problem.message,
            problem.help,
        );
    }
    match read(&node?, &Shape::Block(block), "", sink) {
        Some(Val::Block(fields)) => Some(fields),
        _ => None,
    }
}

fn finish<T>(value: Option<T>, sink: Sink<'_>) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>> {
    let failed = sink.failed();
    let (text, untold) = (sink.text, sink.untold);
    let mut found = sink.found;
    if untold > 0 {
        found.push(Diagnostic::new(
            code::MORE,
            Severity::Error,
            text,
            "",
            crate::source::Span::clamped(text, text.len(), text.len()),
            format!("{untold} more findings are not shown"),
            "mend those above, and check the plan again".to_owned(),
        ));
    }
    found.sort_by_key(|d| (d.span.offset, d.code, d.severity));
    match value {
        Some(value) if !failed => Ok((value, found)),
        _ => {
            if !failed {
                // Unreachable unless a builder gave up in silence: say so.
                found.push(Diagnostic::new(
                    code::WRONG_FORM,
                    Severity::Error,
                    text,
                    "",
                    crate::source::Span::default(),
                    "the file could not be understood".to_owned(),
                    "compare it with an example from the documentation".to_owned(),
                ));
            }
            Err(found)
        }
    }
}
