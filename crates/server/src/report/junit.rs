//! The report as JUnit XML, for pipelines that show test results.
//!
//! Each requirement, step, stage and the release itself is a test case: failed when the
//! release went back from it or it failed, skipped when it was not reached.

use super::{ChecklistKind, Report, StageReport, StageResult, Status, TaskReport};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io;

/// What became of one case.
enum Came {
    Passed,
    Failed(String),
    Skipped(String),
}

struct Case {
    class: &'static str,
    name: String,
    took_ms: Option<u64>,
    came: Came,
}

/// The whole report.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory cannot fail.
    let _ = write(&mut writer, report);
    let mut text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    text.push('\n');
    text
}

fn cases(report: &Report) -> Vec<Case> {
    let mut cases: Vec<Case> = report.tasks.iter().map(task).collect();
    let agreements = report.checklist.iter();
    for entry in agreements.filter(|entry| entry.kind != ChecklistKind::Check) {
        cases.push(Case {
            class: "sign-offs",
            name: match (&entry.role, entry.kind) {
                (Some(role), ChecklistKind::Item) => format!("{role}: {}", entry.item),
                _ => entry.item.clone(),
            },
            took_ms: None,
            came: if entry.done {
                Came::Passed
            } else {
                Came::Skipped("nobody confirmed it".to_owned())
            },
        });
    }
    let unasked = report.checklist.iter().filter(|entry| {
        entry.kind == ChecklistKind::Check && entry.at.is_none() && entry.note == "not asked"
    });
    cases.extend(unasked.map(|entry| Case {
        class: "tasks",
        name: entry.item.clone(),
        took_ms: None,
        came: Came::Skipped("it was not asked".to_owned()),
    }));
    cases.extend(
        report
            .stages
            .iter()
            .enumerate()
            .map(|(n, one)| stage(n, one, report)),
    );
    cases.push(Case {
        class: "release",
        name: "outcome".to_owned(),
        took_ms: report.duration_ms,
        came: match report.status {
            Status::Succeeded => Came::Passed,
            Status::InProgress => Came::Skipped("it is under way".to_owned()),
            Status::Returned | Status::Refused | Status::Failed => {
                Came::Failed(report.reason.clone())
            }
        },
    });
    cases
}

fn task(task: &TaskReport) -> Case {
    let result = task.result.clone();
    Case {
        class: "tasks",
        name: format!("{} ({})", task.title, task.task),
        took_ms: task.took_ms,
        came: match result {
            _ if task.done => Came::Passed,
            None => Came::Skipped("it is under way".to_owned()),
            Some(result) if result == "was cancelled" => Came::Skipped(result),
            Some(result) => Came::Failed(result),
        },
    }
}

fn stage(index: usize, stage: &StageReport, report: &Report) -> Case {
    Case {
        class: "stages",
        name: format!("stage {} ({})", index + 1, stage.to),
        took_ms: stage.took_ms,
        came: match stage.result {
            StageResult::Passed => Came::Passed,
            StageResult::Returned => Came::Failed(
                stage
                    .left_because
                    .clone()
                    .unwrap_or_else(|| report.reason.clone()),
            ),
            StageResult::UnderWay => Came::Skipped("it is under way".to_owned()),
            StageResult::NotReached => Came::Skipped("it was not reached".to_owned()),
        },
    }
}

fn write(writer: &mut Writer<Vec<u8>>, report: &Report) -> io::Result<()> {
    let cases = cases(report);
    let count = |wanted: fn(&Came) -> bool| {
        cases
            .iter()
            .filter(|case| wanted(&case.came))
            .count()
            .to_string()
    };
    let failures = count(|came| matches!(came, Came::Failed(_)));
    let skipped = count(|came| matches!(came, Came::Skipped(_)));
    let tests = cases.len().to_string();
    let time = seconds(report.duration_ms.unwrap_or_default());
    let name = xml(&format!("{} {}", report.service, report.version.name));
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer
        .create_element("testsuites")
        .with_attribute(("name", "esclusa"))
        .with_attribute(("tests", tests.as_str()))
        .with_attribute(("failures", failures.as_str()))
        .with_attribute(("time", time.as_str()))
        .write_inner_content(|writer| {
            writer
                .create_element("testsuite")
                .with_attribute(("name", name.as_str()))
                .with_attribute(("id", report.release.as_str()))
                .with_attribute(("tests", tests.as_str()))
                .with_attribute(("failures", failures.as_str()))
                .with_attribute(("errors", "0"))
                .with_attribute(("skipped", skipped.as_str()))
                .with_attribute(("time", time.as_str()))
                .with_attribute(("timestamp", report.started_at.as_str()))
                .write_inner_content(|writer| suite(writer, report, &cases))?;
            Ok(())
        })?;
    Ok(())
}

fn suite(writer: &mut Writer<Vec<u8>>, report: &Report, cases: &[Case]) -> io::Result<()> {
    writer
        .create_element("properties")
        .write_inner_content(|writer| {
            let outcome = report.outcome.as_deref().unwrap_or("under way");
            for (name, value) in [("verdict", report.verdict.word()), ("outcome", outcome)] {
                writer
                    .create_element("property")
                    .with_attribute(("name", name))
                    .with_attribute(("value", value))
                    .write_empty()?;
            }
            Ok(())
        })?;
    let service = xml(&report.service);
    for case in cases {
        let (name, class) = (xml(&case.name), format!("{service}.{}", case.class));
        let time = seconds(case.took_ms.unwrap_or_default());
        let element = writer
            .create_element("testcase")
            .with_attribute(("classname", class.as_str()))
            .with_attribute(("name", name.as_str()))
            .with_attribute(("time", time.as_str()));
        let (kind, why) = match &case.came {
            Came::Passed => {
                element.write_empty()?;
                continue;
            }
            Came::Failed(why) => ("failure", xml(why)),
            Came::Skipped(why) => ("skipped", xml(why)),
        };
        element.write_inner_content(|writer| {
            let inner = writer
                .create_element(kind)
                .with_attribute(("message", why.as_str()));
            if kind == "failure" {
                inner.write_text_content(BytesText::new(&why))?;
            } else {
                inner.write_empty()?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// The text without characters that XML has no way to write.
fn xml(text: &str) -> String {
    let allowed = |c: &char| {
        matches!(c, '\t' | '\n' | '\r')
            || (!c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'))
    };
    text.chars().filter(allowed).collect()
}
