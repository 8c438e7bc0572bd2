//! Service level objectives: OpenSLO documents in, alert rules and error budgets out,
//! and a lint for rules that exist already.
//!
//! Pure: texts and answers of others come in, texts and findings go out. Whoever calls
//! reads the files and asks the metrics server.

mod buckets;
mod budget;
mod code;
mod document;
mod duration;
mod fields;
mod indicator;
mod lint;
mod openslo;
mod promql;
mod rules;
mod template;
mod write;

pub use buckets::{BadBuckets, Buckets};
pub use budget::{Budget, BudgetQuery, NoBudget, budget_query};
pub use code::CODES;
pub use duration::Span as WindowSpan;
pub use indicator::{Indicator, Op, Query, Ratio};
pub use lint::{LintOptions, lint_rules, metrics_with_buckets};
pub use openslo::{Budgeting, Objective, Period, Read, Slice, Slo, read_openslo};
pub use rules::{RuleOptions, rules};
pub use template::{Template, TemplateOptions, template};
pub use write::{Group, Rule, RuleKind, to_yaml};
