//! The report as one file for browsers: no script, nothing to load, light and dark, for
//! paper and for phones.
//!
//! Every figure is looked up in the report's JSON by the very pointer that it carries as
//! `data-path`, so that it cannot differ from it. Words from outside are escaped.

use super::chart::{Chart, Line, draw, values};
use super::{Report, StageResult, Status};
use crate::figures::{LatencyMs, Percent};
use crate::series::Bucket;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use esclusa_model::{Digest, Millis};
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::OnceLock;

const STYLE: &str = include_str!("report.css");

/// What browsers may do with it: draw it in its own style.
pub(crate) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let digest = Digest::of(STYLE.as_bytes()).hex();
        // A digest's hex is always an even number of hex digits.
        let bytes = hex::decode(digest).unwrap_or_default();
        let style = STANDARD.encode(bytes);
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
        )
    })
}

/// How a figure is shown.
#[derive(Clone, Copy)]
enum Unit {
    /// As it is.
    Plain,
    /// A number of something.
    Count,
    /// A length of time.
    Duration,
    /// Milliseconds with decimals.
    Latency,
    /// Parts in a hundred.
    Percent,
}

/// The report as JSON, and the page as far as it is written.
struct Page {
    json: Value,
    out: String,
    /// Names of the present table's columns: on a phone they stand beside each cell.
    head: Vec<String>,
}

/// The whole page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = Page {
        // Our own types are always JSON.
        json: serde_json::to_value(report).unwrap_or_default(),
        out: String::new(),
        head: Vec::new(),
    };
    page.head(report);
    page.charts(report);
    page.traffic(report);
    page.stages(report);
    page.checklist(report);
    page.work(report);
    page.decisions(report);
    page.commits(report);
    page.buckets(report);
    page.foot();
    page.out
}

fn escape(text: &str) -> String {
    let shown: String = text
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect();
    quick_xml::escape::escape(shown.as_str()).into_owned()
}

