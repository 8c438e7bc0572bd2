//! The words of `esclusa slo`.

use super::known::Known;
use crate::args::duration;
use clap::{Args, Subcommand, ValueEnum};
use esclusa_model::Millis;
use esclusa_slo::Template;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum SloVerb {
    /// Write Prometheus rules for the objectives of an OpenSLO file
    ///
    /// Recorded ratios, alerts on fast burning budgets over two windows each (the SRE
    /// workbook, chapter 5), what is left of the budget, and an alert for data that stops.
    /// `promtool check rules` accepts them. Exits 2 when the file is refused, or when a
    /// latency threshold is known to be no bucket bound.
    ///
    /// Example: esclusa slo rules slo.yaml --out rules/slo.yaml
    #[command(verbatim_doc_comment)]
    Rules(RulesArgs),
    /// Say all that is wrong with OpenSLO files, with lines and next steps; exits 2 on errors
    ///
    /// Example: esclusa slo check slo/*.yaml
    #[command(verbatim_doc_comment)]
    Check {
        /// The files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Find alerts in existing rule files that cannot do their work; exits 2 on errors
    ///
    /// Thresholds that no quantile can reach, failures a second in place of their share,
    /// quantiles without `sum by (le)`, counters without a window, failures divided by
    /// successes, alerts that are silent when data stops. Whether a latency threshold can be
    /// reached depends on the buckets: name them, a scraped text, or a server.
    ///
    /// Example: esclusa slo lint alerts.yml --prometheus http://127.0.0.1:9090
    #[command(verbatim_doc_comment)]
    Lint(LintArgs),
    /// Write an alert that nearly every service needs: a queue, an error rate, a response time
    ///
    /// Example: esclusa slo template error-rate --service shop --metric http_requests_total
    ///          --bad 'http_requests_total{code=~"5.."}'
    #[command(verbatim_doc_comment)]
    Template(TemplateArgs),
    /// Say what is left of the error budgets; exits 6 when one is overspent or not known
    ///
    /// Example: esclusa slo budget slo.yaml --prometheus http://127.0.0.1:9090
    #[command(verbatim_doc_comment)]
    Budget(BudgetArgs),
}

/// Write rules.
#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// The OpenSLO file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write them into this file in place of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Fewest bad events in an alert's long window; 0 asks for none
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub min_bad_events: u64,
    #[command(flatten)]
    pub known: Known,
}

/// Lint rules.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Rule files of Prometheus
    #[arg(value_name = "RULES", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub known: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TemplateName {
    /// More than 1,000 jobs wait; a gauge
    Queue,
    /// More than 5 % of events fail; two counters
    ErrorRate,
    /// p95 is above one second; a histogram
    ResponseTime,
}

impl From<TemplateName> for Template {
    fn from(name: TemplateName) -> Self {
        match name {
            TemplateName::Queue => Self::Queue,
            TemplateName::ErrorRate => Self::ErrorRate,
            TemplateName::ResponseTime => Self::ResponseTime,
        }
    }
}

/// Write a template.
#[derive(Debug, Args)]
pub(crate) struct TemplateArgs {
    /// Which
    #[arg(value_enum)]
    pub template: TemplateName,
    /// The service
    #[arg(long, value_name = "NAME")]
    pub service: String,
    /// The gauge, the counter of all events, or the histogram, with labels if need be
    #[arg(long, value_name = "SELECTOR")]
    pub metric: String,
    /// For an error rate: the counter of bad events
    #[arg(long, value_name = "SELECTOR")]
    pub bad: Option<String>,
    /// The limit, in the metric's unit; a part of 1 for an error rate [default: 1000, 0.05
    /// or 1]
    #[arg(long, value_name = "N")]
    pub limit: Option<f64>,
    /// The quantile of a response time
    #[arg(long, value_name = "Q", default_value_t = 0.95)]
    pub quantile: f64,
    /// Fewest events in five minutes; 0 asks for none
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub min_events: u64,
    /// The label `severity`
    #[arg(long, value_name = "WORD", default_value = "warning")]
    pub severity: String,
    /// Write it into this file in place of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub known: Known,
}

impl TemplateArgs {
    /// The histogram's own name.
    pub(super) fn histogram(&self) -> String {
        let name = self.metric.split('{').next().unwrap_or_default().trim();
        name.strip_suffix("_bucket").unwrap_or(name).to_owned()
    }
}

/// What is left.
#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    /// The OpenSLO file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The server that is asked
    #[arg(long, value_name = "URL")]
    pub prometheus: String,
    /// Longest wait for each answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub timeout: Millis,
}
