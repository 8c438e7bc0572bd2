//! What commands about flags say where something is missing, misspelt or under way.

use super::Scene;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn set() -> Value {
    json!({
        "environments": ["production"],
        "tenants": { "acme": {}, "globex": {}, "initech": {}, "umbrella": {} },
        "flags": {
            "exec-reports": { "type": "boolean", "aliases": ["reports"], "project": "crm" },
            "master-reports": { "type": "boolean", "project": "crm",
                "prerequisites": [{ "flag": "exec-reports", "variant": "on" }] },
        },
    })
}

fn refused(scene: &Scene, args: &[&str], code: i32, words: &[&str]) {
    let (got, said, talk) = scene.run(args);
    assert_eq!(got, code, "{args:?}: {said}{talk}");
    for word in words {
        assert!(talk.contains(word), "{args:?}: {word}: {talk}");
    }
}

fn notes(scene: &Scene, args: &[&str], words: &str) {
    let (code, said, talk) = scene.run(args);
    assert_eq!(code, 0, "{args:?}: {said}{talk}");
    assert!(talk.contains(words), "{args:?}: {talk}");
}

/// The list of flags once it has these words: a release turns nothing before it was prepared.
async fn shown_in_the_list(scene: &Scene, words: &str) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let listed = scene.does(&["flag", "list"]);
        if listed.contains(words) {
            return listed;
        }
        assert!(Instant::now() < until, "{words}: {listed}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

// ROL-05, FLAG-09, trap 17: by hand too nothing begins that could reach nobody, and what a
// release turns is seen where flags are listed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_by_hand_says_what_is_in_its_way() {
    let scene = Scene::start(&set(), &[]);
    let rollout = |flag: &'static str| {
        [
            "rollout",
            flag,
            "--to",
            "25%",
            "--of",
            "tenant",
            "--service",
            "shop",
            "--reason",
            "x",
        ]
    };
    refused(&scene, &rollout("nope"), 2, &["has no flag nope"]);
    refused(
        &scene,
        &rollout("master-reports"),
        2,
        &[
            "ESC-0790",
            "master-reports needs exec-reports on, which nobody has in production",
            "esclusa rollout exec-reports=on --environment production",
        ],
    );
    scene.does(&rollout("exec-reports"));
    let listed = shown_in_the_list(&scene, "off, a release: on for 25%").await;
    let turned: Vec<&str> = listed
        .lines()
        .filter(|line| line.contains("a release"))
        .collect();
    assert!(
        matches!(turned.as_slice(), [one] if one.starts_with("exec-reports ")),
        "{listed}"
    );
    // Now somebody has it; the service turns one release at a time, and this one has no line.
    refused(
        &scene,
        &rollout("master-reports"),
        2,
        &["ESC-0301", "a rollout by hand waits in no line"],
    );
}

// FLAG-13, FLAG-16: a name that nobody has is not passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misspelt_names_are_told() {
    let mut scene = Scene::start(&set(), &[]);
    for verb in ["get", "who", "explain"] {
        let misspelt = ["ESC-0742", "did you mean exec-reports?"];
        refused(&scene, &["flag", verb, "exec-report"], 2, &misspelt);
        let alias = ["reports is an alias, by which one kills exec-reports"];
        refused(&scene, &["flag", verb, "reports"], 2, &alias);
    }
    let tenant = |id: &'static str| ["flag", "set", "exec-reports", "on", "--tenant", id];
    notes(
        &scene,
        &tenant("acmee"),
        "the directory has no tenant acmee; did you mean acme?",
    );
    let (_, _, talk) = scene.run(&tenant("acme"));
    assert!(!talk.contains("directory"), "{talk}");
    let none = "no flag belongs to a project nope; known are crm";
    notes(&scene, &["flag", "list", "--project", "nope"], none);
    notes(
        &scene,
        &["flag", "list", "--stale"],
        "no such flag is past its last day",
    );
    // A token is what was asked for, or none.
    let create = ["token", "create", "y", "--role", "viewer"];
    let both = [&create[..], &["--environment", "production"]].concat();
    refused(&scene, &both, 2, &["--environment"]);
    let flags = [
        "token",
        "create",
        "web",
        "--flags",
        "server",
        "--environment",
        "production",
    ];
    scene.does(&[&flags[..], &["--strict"]].concat());
    let listed = scene.does(&["token", "list"]);
    assert!(
        listed.contains("flags for a server in production, strict"),
        "{listed}"
    );
    // A file of its own kind, a statement for which an environment is missing.
    let sinks = ["flag", "sink", "lint", "none.yaml"];
    refused(&scene, &sinks, 2, &["esclusa flag sink lint FILE"]);
    // Nobody who has to turn something off looks for another command.
    esclusa_testkit::plane::ControlPlane::kill(&mut scene.plane);
    let kill = ["flag", "kill", "exec-reports", "--reason", "errors"];
    refused(
        &scene,
        &kill,
        1,
        &["ESC-0501", "`esclusa kill exec-reports`"],
    );
}
