//! Several web components: which requests are whose must be plain.

use super::error;
use crate::diagnostic as code;
use crate::model::{PartRoute, Plan, Route};
use crate::section::components::DEFAULT_TRAFFIC;
use crate::sink::Sink;
use esclusa_model::{ComponentKind, ComponentName};

pub(super) fn check(plan: &Plan, sink: &mut Sink<'_>) {
    for (name, component) in &plan.components {
        if component.route.is_some() && component.kind != ComponentKind::Web {
            error(
                sink,
                code::ROUTE,
                &at(name),
                "only a web component answers requests",
                "remove `route`, or give the component `kind: web`",
            );
        }
    }
    if plan.traffic.driver == DEFAULT_TRAFFIC {
        who_answers_the_rest(plan, sink);
    }
    let routes: Vec<(&ComponentName, &PartRoute)> = plan
        .webs()
        .filter_map(|(name, component)| Some((name, component.route.as_ref()?)))
        .collect();
    for (index, (name, own)) in routes.iter().enumerate() {
        if own.host.is_none() && own.path.is_none() {
            error(
                sink,
                code::ROUTE,
                &at(name),
                "a component's own route names a host, a path, or both",
                "add `path: /api`, or remove `route` from the one that answers the rest",
            );
        }
        if let Some((other, _)) = routes[..index].iter().find(|(_, other)| other == own) {
            error(
                sink,
                code::ROUTE,
                &at(name),
                &format!("`{other}` answers the same requests"),
                "give one of them another host or path",
            );
        }
        if let Some(why) = plan
            .route
            .as_ref()
            .and_then(|service| outside(own, service))
        {
            error(
                sink,
                code::ROUTE,
                &at(name),
                &format!("no request of the service can arrive here: {why}"),
                &inside(own, plan.route.as_ref()),
            );
        }
    }
    if let (Some((name, _)), true) = (plan.webs().nth(1), plan.traffic.driver != DEFAULT_TRAFFIC) {
        error(
            sink,
            code::ROUTE,
            &format!("components.{name}"),
            &format!(
                "`traffic.{}` turns the share of one web component, and there are several",
                plan.traffic.driver
            ),
            "use esclusa's own proxy, or make it a service with a plan of its own",
        );
    }
}

fn who_answers_the_rest(plan: &Plan, sink: &mut Sink<'_>) {
    let rest: Vec<&ComponentName> = plan
        .webs()
        .filter(|(_, component)| component.route.is_none())
        .map(|(name, _)| name)
        .collect();
    match rest.as_slice() {
        [first, second, ..] => error(
            sink,
            code::ROUTE,
            &format!("components.{second}"),
            &format!("`{first}` and `{second}` are both web, and both want all requests"),
            "say which requests are its own, `route: { path: /api }`, or give it `kind: worker`",
        ),
        [] => {
            if let Some((name, _)) = plan.webs().next() {
                error(
                    sink,
                    code::ROUTE,
                    &at(name),
                    "every web component has requests of its own, and nobody answers the rest",
                    "remove `route` from one of them",
                );
            }
        }
        [_] => {}
    }
}

/// Why no request of the service fits a component's route, if none does.
fn outside(own: &PartRoute, service: &Route) -> Option<String> {
    if let (Some(own), Some(host)) = (&own.host, &service.host)
        && own != host
    {
        return Some(format!("they all are for `{host}`"));
    }
    if let (Some(own), Some(path)) = (&own.path, &service.path) {
        let below = own
            .strip_prefix(path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !below {
            return Some(format!("they all are below `{path}`"));
        }
    }
    None
}

/// What to write in place of a route that lies outside of the service's.
fn inside(own: &PartRoute, service: Option<&Route>) -> String {
    let host = service.and_then(|service| service.host.as_deref());
    let path = service.and_then(|service| service.path.as_deref());
    match (host, path, &own.path) {
        (Some(host), _, _) if own.host.as_deref().is_some_and(|own| own != host) => {
            format!("write `host: {host}`, or remove `host` from the service's own `route`")
        }
        (_, Some(path), Some(own)) => {
            format!("write a path below it, such as `{path}{own}`, or a wider `route: {{ path }}`")
        }
        _ => "write a part of what the service's own `route` takes".to_owned(),
    }
}

fn at(name: &ComponentName) -> String {
    format!("components.{name}.route")
}
