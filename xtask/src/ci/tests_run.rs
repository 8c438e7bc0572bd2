//! The steps that run tests, and how many tests that were: none at all is a failure.

use super::runner::Outcome;
use crate::{shell, tidy};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Tests run, by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// All tests but those in documentation.
pub(crate) fn all(root: &Path) -> Result<Outcome> {
    let mut command = shell::cargo(root);
    let runner = if shell::is_on_path("cargo-nextest") {
        command.args([
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--no-fail-fast",
        ]);
        "nextest"
    } else {
        command.args([
            "test",
            "--locked",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
        ]);
        "cargo test"
    };
    repeatable(root, &mut command)?;
    let (status, lines) = shell::tee(&mut command)?;
    let count = count(&lines);
    // The closing line, for people and for programs that read the log.
    println!(
        "tests: {} passed, {} failed, {} skipped ({runner})",
        count.passed, count.failed, count.skipped
    );
    Ok(judge(status.success(), count, runner))
}

/// Where generated cases come from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Draws the generated cases from the sources themselves: each change tries cases of its own,
/// and whoever runs the gate on it again sees the same ones.
fn repeatable(root: &Path, command: &mut Command) -> Result<()> {
    if let Ok(given) = std::env::var(SEED) {
        println!("tests: {SEED}={given}, as given");
        return Ok(());
    }
    let seed = tidy::fingerprint(root)?.to_string();
    println!("tests: {SEED}={seed}, from the sources");
    command.env(SEED, seed);
    Ok(())
}

/// The examples in the documentation, which nextest does not run.
pub(crate) fn examples(root: &Path) -> Result<Outcome> {
    let (status, lines) =
        shell::tee(shell::cargo(root).args(["test", "--locked", "--workspace", "--doc"]))?;
    let count = count(&lines);
    let detail = format!("{} passed, {} failed", count.passed, count.failed);
    Ok(if status.success() && count.failed == 0 {
        Outcome::Passed(detail)
    } else {
        Outcome::Failed(detail)
    })
}

fn judge(success: bool, count: Count, runner: &str) -> Outcome {
    let detail = format!(
        "{} passed, {} failed, {} skipped ({runner})",
        count.passed, count.failed, count.skipped
    );
    if success && count.failed == 0 && count.passed > 0 {
        Outcome::Passed(detail)
    } else {
        Outcome::Failed(detail)
    }
}

/// Adds up what nextest and libtest say at the end of each run.
fn count(lines: &[String]) -> Count {
    let mut total = Count::default();
    for line in lines {
        let plain = without_colours(line);
        let is_summary = plain.contains("tests run:")
            || plain.contains("test run:")
            || plain.starts_with("test result:");
        if is_summary {
            let number = |what: &str| number_before(&plain, what);
            total.passed += number("passed");
            total.failed += number("failed") + number("timed out");
            total.skipped += number("skipped") + number("ignored");
        }
    }
    total
}

fn number_before(line: &str, what: &str) -> u64 {
    line.find(&format!(" {what}"))
        .and_then(|at| line[..at].rsplit([' ', '(']).next())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// The line without terminal escapes.
fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // Up to the letter that ends the escape.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> (u64, u64, u64) {
        let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        let c = count(&lines);
        (c.passed, c.failed, c.skipped)
    }

    #[test]
    fn nextest_is_understood() {
        let line = "     Summary [   0.912s] 45 tests run: 45 passed (1 slow), 3 skipped";
        assert_eq!(counted(&[line]), (45, 0, 3));
        let line = "\u{1b}[31m Summary\u{1b}[0m [ 1s] \u{1b}[1m4\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m passed, 1 failed, 1 timed out, 0 skipped";
        assert_eq!(counted(&[line]), (2, 2, 0));
        let line = "     Summary [   0.1s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(counted(&[line]), (1, 0, 0));
    }

    #[test]
    fn libtest_is_added_up() {
        let lines = [
            "running 2 tests",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        assert_eq!(counted(&lines), (5, 1, 1));
    }

    #[test]
    fn no_tests_is_not_a_pass() {
        let count = |passed, failed| Count {
            passed,
            failed,
            skipped: 0,
        };
        assert!(matches!(judge(true, count(1, 0), "x"), Outcome::Passed(_)));
        assert!(matches!(judge(true, count(0, 0), "x"), Outcome::Failed(_)));
        assert!(matches!(judge(false, count(1, 0), "x"), Outcome::Failed(_)));
        assert!(matches!(judge(true, count(1, 1), "x"), Outcome::Failed(_)));
    }
}
