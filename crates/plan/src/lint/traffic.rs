//! Route, traffic driver, units and who could judge.

use super::{error, warning};
use crate::catalog::{Capability, Catalog, DriverEntry};
use crate::diagnostic as code;
use crate::model::{Audience, Plan, Stage, Sticky};
use crate::section::components::DEFAULT_TRAFFIC;
use crate::sink::{Sink, printable};
use esclusa_judge::BlindThen;
use esclusa_model::Millis;
use std::collections::BTreeSet;

pub(super) fn check(plan: &Plan, catalog: &Catalog, sink: &mut Sink<'_>) {
    let driver = catalog.traffic_driver(&plan.traffic.driver);
    let web = plan.web().is_some();
    // Without all components nobody knows whether one of them is web.
    if !sink.failed_below("components") && !plan.components.is_empty() {
        route(plan, web, sink);
        judged(plan, driver, web, sink);
        take_over(plan, web, sink);
    }
    dial_timeout(plan, sink);
    population(plan, sink);
    sticky(plan, sink);
    match driver {
        Some(driver) => capabilities(plan, driver, sink),
        None => error(
            sink,
            code::CAPABILITY,
            "traffic",
            &format!(
                "this program has no traffic driver `{}`",
                plan.traffic.driver
            ),
            "name another under `traffic:`",
        ),
    }
}

fn route(plan: &Plan, web: bool, sink: &mut Sink<'_>) {
    let own_proxy = plan.traffic.driver == DEFAULT_TRAFFIC;
    super::parts::check(plan, sink);
    match (&plan.route, web) {
        (None, true) if own_proxy && !sink.has("route") => error(
            sink,
            code::ROUTE,
            "",
            "the service has a web component, and nothing says where its requests arrive",
            "add `route: { listen: 127.0.0.1:8080 }`",
        ),
        (Some(_), false) => error(
            sink,
            code::ROUTE,
            "route",
            "requests arrive here, and no component is `kind: web`",
            "remove `route`, or give the component that answers `kind: web`",
        ),
        (Some(_), true) if !own_proxy => warning(
            sink,
            code::ROUTE,
            "route",
            &format!(
                "nothing listens here: `traffic.{}` brings the requests",
                plan.traffic.driver
            ),
            "remove `route`, or `traffic` to use esclusa's own proxy",
        ),
        _ => {}
    }
    if !web && sink.has("traffic") {
        error(
            sink,
            code::ROUTE,
            "traffic",
            "there is no traffic to split: no component is `kind: web`",
            "remove `traffic`",
        );
    }
}

/// Unknown never passes: what cannot be seen is returned, or waits for a person.
fn judged(plan: &Plan, driver: Option<&DriverEntry>, web: bool, sink: &mut Sink<'_>) {
    let why = match driver {
        _ if !web => "no component answers requests".to_owned(),
        Some(driver) if !driver.can(Capability::Observes) => {
            format!("`traffic.{}` counts no requests by version", driver.name)
        }
        _ => return,
    };
    let at = if web { "traffic" } else { "judge" };
    if plan.judge.blind.then == BlindThen::Hold {
        warning(
            sink,
            code::BLIND,
            at,
            &format!("{why}: a person has to promote every stage"),
            "be ready for `esclusa release promote`, or give the judge data",
        );
    } else {
        error(
            sink,
            code::BLIND,
            at,
            &format!("{why}, so nothing could judge this plan and every release would return"),
            if web {
                "use esclusa's own proxy, or let people decide with `judge: { blind: { then: hold } }`"
            } else {
                "let people decide with `judge: { blind: { then: hold } }`"
            },
        );
    }
}

fn take_over(plan: &Plan, web: bool, sink: &mut Sink<'_>) {
    if plan.take_over.is_none() {
        return;
    }
    if plan.webs().count() > 1 {
        error(
            sink,
            code::TAKE_OVER,
            "take-over",
            "one address is taken over, and several components are `kind: web`",
            "take the service over with one web component, and add the others with its next \
             release",
        );
    }
    if !web {
        error(
            sink,
            code::TAKE_OVER,
            "take-over",
            "a running version is taken over by its address, and no component is `kind: web`",
            "remove `take-over`",
        );
    } else if plan.traffic.driver != DEFAULT_TRAFFIC {
        error(
            sink,
            code::TAKE_OVER,
            "take-over",
            &format!(
                "`traffic.{}` sends requests to what it knows already; only esclusa's own proxy \
                 takes an address over",
                plan.traffic.driver
            ),
            "remove `take-over`, or `traffic`",
        );
    }
}

/// The longest time that a plan may give its dial: users who were to go back and do not
/// are an emergency long before.
const LONGEST_DIAL: Millis = Millis::from_secs(60 * 60);

