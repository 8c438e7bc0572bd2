//! The command line itself.

use crate::planted::{said, xtask};

#[test]
fn an_unknown_command_is_bad_input() {
    for args in [&["deploy"][..], &[], &["tidy", "here"]] {
        let output = xtask(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(said(&output).starts_with("usage: cargo xtask"), "{args:?}");
    }
    assert_eq!(xtask(&["help"]).status.code(), Some(0));
}

#[test]
fn an_unknown_step_is_named_with_the_known_ones() {
    let output = xtask(&["ci", "fmt", "lint"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("\"lint\"") && said.contains("fmt, tidy, ui, ui-size, ui-tests, clippy"),
        "{said}"
    );
}
