//! Planted breaches end the program with an error that names file and rule.

use crate::planted::{Planted, tidy};
use std::path::Path;

fn refused(planted: &Planted, expected: &str) {
    let (passed, said) = planted.tidy();
    assert!(!passed, "{said}");
    assert!(said.contains(expected), "{expected} in:\n{said}");
    assert!(
        said.contains(": 1 errors"),
        "only what was planted:\n{said}"
    );
}

#[test]
fn a_clean_workspace_passes() {
    let (passed, said) = Planted::new().tidy();
    assert!(passed, "{said}");
    assert!(said.contains("tidy: 2 crates, 2 files"), "{said}");
}

#[test]
fn this_repository_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let (passed, said) = tidy(root.expect("xtask lies in the repository"));
    assert!(passed, "{said}");
}

#[test]
fn a_clock_in_a_pure_crate() {
    let planted = Planted::new();
    planted.write(
        "crates/judge/src/clock.rs",
        "fn f() {\n    std::time::SystemTime::now();\n}\n",
    );
    let (passed, said) = planted.tidy();
    assert!(!passed, "{said}");
    assert!(
        said.contains("error[pure]: crates/judge/src/clock.rs:2:"),
        "{said}"
    );
}

#[test]
fn a_runtime_below_a_pure_crate() {
    let planted = Planted::new();
    planted.add_vendored("tokio");
    planted.add_crate("model", "tokio = { path = \"../../vendor/tokio\" }\n");
    let (passed, said) = planted.tidy();
    assert!(!passed, "{said}");
    // Directly for one, through the first for the other.
    assert!(
        said.contains("error[pure]: crates/model/Cargo.toml: "),
        "{said}"
    );
    assert!(
        said.contains("esclusa-judge -> esclusa-model -> tokio"),
        "{said}"
    );
}

#[test]
fn a_runtime_only_for_tests_is_no_breach() {
    let planted = Planted::new();
    planted.add_vendored("tokio");
    planted.add_crate(
        "model",
        "[dev-dependencies]\ntokio = { path = \"../../vendor/tokio\" }\n",
    );
    let (passed, said) = planted.tidy();
    assert!(passed, "{said}");
}

#[test]
fn a_crate_that_looks_down() {
    let planted = Planted::new();
    planted.add_crate("wire", "");
    planted.add_crate("shim", "esclusa-wire = { path = \"../wire\" }\n");
    refused(
        &planted,
        "error[layers]: crates/shim/Cargo.toml: shim may not use wire",
    );
}

#[test]
fn a_file_without_end() {
    let planted = Planted::new();
    planted.write("crates/judge/tests/it/main.rs", &"//! x\n".repeat(701));
    refused(
        &planted,
        "error[size]: crates/judge/tests/it/main.rs: 701 lines",
    );
}

#[test]
fn unfinished_work() {
    let planted = Planted::new();
    planted.write("crates/model/src/a.rs", "fn f() {\n\n    todo!()\n}\n");
    refused(&planted, "error[leftovers]: crates/model/src/a.rs:3: todo!");
}

#[test]
fn a_crate_without_the_lints() {
    let planted = Planted::new();
    planted.write(
        "crates/model/Cargo.toml",
        "[package]\nname = \"esclusa-model\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    refused(
        &planted,
        "error[crate-form]: crates/model/Cargo.toml: add `[lints]`",
    );
}

#[test]
fn unsafe_without_a_reason() {
    let planted = Planted::new();
    planted.write("crates/model/src/a.rs", "unsafe fn f() {}\n");
    refused(&planted, "error[unsafe]: crates/model/src/a.rs:1:");
    let manifest = "[package]\nname = \"esclusa-model\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [package.metadata.esclusa]\nunsafe = \"planted to show that a reason is read\"\n\
         [lints.rust]\nunsafe_code = \"deny\"\n";
    planted.write("crates/model/Cargo.toml", manifest);
    let (passed, said) = planted.tidy();
    assert!(passed, "{said}");
}

#[test]
fn a_second_tls_provider_even_for_tests() {
    let planted = Planted::new();
    planted.add_vendored("aws-lc-sys");
    planted.add_crate(
        "model",
        "[dev-dependencies]\naws-lc-sys = { path = \"../../vendor/aws-lc-sys\" }\n",
    );
    refused(
        &planted,
        "error[graph]: Cargo.toml: aws-lc-sys is in the dependency graph",
    );
}

#[test]
fn a_code_without_its_page() {
    let planted = Planted::new();
    planted.write("crates/model/src/a.rs", "const A: &str = \"ESC-0412\";\n");
    let (passed, said) = planted.tidy();
    assert!(
        passed && said.contains("note[error-pages]: docs/errors:"),
        "{said}"
    );
    planted.write("docs/errors/README.md", "# Errors\n");
    refused(
        &planted,
        "error[error-pages]: crates/model/src/a.rs:1: ESC-0412 has no page",
    );
}

#[test]
fn no_workspace_is_no_pass() {
    let (passed, said) = tidy(Path::new("/nonexistent"));
    assert!(
        !passed && said.contains("error: failed to find /nonexistent"),
        "{said}"
    );
}
