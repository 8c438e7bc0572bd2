//! What every part alone may say, but not all together.
//!
//! A plan that passes here can be executed: no name, unit or capability is first
//! looked up while users wait. Findings that only deserve a look are warnings.

use crate::catalog::Catalog;
use crate::diagnostic::Severity;
use crate::model::Plan;
use crate::sink::Sink;

mod components;
mod flags;
mod judge;
mod loops;
mod parts;
mod people;
mod placeholders;
mod power;
mod reach;
mod series;
mod slo;
mod stages;
mod times;
mod traffic;

pub(crate) use judge::check as judge;
pub(crate) use power::check as power;

/// Runs every rule over a plan.
pub(crate) fn check(plan: &Plan, catalog: &Catalog, sink: &mut Sink<'_>) {
    components::check(plan, catalog, sink);
    flags::check(plan, sink);
    traffic::check(plan, catalog, sink);
    stages::check(plan, sink);
    judge::check(&plan.judge, "judge", sink);
    series::in_plan(plan, catalog, sink);
    reach::check(plan, sink);
    times::check(plan, sink);
    people::check(plan, sink);
    loops::check(plan, sink);
    placeholders::check(plan, catalog, sink);
}

/// A finding that refuses the plan.
fn error(sink: &mut Sink<'_>, code: &'static str, path: &str, message: &str, help: &str) {
    sink.lint(
        code,
        Severity::Error,
        path,
        message.to_owned(),
        help.to_owned(),
    );
}

/// A finding that deserves a look.
fn warning(sink: &mut Sink<'_>, code: &'static str, path: &str, message: &str, help: &str) {
    sink.lint(
        code,
        Severity::Warning,
        path,
        message.to_owned(),
        help.to_owned(),
    );
}
