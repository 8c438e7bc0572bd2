//! Plans that use every field of every driver are read by the language, and what it
//! makes of them is read by the drivers.

use esclusa_drivers::{catalog, check, metrics, traffic};
use esclusa_plan::{Parsed, Requirement, SourceFile, parse, render_all};

fn parsed(text: &str) -> Parsed {
    let source = SourceFile::new("esclusa.yaml", text);
    match parse(&source, &catalog()) {
        Ok(parsed) => parsed,
        Err(errors) => panic!("{}", render_all(&source, &errors)),
    }
}

#[test]
fn the_language_reads_every_field_and_the_drivers_its_result() {
    let plan = parsed(include_str!("every-field.yaml")).plan;
    assert_eq!(plan.components.len(), 2);
    for requirement in &plan.requires {
        if let Requirement::Check {
            name, check: used, ..
        } = requirement
        {
            let built = check::check(&used.driver, &used.config);
            assert!(built.is_ok(), "{name}: {:?}", built.err());
        }
    }
    assert_eq!(plan.sources.len(), 4);
    for (name, used) in &plan.sources {
        let built = metrics::source(&used.driver, &used.config);
        assert!(built.is_ok(), "{name}: {:?}", built.err());
    }
    let built = traffic::dial(&plan.traffic.driver, &plan.traffic.config);
    assert!(built.is_ok(), "{:?}", built.err());
}

#[test]
fn the_smallest_plans_of_each_driver_are_accepted() {
    for block in [
        "artifact: ./dist/${version}\nprocess: { command: [\"${dir}/run\", \"${port}\"], ready: { http: /health } }",
        "command: { start: ./up, stop: ./down, status: ./ask, url: \"http://127.0.0.1:${port}\", ready: { tcp: true } }",
        "command: { start: ./up, stop: ./down, status: ./ask, url: \"http://shop-${version}.internal\", ready: { tcp: true } }",
        "address: { url: \"https://shop-${version}.internal\" }",
    ] {
        let text = format!(
            "esclusa: 1\nservice: shop\nroute: {{ listen: 127.0.0.1:8080 }}\n{block}\nstages: [ {{ to: 5%, for: 30m }}, {{ to: 100%, watch: 1h }} ]\n"
        );
        parsed(&text);
    }
}
