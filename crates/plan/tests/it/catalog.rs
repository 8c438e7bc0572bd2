//! A catalog with the drivers' names and fields, for tests of the language alone.

use esclusa_plan::{Capability, Catalog, DriverEntry, Field, FieldKind};

fn field(name: &str, kind: FieldKind) -> Field {
    Field {
        name: name.to_owned(),
        doc: format!("Test field {name}."),
        kind,
        required: false,
    }
}

fn required(name: &str, kind: FieldKind) -> Field {
    Field {
        required: true,
        ..field(name, kind)
    }
}

fn driver(name: &str, capabilities: &[Capability], fields: Vec<Field>) -> DriverEntry {
    DriverEntry {
        name: name.to_owned(),
        doc: format!("Test driver {name}."),
        fields,
        capabilities: capabilities.to_vec(),
    }
}

fn words(words: &[&str]) -> FieldKind {
    FieldKind::Choice(words.iter().map(|word| (*word).to_owned()).collect())
}

/// What plans in these tests may use.
pub(crate) fn sample() -> Catalog {
    use Capability::{
        Early, ExactShare, Lifecycle, Observes, Segments, Sticky, Tracks, VerifiedDigest,
    };
    let ready = FieldKind::Block(vec![
        field("http", FieldKind::Template),
        field("tcp", FieldKind::Switch),
        field("within", FieldKind::Duration),
        field("running-for", FieldKind::Duration),
    ]);
    let run = vec![
        driver(
            "process",
            &[Lifecycle, Tracks, VerifiedDigest],
            vec![
                required("command", FieldKind::Command),
                field("ready", ready),
                field("drain", FieldKind::Duration),
                field("env", FieldKind::TemplateMap),
                field("track-hook", FieldKind::Command),
                field("stop-signal", words(&["term", "int", "quit"])),
            ],
        ),
        driver(
            "command",
            &[Lifecycle, Tracks],
            vec![
                required("start", FieldKind::Command),
                required("stop", FieldKind::Command),
                required("status", FieldKind::Command),
                field("url", FieldKind::Template),
                field("track-hook", FieldKind::Command),
            ],
        ),
        driver("address", &[], vec![required("url", FieldKind::Template)]),
    ];
    let traffic = vec![
        driver("proxy", &[Sticky, Segments, Observes, ExactShare], vec![]),
        driver(
            "command",
            &[],
            vec![
                required("set", FieldKind::Command),
                required("read", FieldKind::Command),
                field("timeout", FieldKind::Duration),
            ],
        ),
    ];
    let check = vec![
        driver(
            "http",
            &[Early],
            vec![
                required("url", FieldKind::Template),
                field("status", FieldKind::Integer { min: 100, max: 599 }),
                field("body-contains", FieldKind::Text),
            ],
        ),
        driver(
            "tcp",
            &[Early],
            vec![required("address", FieldKind::Template)],
        ),
        driver(
            "command",
            &[Early],
            vec![
                required("run", FieldKind::Command),
                field(
                    "codes",
                    FieldKind::List(Box::new(FieldKind::Integer { min: 0, max: 255 })),
                ),
                field("least", FieldKind::Share),
            ],
        ),
    ];
    let metric = vec![
        driver(
            "prometheus",
            &[],
            vec![
                required("url", FieldKind::Text),
                field("query", FieldKind::Template),
                field("query-baseline", FieldKind::Template),
                field("query-canary", FieldKind::Template),
            ],
        ),
        driver("command", &[], vec![required("run", FieldKind::Command)]),
    ];
    Catalog {
        run,
        traffic,
        check,
        metric,
    }
}