impl Page {
    fn put(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    /// A figure, as it stands in the JSON under this pointer.
    fn figure(&self, path: &str, unit: Unit, absent: &str) -> String {
        let value = self.json.pointer(path).unwrap_or(&Value::Null);
        let shown = match (unit, value) {
            (_, Value::Null) => absent.to_owned(),
            (Unit::Count, Value::Number(number)) => thousands(&number.to_string()),
            (Unit::Duration, Value::Number(number)) => {
                Millis(number.as_u64().unwrap_or_default()).to_string()
            }
            (Unit::Latency, number) => of::<LatencyMs>(number),
            (Unit::Percent, number) => of::<Percent>(number),
            (_, Value::String(text)) => text.clone(),
            (_, Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
            (_, other) => other.to_string(),
        };
        format!(
            "<span data-path=\"{}\">{}</span>",
            escape(path),
            escape(&shown)
        )
    }

    fn fact(&mut self, name: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "<dt>{name}</dt><dd>{value}</dd>");
    }

    fn section(&mut self, title: &str) {
        let _ = write!(self.out, "</section>\n<section><h2>{title}</h2>");
    }

    /// Begins a table; those that begin with `#` are columns of numbers.
    fn table(&mut self, head: &[&str]) {
        let plain = |name: &&str| name.trim_start_matches('#').to_owned();
        self.head = head.iter().map(plain).collect();
        self.put("<div class=\"wide\"><table><thead><tr>");
        for name in head {
            match name.strip_prefix('#') {
                Some(name) => {
                    let _ = write!(self.out, "<th class=\"n\">{name}</th>");
                }
                None => {
                    let _ = write!(self.out, "<th>{name}</th>");
                }
            }
        }
        self.put("</tr></thead><tbody>\n");
    }

    fn row(&mut self, cells: &[(&str, String)]) {
        self.put("<tr>");
        for ((class, cell), name) in cells.iter().zip(&self.head) {
            let _ = write!(
                self.out,
                "<td class=\"{class}\" data-th=\"{name}\">{cell}</td>"
            );
        }
        self.put("</tr>\n");
    }

    fn end_table(&mut self) {
        self.put("</tbody></table></div>");
    }

    fn head(&mut self, report: &Report) {
        let title = format!("{} {}", report.service, report.version.name);
        let class = match report.status {
            Status::Succeeded => "go",
            Status::InProgress => "wait",
            Status::Returned | Status::Refused | Status::Failed => "stop",
        };
        let _ = write!(
            self.out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{} - release report</title><style>{STYLE}</style></head>\n<body><main>\n\
             <section><p><span class=\"badge {class}\">{}</span></p><h1>{}</h1><p>{}</p><dl>",
            policy(),
            escape(&title),
            report.verdict.word(),
            escape(&title),
            self.figure("/reason", Unit::Plain, "")
        );
        for (name, path, unit, absent) in [
            ("Release", "/release", Unit::Plain, ""),
            ("Status", "/status", Unit::Plain, ""),
            ("Outcome", "/outcome", Unit::Plain, "under way"),
            ("Digest", "/version/digest", Unit::Plain, "not stored"),
            (
                "Version before",
                "/stable/name",
                Unit::Plain,
                "none, first deployment",
            ),
            ("Plan", "/plan_digest", Unit::Plain, ""),
            ("Asked for by", "/requested_by", Unit::Plain, ""),
            ("Started", "/started_at", Unit::Plain, ""),
            ("Ended", "/ended_at", Unit::Plain, "not yet"),
            ("Duration", "/duration_ms", Unit::Duration, "not over"),
        ] {
            let shown = self.figure(path, unit, absent);
            self.fact(name, &shown);
        }
        let actors = escape(&report.actors.join(", "));
        self.fact("Acted", &actors);
        self.put("</dl>");
    }

    fn charts(&mut self, report: &Report) {
        self.section("Traffic over time");
        let series = &report.series;
        if let Some(because) = &series.unknown_because {
            let _ = write!(self.out, "<p>Unknown: {}.</p>", escape(because));
            return;
        }
        let key = |class: &str, name: &str| {
            format!(
                "<span class=\"key\"><svg viewBox=\"0 0 32 8\" aria-hidden=\"true\"><path \
                 class=\"line {class}\" d=\"M1 4L31 4\"/></svg>{name}</span>"
            )
        };
        let stable = self.figure(
            "/series/stable_version/name",
            Unit::Plain,
            "no version before",
        );
        let canary = self.figure("/series/canary_version/name", Unit::Plain, "not stored");
        let _ = write!(
            self.out,
            "<p>{}{}</p><div class=\"charts\">",
            key("stable", &stable),
            key("canary", &canary)
        );
        for (title, chart) in drawings(report) {
            let _ = writeln!(
                self.out,
                "<figure><h3>{title}</h3>{}</figure>",
                draw(series, &chart)
            );
        }
        self.put("</div><p class=\"soft\">A gap in a line is a time in which nobody counted.</p>");
    }

    fn traffic(&mut self, report: &Report) {
        self.section("Traffic");
        if let Some(because) = &report.traffic.unknown_because {
            let _ = write!(self.out, "<p>Unknown: {}.</p>", escape(because));
            return;
        }
        self.table(&[
            "Version",
            "#Requests",
            "#Failures",
            "#Error rate",
            "#p50",
            "#p95",
            "#p99",
        ]);
        for (n, totals) in report.traffic.versions.iter().enumerate() {
            let at = |field: &str| format!("/traffic/versions/{n}/{field}");
            let name = match totals.name {
                Some(_) => self.figure(&at("name"), Unit::Plain, ""),
                None => self.figure(&at("digest"), Unit::Plain, ""),
            };
            let mut cells = vec![("", name)];
            for (field, unit) in [
                ("requests", Unit::Count),
                ("failures", Unit::Count),
                ("error_percent", Unit::Percent),
                ("p50_ms", Unit::Latency),
                ("p95_ms", Unit::Latency),
                ("p99_ms", Unit::Latency),
            ] {
                cells.push(("n", self.figure(&at(field), unit, "unknown")));
            }
            self.row(&cells);
        }
        self.end_table();
        let (from, to) = (
            self.figure("/traffic/from", Unit::Plain, ""),
            self.figure("/traffic/to", Unit::Plain, ""),
        );
        let _ = write!(
            self.out,
            "<p class=\"soft\">Counted from {from} to {to}, without synthetic requests.</p>"
        );
    }

    fn stages(&mut self, report: &Report) {
        self.section("Stages");
        self.table(&[
            "Stage",
            "Result",
            "Entered",
            "#Took",
            "#Budget",
            "#Over by",
            "Why it was left",
        ]);
        for (n, stage) in report.stages.iter().enumerate() {
            let at = |field: &str| format!("/stages/{n}/{field}");
            let (class, result) = match stage.result {
                StageResult::Passed => ("go", "passed"),
                StageResult::Returned => ("stop", "returned"),
                StageResult::UnderWay => ("wait", "under way"),
                StageResult::NotReached => ("soft", "not reached"),
            };
            let over = match (stage.over_budget, stage.over_by_ms) {
                (true, None) => "over".to_owned(),
                _ => self.figure(&at("over_by_ms"), Unit::Duration, ""),
            };
            let cells = [
                ("t", self.figure(&at("to"), Unit::Plain, "")),
                ("t", format!("<span class=\"{class}\">{result}</span>")),
                ("t", self.figure(&at("entered_at"), Unit::Plain, "")),
                ("n", self.figure(&at("took_ms"), Unit::Duration, "")),
                ("n", self.figure(&at("budget_ms"), Unit::Duration, "none")),
                ("n", over),
                ("why", self.figure(&at("left_because"), Unit::Plain, "")),
            ];
            self.row(&cells);
        }
        self.end_table();
    }

    fn checklist(&mut self, report: &Report) {
        self.section("Checklist");
        self.put("<ul class=\"list\">");
        for (n, entry) in report.checklist.iter().enumerate() {
            let mark = if entry.done {
                "<span class=\"go\">done</span>"
            } else {
                "<span class=\"stop\">open</span>"
            };
            let at = |field: &str| format!("/checklist/{n}/{field}");
            let who = match (&entry.by, &entry.at) {
                (Some(_), Some(_)) => format!(
                    " <span class=\"soft\">{}, {}</span>",
                    self.figure(&at("by"), Unit::Plain, ""),
                    self.figure(&at("at"), Unit::Plain, "")
                ),
                _ => String::new(),
            };
            let note = self.figure(&at("note"), Unit::Plain, "");
            let item = self.figure(&at("item"), Unit::Plain, "");
            let colon = if entry.note.is_empty() { "" } else { ": " };
            let _ = write!(self.out, "<li>{mark} {item}{colon}{note}{who}</li>");
        }
        self.put("</ul><dl>");
        for (name, path, unit, absent) in [
            ("Completed", "/completion/completed", Unit::Plain, ""),
            ("Date", "/completion/date", Unit::Plain, "not over"),
            ("Time", "/completion/time", Unit::Plain, "not over"),
            (
                "Duration",
                "/completion/duration_ms",
                Unit::Duration,
                "not over",
            ),
        ] {
            let shown = self.figure(path, unit, absent);
            self.fact(name, &shown);
        }
        let signed = match report.completion.signed_off_by.join(", ") {
            nobody if nobody.is_empty() => "nobody".to_owned(),
            signed => escape(&signed),
        };
        self.fact("Signed off by", &signed);
        self.put("</dl>");
    }

    fn work(&mut self, report: &Report) {
        self.section("Checks, steps and other work");
        self.table(&["Work", "Result", "#Tries", "#Took"]);
        for n in 0..report.tasks.len() {
            let at = |field: &str| format!("/tasks/{n}/{field}");
            let cells = [
                ("", self.figure(&at("title"), Unit::Plain, "")),
                ("why", self.figure(&at("result"), Unit::Plain, "under way")),
                ("n", self.figure(&at("attempts"), Unit::Count, "")),
                ("n", self.figure(&at("took_ms"), Unit::Duration, "not over")),
            ];
            self.row(&cells);
        }
        self.end_table();
    }

    fn decisions(&mut self, report: &Report) {
        self.section("Decisions");
        self.put("<ol>");
        for n in 0..report.decisions.len() {
            let figure =
                |field: &str| self.figure(&format!("/decisions/{n}/{field}"), Unit::Plain, "");
            let item = format!(
                "<li><span class=\"soft\">{}, {}</span><br><strong>{}</strong> {} {}</li>\n",
                figure("at"),
                figure("by"),
                figure("what"),
                figure("why"),
                figure("evidence")
            );
            self.put(&item);
        }
        self.put("</ol>");
    }

    fn commits(&mut self, report: &Report) {
        let Some(source) = &report.source else {
            return;
        };
        self.section("Commits");
        let (commit, branch, since) = (
            self.figure("/source/commit", Unit::Plain, ""),
            self.figure("/source/branch", Unit::Plain, "none"),
            self.figure("/source/since", Unit::Plain, "unknown"),
        );
        self.put("<dl>");
        self.fact("Commit", &format!("<code>{commit}</code>"));
        self.fact("Branch", &branch);
        self.fact("Released before", &format!("<code>{since}</code>"));
        self.put("</dl>");
        if source.commits.is_empty() {
            return;
        }
        self.table(&["Commit", "Author", "Subject"]);
        for n in 0..source.commits.len() {
            let figure =
                |field: &str| self.figure(&format!("/source/commits/{n}/{field}"), Unit::Plain, "");
            let cells = [
                ("t", format!("<code>{}</code>", figure("hash"))),
                ("t", figure("author")),
                ("why", figure("subject")),
            ];
            self.row(&cells);
        }
        self.end_table();
        if source.left_out > 0 {
            let more = self.figure("/source/left_out", Unit::Count, "");
            let _ = write!(self.out, "<p>And {more} more.</p>");
        }
    }

    /// The figures behind the charts.
    fn buckets(&mut self, report: &Report) {
        if report.series.unknown_because.is_some() {
            return;
        }
        self.section("Figures behind the charts");
        self.put("<details><summary>Show them</summary>");
        self.table(&[
            "After",
            "#Share",
            "#Requests before",
            "#Requests new",
            "#Errors before",
            "#Errors new",
            "#p95 before",
            "#p95 new",
        ]);
        for (n, bucket) in report.series.buckets.iter().enumerate() {
            let at = |field: &str| format!("/series/buckets/{n}/{field}");
            let after = u64::try_from(bucket.start_ms - report.series.from_ms).unwrap_or_default();
            let mut cells = vec![
                ("t", Millis(after).to_string()),
                ("n", self.figure(&at("share_percent"), Unit::Percent, "")),
            ];
            for (field, unit) in [
                ("requests", Unit::Count),
                ("errors", Unit::Count),
                ("p95_ms", Unit::Latency),
            ] {
                for side in ["stable", "canary"] {
                    let path = at(&format!("{side}/{field}"));
                    cells.push(("n", self.figure(&path, unit, "unknown")));
                }
            }
            self.row(&cells);
        }
        self.end_table();
        self.put("</details>");
    }

    fn foot(&mut self) {
        let events = self.figure("/record/events", Unit::Count, "");
        let head = self.figure("/record/head", Unit::Plain, "none");
        let _ = write!(
            self.out,
            "</section>\n<p class=\"soft\">Made from {events} recorded events, the last of which \
             is <code>{head}</code>.</p></main></body></html>\n"
        );
    }
}

/// The four charts.
fn drawings(report: &Report) -> Vec<(&'static str, Chart)> {
    let series = &report.series;
    let share = Line {
        class: "share",
        path: "/series/buckets/*/share_percent",
        values: series
            .buckets
            .iter()
            .map(|bucket| Some(bucket.share_percent.get()))
            .collect(),
        steps: true,
    };
    let both = |stable: &'static str, canary: &'static str, value: Drawn| {
        let line = |class, path, side: fn(&Bucket) -> Option<&crate::series::Side>| Line {
            class,
            path,
            values: values(series, side, value),
            steps: false,
        };
        vec![
            line("stable", stable, |bucket| bucket.stable.as_ref()),
            line("canary", canary, |bucket| bucket.canary.as_ref()),
        ]
    };
    vec![
        (
            "Share of the new version",
            Chart {
                title: "Share of the new version over time",
                unit: "%",
                least: 1.0,
                lines: vec![share],
                named: true,
            },
        ),
        (
            "Requests per second",
            Chart {
                title: "Requests per second of both versions over time",
                unit: "",
                least: 1.0,
                lines: both(
                    "/series/buckets/*/stable/requests",
                    "/series/buckets/*/canary/requests",
                    |side, bucket| {
                        // Per second that was counted, which a gap within a bucket is not.
                        Some(side.requests as f64 / f64::from(bucket.counted_s.max(1)))
                    },
                ),
                named: false,
            },
        ),
        (
            "Error rate",
            Chart {
                title: "Error rate of both versions over time",
                unit: "%",
                least: 1.0,
                lines: both(
                    "/series/buckets/*/stable/error_percent",
                    "/series/buckets/*/canary/error_percent",
                    |side, _| side.error_percent.map(Percent::get),
                ),
                named: false,
            },
        ),
        (
            "p95",
            Chart {
                title: "95th percentile of the time to answer of both versions over time",
                unit: " ms",
                least: 1.0,
                lines: both(
                    "/series/buckets/*/stable/p95_ms",
                    "/series/buckets/*/canary/p95_ms",
                    |side, _| side.p95_ms.map(LatencyMs::get),
                ),
                named: false,
            },
        ),
    ]
}

/// What of a version's part of a bucket is drawn.
type Drawn = fn(&crate::series::Side, &Bucket) -> Option<f64>;

fn of<T: serde::de::DeserializeOwned + std::fmt::Display>(value: &Value) -> String {
    serde_json::from_value::<T>(value.clone()).map_or_else(|_| value.to_string(), |v| v.to_string())
}

/// Digits in groups of three.
fn thousands(digits: &str) -> String {
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
