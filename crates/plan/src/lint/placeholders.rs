//! Which placeholders a text may name, by where it stands.

use crate::catalog::{Capability, Catalog};
use crate::diagnostic as code;
use crate::model::{Component, Plan};
use crate::placeholders::{Piece, pieces};
use crate::shape::Scope;
use crate::sink::{Sink, TemplateUse, printable};
use crate::source::Span;
use crate::suggest::{listed, nearest};
use esclusa_model::ComponentKind;

/// All names that any place knows, without components' own.
const ALL: [&str; 8] = [
    "version", "dir", "port", "canary", "stable", "release", "track", "url",
];

pub(super) fn check(plan: &Plan, catalog: &Catalog, sink: &mut Sink<'_>) {
    for template in std::mem::take(&mut sink.templates) {
        let allowed = allowed(&template, plan, catalog, sink);
        for piece in pieces(&template.text) {
            match piece {
                Piece::Name(name) if !allowed.iter().any(|known| known == name) => {
                    unknown(name, &allowed, &template, sink);
                }
                Piece::Unclosed(rest) => {
                    let name: String = rest
                        .chars()
                        .take_while(|c| c.is_ascii_alphanumeric())
                        .collect();
                    report(
                        &template,
                        &format!("${{{rest}"),
                        "a placeholder is not closed".to_owned(),
                        format!("write `${{{name}}}`, or `$${{` for a literal `${{`"),
                        sink,
                    );
                }
                _ => {}
            }
        }
    }
}

/// The component that a template belongs to.
fn component<'p>(template: &TemplateUse, plan: &'p Plan) -> Option<&'p Component> {
    match template.path.strip_prefix("components.") {
        Some(rest) => {
            let name = rest.split(['.', '[']).next().unwrap_or(rest);
            plan.components
                .iter()
                .find(|(own, _)| own.as_str() == name)
                .map(|(_, component)| component)
        }
        None => plan.components.values().next(),
    }
}

/// The path of the artifact beside a run driver's block.
fn artifact_of(template: &TemplateUse) -> String {
    match template.path.strip_prefix("components.") {
        Some(rest) => {
            let name = rest.split(['.', '[']).next().unwrap_or(rest);
            format!("components.{name}.artifact")
        }
        None => "artifact".to_owned(),
    }
}

fn allowed(template: &TemplateUse, plan: &Plan, catalog: &Catalog, sink: &Sink<'_>) -> Vec<String> {
    let mut names = vec!["version".to_owned()];
    let mut add = |name: &str| names.push(name.to_owned());
    match template.scope {
        Scope::Artifact => {}
        Scope::Run => {
            for name in ["release", "track"] {
                add(name);
            }
            let component = component(template, plan);
            let driver = component.and_then(|c| catalog.run_driver(&c.run.driver));
            // What could not be read is not held against its texts.
            let unread = sink.unread(&artifact_of(template));
            if unread || component.is_none_or(|c| c.artifact.is_some()) {
                add("dir");
            }
            // Who starts instances also finds them a port.
            if driver.is_none_or(|d| d.can(Capability::Lifecycle)) {
                add("port");
            }
        }
        Scope::Before => {
            for name in ["release", "stable"] {
                add(name);
            }
        }
        Scope::Check | Scope::After | Scope::Traffic | Scope::Series => {
            for name in ["release", "stable"] {
                add(name);
            }
            // Of the version that is asked about.
            if template.scope == Scope::Series {
                add("track");
                add("url");
            }
            let webs: Vec<&str> = plan
                .components
                .iter()
                .filter(|(_, c)| c.kind == ComponentKind::Web)
                .map(|(name, _)| name.as_str())
                .collect();
            if !webs.is_empty() || sink.failed_below("components") {
                add("canary");
            }
            // A router's scripts are about the one split.
            let webs = webs
                .into_iter()
                .filter(|_| template.scope != Scope::Traffic);
            for web in webs {
                add(&format!("canary.{web}"));
            }
        }
    }
    names
}

fn unknown(name: &str, allowed: &[String], template: &TemplateUse, sink: &mut Sink<'_>) {
    let shown = printable(name);
    let known = ALL.contains(&name);
    let message = if known {
        format!("`${{{shown}}}` has no value here")
    } else {
        format!("there is no placeholder `${{{shown}}}`")
    };
    let all: Vec<String> = allowed.iter().map(|name| format!("${{{name}}}")).collect();
    let help = match (name, template.scope) {
        ("canary", Scope::Before) => {
            "the canary starts after these steps: use a check under `requires`, or `after`"
                .to_owned()
        }
        ("share", Scope::Traffic) => {
            "scripts find the share in their variables `ESCLUSA_SHARE` and `ESCLUSA_SHARE_BP`"
                .to_owned()
        }
        ("dir", Scope::Run) => {
            "`${dir}` is the kept artifact: add `artifact:`, under a driver that runs one"
                .to_owned()
        }
        _ => match nearest(name, allowed.iter().map(String::as_str)) {
            Some(meant) if !known => format!("did you mean `${{{meant}}}`?"),
            _ => format!(
                "known here are {}; for a shell's own variable write `${shown}` or `$${{{shown}}}`",
                listed(all.iter().map(String::as_str)).replace(" or ", " and ")
            ),
        },
    };
    report(template, &format!("${{{name}}}"), message, help, sink);
}

/// Reports at the placeholder itself when the text stands in one line.
fn report(template: &TemplateUse, what: &str, message: String, help: String, sink: &mut Sink<'_>) {
    let whole = sink.place(&template.path);
    let written = sink.text.get(whole.offset..whole.offset + whole.len);
    let span = written
        .and_then(|written| written.find(what))
        .map_or(whole, |at| {
            Span::clamped(sink.text, whole.offset + at, whole.offset + at + what.len())
        });
    sink.error_at(code::PLACEHOLDER, &template.path, span, message, help);
}
