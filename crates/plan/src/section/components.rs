//! What a service is made of, how each part runs, and what turns the share.

use crate::catalog::Catalog;
use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::model::{Component, DriverUse};
use crate::section::route;
use crate::shape::{Block, Key, Scope, Shape, driver_block};
use crate::sink::Sink;
use esclusa_model::{ComponentKind, ComponentName};
use std::collections::BTreeMap;

/// The driver that turns the share unless the plan names another.
pub(crate) const DEFAULT_TRAFFIC: &str = "proxy";

/// What runs a component, for messages.
pub(crate) const EXAMPLE: &str = "process: { command: [\"${dir}/shop\", --port, \"${port}\"] }";

/// The keys of one component, without what runs it.
fn own_keys() -> Vec<Key> {
    vec![
        Key::new(
            "artifact",
            Shape::Template(Scope::Artifact),
            "File, folder or tar that is the version, such as `./dist/${version}`.",
        ),
        Key::new(
            "kind",
            Shape::choice(&["web", "worker", "singleton"]),
            "Split by requests, split by instances, or exactly one active copy.",
        )
        .default("web"),
        Key::new(
            "instances",
            Shape::Integer { min: 1, max: 1_000 },
            "How many copies run.",
        )
        .default("1"),
    ]
}

fn run_keys(catalog: &Catalog) -> Vec<Key> {
    catalog
        .run
        .iter()
        .map(|driver| {
            let block = driver_block(&driver.fields, Scope::Run);
            Key::new(&driver.name, Shape::Block(block), &driver.doc)
        })
        .collect()
}

fn run_names(catalog: &Catalog) -> Vec<String> {
    catalog
        .run
        .iter()
        .map(|driver| driver.name.clone())
        .collect()
}

/// The keys that a plan with a single component writes at the top.
pub(crate) fn single_keys(catalog: &Catalog) -> Vec<Key> {
    let mut keys = own_keys();
    keys.extend(run_keys(catalog));
    keys
}

/// Which top keys say what the service is made of.
pub(crate) fn sources(catalog: &Catalog) -> Vec<String> {
    let mut keys = vec!["components".to_owned()];
    keys.extend(run_names(catalog));
    keys
}

/// The shape of `components`.
pub(crate) fn shape(catalog: &Catalog) -> Shape {
    let mut keys = single_keys(catalog);
    keys.push(Key::new(
        "route",
        Shape::Block(route::part_block()),
        "Which of the service's requests this web component answers; the rest unless given.",
    ));
    let block = Block::of(keys).exactly_one("how this component runs", run_names(catalog), EXAMPLE);
    Shape::Named(Box::new(Shape::Block(block)))
}

/// The shape of `traffic`.
pub(crate) fn traffic(catalog: &Catalog) -> Shape {
    let keys = catalog.traffic.iter().map(|driver| {
        let block = driver_block(&driver.fields, Scope::Traffic);
        Key::new(&driver.name, Shape::Block(block), &driver.doc)
    });
    let names = catalog.traffic.iter().map(|driver| driver.name.clone());
    Shape::Block(Block::of(keys.collect()).exactly_one(
        "what turns the share",
        names.collect(),
        "command: { set: ./set-share.sh, read: ./read-share.sh }",
    ))
}

/// Builds all components, from either form.
pub(crate) fn build(
    root: &Fields,
    catalog: &Catalog,
    sink: &mut Sink<'_>,
) -> BTreeMap<ComponentName, Component> {
    let mut components = BTreeMap::new();
    if root.given("components") {
        for key in ["artifact", "kind", "instances"] {
            if root.given(key) {
                sink.error(
                    code::EXCLUSIVE,
                    &root.at(key),
                    format!("`{key}` belongs to a component here"),
                    "move it into the component that is meant".to_owned(),
                );
            }
        }
        for (name, value) in root.named("components").unwrap_or_default() {
            if let (Ok(name), Val::Block(fields)) = (ComponentName::new(name), value) {
                let mut component = component(&fields, catalog);
                if let (Some(component), Some(own)) = (&mut component, fields.block("route")) {
                    component.route = Some(route::build_part(&own, sink));
                }
                components.extend(component.map(|component| (name, component)));
            }
        }
        if components.is_empty() {
            sink.lint(
                code::EMPTY,
                crate::diagnostic::Severity::Error,
                "components",
                "the service has no component".to_owned(),
                "name at least one, such as `web: { artifact: ..., process: ... }`".to_owned(),
            );
        }
    } else if let Some(component) = component(root, catalog) {
        components.extend(single_name(component.kind).map(|name| (name, component)));
    }
    components
}

/// A component that was written without a name is named after its kind.
fn single_name(kind: ComponentKind) -> Option<ComponentName> {
    let name = match kind {
        ComponentKind::Web => "web",
        ComponentKind::Worker => "worker",
        ComponentKind::Singleton => "singleton",
    };
    ComponentName::new(name).ok()
}

fn component(fields: &Fields, catalog: &Catalog) -> Option<Component> {
    Some(Component {
        kind: match fields.text("kind").as_deref() {
            Some("worker") => ComponentKind::Worker,
            Some("singleton") => ComponentKind::Singleton,
            _ => ComponentKind::Web,
        },
        instances: fields
            .integer("instances")
            .and_then(|n| u16::try_from(n).ok())
            .unwrap_or(1),
        route: None,
        artifact: fields.text("artifact"),
        run: driver_use(fields, catalog.run.iter().map(|d| d.name.as_str()))?,
    })
}

/// The one driver that is written in a block.
fn driver_use<'a>(fields: &Fields, mut names: impl Iterator<Item = &'a str>) -> Option<DriverUse> {
    names.find_map(|name| {
        Some(DriverUse {
            driver: name.to_owned(),
            config: fields.any(name)?.to_json(),
        })
    })
}

/// Builds what turns the share.
pub(crate) fn build_traffic(root: &Fields, catalog: &Catalog) -> DriverUse {
    root.block("traffic")
        .and_then(|fields| driver_use(&fields, catalog.traffic.iter().map(|d| d.name.as_str())))
        .unwrap_or_else(|| DriverUse {
            driver: DEFAULT_TRAFFIC.to_owned(),
            config: serde_json::json!({}),
        })
}