fn dial_timeout(plan: &Plan, sink: &mut Sink<'_>) {
    let limit = plan.dial_timeout;
    let one_call = plan.traffic.config.get("timeout");
    let one_call = one_call.and_then(serde_json::Value::as_u64).map(Millis);
    if limit > LONGEST_DIAL {
        error(
            sink,
            code::ZERO_TIME,
            "dial-timeout",
            &format!("a dial that may take {limit} to send users back is not under control"),
            &format!("write at most {LONGEST_DIAL}; `2m` when absent"),
        );
    } else if let Some(call) = one_call.filter(|call| *call >= limit && limit > Millis::ZERO) {
        warning(
            sink,
            code::ZERO_TIME,
            "dial-timeout",
            &format!("one call of the dial may take {call}, and it has {limit} in all"),
            "write a `dial-timeout` of at least two calls, or a shorter `timeout`",
        );
    }
}

fn population(plan: &Plan, sink: &mut Sink<'_>) {
    if plan.flags_alone().is_some() {
        return;
    }
    if plan.population.is_empty() {
        if sink.has("population") {
            error(
                sink,
                code::EMPTY,
                "population",
                "the population is empty, so no share of it is anybody",
                "list all unit ids, or remove `population`",
            );
        }
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, unit) in plan.population.iter().enumerate() {
        if !seen.insert(unit) {
            error(
                sink,
                code::DUPLICATE_NAME,
                &format!("population[{index}]"),
                &format!("`{}` stands in the population twice", printable(unit)),
                "keep one of them",
            );
        }
    }
    let by_header = plan.route.as_ref().is_some_and(|route| {
        route
            .sticky
            .iter()
            .any(|source| matches!(source, Sticky::Header(_)))
    });
    if !by_header && !sink.failed_below("route") && plan.traffic.driver == DEFAULT_TRAFFIC {
        error(
            sink,
            code::STICKY,
            "population",
            "ids in a cookie are random, so none of them stands in the population",
            "say which header carries the id: `route: { sticky: [header:x-tenant-id] }`",
        );
    }
}

fn sticky(plan: &Plan, sink: &mut Sink<'_>) {
    let Some(route) = &plan.route else { return };
    for (index, source) in route.sticky.iter().enumerate() {
        let at = format!("route.sticky[{index}]");
        if route
            .sticky
            .get(..index)
            .is_some_and(|before| before.contains(source))
        {
            error(
                sink,
                code::DUPLICATE_NAME,
                &at,
                "this source stands here twice",
                "keep one of them",
            );
        } else if *source == Sticky::Cookie && index + 1 < route.sticky.len() {
            warning(
                sink,
                code::STICKY,
                &at,
                "every request has a cookie or gets one, so what follows is never read",
                "write `cookie` last",
            );
        }
    }
}

fn capabilities(plan: &Plan, driver: &DriverEntry, sink: &mut Sink<'_>) {
    let name = &driver.name;
    if !driver.can(Capability::Segments) {
        for (index, stage) in plan.stages.iter().enumerate() {
            if let Stage::Expose(expose) = stage
                && let Audience::Segment(segment) = &expose.to
            {
                error(
                    sink,
                    code::CAPABILITY,
                    &format!("stages[{index}].to"),
                    &format!(
                        "`traffic.{name}` cannot expose the segment `{segment}`: it only takes a share"
                    ),
                    "remove the stage, or use esclusa's own proxy",
                );
            }
        }
    }
    exactly(plan, driver, sink);
    if !driver.can(Capability::Sticky) {
        for path in ["population", "route.sticky", "salt"] {
            if sink.has(path) {
                error(
                    sink,
                    code::CAPABILITY,
                    path,
                    &format!("`traffic.{name}` cannot keep a unit on its version"),
                    "remove this, or use esclusa's own proxy",
                );
            }
        }
    }
}

/// What a stage asks of a driver that turns whole percents, or that counts nothing.
fn exactly(plan: &Plan, driver: &DriverEntry, sink: &mut Sink<'_>) {
    let name = &driver.name;
    for (index, stage) in plan.stages.iter().enumerate() {
        let Stage::Expose(expose) = stage else {
            continue;
        };
        if let Audience::Share(share) = expose.to
            && !driver.can(Capability::ExactShare)
            && share.get() % 100 != 0
        {
            warning(
                sink,
                code::CAPABILITY,
                &format!("stages[{index}].to"),
                &format!("`traffic.{name}` may not be able to turn {share}, and would wait for it"),
                "write a whole percentage, or a `tolerance` for the router's steps",
            );
        }
        if expose.early && !driver.can(Capability::Observes) {
            warning(
                sink,
                code::CAPABILITY,
                &format!("stages[{index}].early"),
                &format!("`traffic.{name}` counts nothing, so nothing is proved early"),
                "remove `early`",
            );
        }
    }
}
