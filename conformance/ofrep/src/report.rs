//! What came of the cases, for people and for programs.

use quick_xml::escape::escape;
use serde::Serialize;
use std::fmt::Write as _;

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "detail")]
pub enum Outcome {
    /// As expected.
    Passed,
    /// What came instead.
    Failed(String),
    /// Why it was not tried.
    Skipped(String),
}

/// One thing that a server should do.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What is expected.
    pub expects: &'static str,
    /// `protocol` or `clients`: whose need it is.
    pub basis: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All cases of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whom was asked.
    pub base_url: String,
    /// The cases, in their order.
    pub cases: Vec<Case>,
}

impl Report {
    /// Whether any case failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.count(|o| matches!(o, Outcome::Failed(_))) > 0
    }

    /// The names of the cases that failed.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = |case: &&Case| matches!(case.outcome, Outcome::Failed(_));
        self.cases.iter().filter(failed).map(|c| c.name).collect()
    }

    fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.cases.iter().filter(|case| is(&case.outcome)).count()
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("OFREP 0.3.0 at {}\n\n", self.base_url);
        for case in &self.cases {
            let (word, detail) = match &case.outcome {
                Outcome::Passed => ("pass", None),
                Outcome::Failed(detail) => ("FAIL", Some(detail)),
                Outcome::Skipped(detail) => ("skip", Some(detail)),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{word}  {:28} {} ({})",
                case.name, case.expects, case.basis
            );
            if let Some(detail) = detail {
                let _ = writeln!(text, "      {detail}");
            }
        }
        let passed = self.count(|o| *o == Outcome::Passed);
        let failed = self.failed().len();
        let skipped = self.cases.len() - passed - failed;
        let _ = write!(
            text,
            "\n{passed} passed, {failed} failed, {skipped} skipped"
        );
        text
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> String {
        // Cannot fail: all keys are text.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As JUnit XML.
    #[must_use]
    pub fn junit(&self) -> String {
        let failed = self.failed().len();
        let skipped = self.count(|o| matches!(o, Outcome::Skipped(_)));
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"ofrep\" tests=\"{}\" \
             failures=\"{failed}\" skipped=\"{skipped}\">\n",
            self.cases.len()
        );
        for case in &self.cases {
            let inner = match &case.outcome {
                Outcome::Passed => String::new(),
                Outcome::Failed(detail) => format!(
                    "<failure message=\"{}\">{}</failure>",
                    escape(case.expects),
                    escape(detail)
                ),
                Outcome::Skipped(detail) => format!("<skipped message=\"{}\"/>", escape(detail)),
            };
            let _ = writeln!(
                xml,
                "  <testcase classname=\"ofrep.{}\" name=\"{}\">{inner}</testcase>",
                case.basis, case.name
            );
        }
        xml.push_str("</testsuite>");
        xml
    }
}
