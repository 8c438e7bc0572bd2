//! What would pass by silence: guards that guard nothing, checks of nothing, lines that are left
//! out.

use super::Scene;
use crate::world::LONG;
use esclusa_testkit::wait_until;
use serde_json::{Value, json};

const OPENAPI: &str = "
openapi: 3.1.0
paths:
  /reports/{id}: { get: {} }
  /health: { get: {} }
";

fn flags() -> Value {
    json!({
        "environments": ["production"],
        "flags": { "exec-reports": { "type": "boolean" } },
        "guards": { "reports": {
            "service": "shpo",
            "environment": "production",
            "tenant": [{ "claim": "org" }],
            "claims": { "secret": "env:ESCLUSA_TEST_NO_SUCH_SECRET" },
            "routes": [
                { "path": "/reports/*", "flag": "exec-reports" },
                { "path": "/modules/*", "flag": "exec-reports" },
            ],
        } },
    })
}

fn start() -> Scene {
    Scene::start(&flags(), &[])
}

impl Scene {
    /// What is said, with the exit code that is wanted.
    fn ends(&self, wanted: i32, args: &[&str]) -> String {
        let (code, said, talk) = self.run(args);
        assert_eq!(code, wanted, "{args:?}: {said}\n{talk}");
        said + &talk
    }
}

fn holds(said: &str, all: &[&str]) {
    for words in all {
        assert!(said.contains(words), "{words}: {said}");
    }
}

// GRD-05, GRD-06
#[tokio::test(flavor = "multi_thread")]
async fn guards_that_guard_nothing_are_told() {
    let scene = start();
    scene.write("openapi.yaml", OPENAPI);
    let doubts = [
        "warning: guard reports: no service shpo is known",
        "warning: guard reports: its key cannot be read, so that claims name nobody: the environment \
         variable ESCLUSA_TEST_NO_SUCH_SECRET is not set",
    ];
    holds(&scene.ends(1, &["flag", "status"]), &doubts);
    let again = ["flag", "apply", "flags.json", "--yes"];
    holds(&scene.ends(0, &again), &doubts);
    // A service alone that nobody knows may come with its first release.
    let mut keyed = flags();
    keyed["guards"]["reports"]["claims"]["secret"] = json!("env:PATH");
    scene.write("keyed.json", &keyed.to_string());
    scene.ends(0, &["flag", "apply", "keyed.json", "--yes"]);
    wait_until("the key is read", LONG, async || {
        let (code, said, talk) = scene.run(&["flag", "status"]);
        let told = (said + &talk).contains(doubts[0]);
        (code == 0 && told).then_some(())
    })
    .await
    .expect("a warning, and no fault");
    scene.ends(0, &again);

    let coverage = |wanted: i32, more: &[&str]| {
        let verb = ["flag", "coverage", "--openapi", "openapi.yaml"];
        scene.ends(wanted, &[&verb[..], more].concat())
    };
    let said = coverage(2, &["--under", "/reports", "--strict"]);
    let nothing = "guards nothing  guard reports: no service shpo is known";
    holds(&said, &["unguarded  GET /reports/{id}", nothing]);
    // Nothing is known of services without a server, and that is said.
    let offline = ["--flags", "flags.json", "--under", "/reports", "--strict"];
    let said = coverage(0, &offline);
    let unknown = "whether the services exist that guards name is not known";
    holds(&said, &["1 guarded, 0 unguarded, 0 routes", unknown]);
    for nowhere in ["/nope", "helth"] {
        let said = coverage(2, &["--under", nowhere]);
        let help = "its paths begin with /health, /reports";
        holds(&said, &["ESC-0760", "there is nothing to check", help]);
    }
    holds(&coverage(0, &["--under", "health"]), &["GET /health"]);
    // A variant `on` is no word for true, as `flag apply` reads it.
    scene.write("set.yaml", "flags: { a: { type: boolean, default: on } }");
    coverage(0, &["--flags", "set.yaml"]);
    scene.write("set.yaml", "flags: { a: { typ: boolean } }");
    let said = coverage(2, &["--flags", "set.yaml"]);
    let meant = "set.yaml: /flags/a/typ: there is no field \"typ\" (did you mean \"type\"?)";
    holds(&said, &["ESC-0761", meant]);
}

// FLAG-03, FLAG-10
#[tokio::test(flavor = "multi_thread")]
async fn variables_that_cannot_be_read_are_refused() {
    let scene = start();
    let import = |wanted: i32, text: &str| {
        scene.write(".env", text);
        let args = ["flag", "import-env", "--file", ".env", "--dry-run"];
        scene.ends(wanted, &args)
    };
    let off = import(
        0,
        "# off\n\nexport FEATURE_EXEC_REPORTS='false'\nESCLUSA_FLAGS=\n",
    );
    holds(&off, &["nothing is different from what is stored"]);
    let said = import(2, "FEATURE_EXEC_REPORTS: true\nFEATURE_EXEC_REPORTS=true\n");
    holds(&said, &["ESC-0749", ".env: line 1 is no NAME=value"]);
    let said = import(2, "FEATURE_EXEC_REPORTS=true\nFEATURE_EXEC_REPORTS=false\n");
    holds(&said, &["lines 1 and 2 both say FEATURE_EXEC_REPORTS"]);
    let said = import(2, "ESCLUSA_FLAGS=\n");
    holds(
        &said,
        &["ESC-0748", ".env has no variable", "write lines such as"],
    );
    let said = import(
        2,
        "FEATURE_EXEC_REPORT=true\nESCLUSA_FLAGS=exec-reports=1\n",
    );
    let first = "FEATURE_EXEC_REPORT: there is no flag \"exec_report\" (did you mean";
    let second = "ESCLUSA_FLAGS, exec-reports: \"1\" is neither true nor false, and 1 more\n";
    assert!(said.starts_with(first), "{said}");
    holds(&said, &["ESC-0746", second]);
    assert!(
        !said.contains("pointer") && !said.contains("/FEATURE"),
        "{said}"
    );
}
