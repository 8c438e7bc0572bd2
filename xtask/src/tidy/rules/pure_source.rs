//! Rule `pure`: what a pure crate's own text names keeps it pure.
//!
//! Looks at what ships, not at tests. It also asks for `libm` in place of the floating
//! point methods whose last digit differs between platforms.

use crate::tidy::rules::layers::is_pure;
use crate::tidy::uses::standard_paths;
use crate::tidy::views::find_word;
use crate::tidy::{Finding, SourceFile, Workspace};

const RULE: &str = "pure";

/// Modules of the standard library that reach the world.
const WORLDLY_MODULES: &[&str] = &["fs", "net", "env", "process", "thread", "os"];

/// What `std::net` has for addresses is text and numbers, not a network.
const ADDRESSES: &[&str] = &[
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
    "AddrParseError",
];

/// Words that are wrong wherever they come from.
const WORDS: &[(&str, &str)] = &[
    ("SystemTime", "time comes in as an argument"),
    ("HashMap", "its order differs from run to run: use BTreeMap"),
    ("HashSet", "its order differs from run to run: use BTreeSet"),
    ("RandomState", "it differs from run to run"),
    (
        "DefaultHasher",
        "its result may change with the compiler: use xxhash or SHA-256",
    ),
];

/// Methods of floats that the platform's own library computes.
const PLATFORM_FLOAT_METHODS: &[&str] = &[
    "ln", "ln_1p", "log", "log2", "log10", "exp", "exp2", "exp_m1", "powf", "powi", "sin", "cos",
    "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "cbrt", "hypot",
];

const PRINTS: &[&str] = &["println!", "eprintln!", "print!", "eprint!"];

/// Checks the files of every pure crate.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace
        .crates
        .iter()
        .filter(|krate| is_pure(&krate.name))
        .flat_map(|krate| &krate.files)
        .flat_map(check_file)
        .collect()
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let code = &file.shipped.code;
    let mut hits: Vec<(usize, String)> = Vec::new();
    for (at, path) in standard_paths(code) {
        if let Some(why) = objection(&path) {
            hits.push((at, format!("{path} in a pure crate: {why}")));
        }
    }
    for (word, why) in WORDS {
        hits.extend(find_word(code, word).map(|at| (at, format!("{word} in a pure crate: {why}"))));
    }
    for at in find_word(code, "Instant").filter(|at| code[*at..].starts_with("Instant::now")) {
        hits.push((
            at,
            "Instant::now in a pure crate: time comes in as an argument".into(),
        ));
    }
    for method in PLATFORM_FLOAT_METHODS {
        let calls = find_word(code, method).filter(|at| is_float_call(code, *at, method));
        hits.extend(calls.map(|at| {
            let message = format!("{method} of a float in a pure crate: use libm, so that a replay is identical everywhere");
            (at, message)
        }));
    }
    for print in PRINTS {
        let word = print.trim_end_matches('!');
        let calls = find_word(code, word).filter(|at| code[*at..].starts_with(print));
        hits.extend(calls.map(|at| {
            (
                at,
                format!("{print} in a pure crate: return what is to be shown"),
            )
        }));
    }
    hits.into_iter()
        .map(|(at, message)| Finding::error(RULE, &file.path, Some(file.line_of(at)), message))
        .collect()
}

/// `.exp()`, `f64::exp`, but not `libm::exp(x)`, `math.exponent` or a field.
fn is_float_call(code: &str, at: usize, method: &str) -> bool {
    let (before, after) = (&code[..at], &code[at + method.len()..]);
    let is_method = before.ends_with('.') && after.starts_with('(');
    is_method || before.ends_with("f64::") || before.ends_with("f32::")
}

/// Why a pure crate may not name this path of the standard library.
fn objection(path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split("::").collect();
    match segments.as_slice() {
        [_, "*"] => Some("name what is used"),
        [_, "net", item, ..] if ADDRESSES.contains(item) => None,
        [_, module, ..] if WORLDLY_MODULES.contains(module) => {
            Some("it reaches the world; that is the shell's work")
        }
        [_, "time", "Instant" | "SystemTime" | "UNIX_EPOCH" | "*", ..] => {
            Some("time comes in as an argument")
        }
        [_, "io", "stdin" | "stdout" | "stderr", ..] => {
            Some("it reaches the world; that is the shell's work")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rules::planted::{errors, one_file};

    fn lines(text: &str) -> Vec<String> {
        let mut found = errors(&check(&one_file("esclusa-judge", text)), RULE);
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn every_way_to_the_world_is_found() {
        for text in [
            "use std::fs;",
            "use std::{io, fs::File};",
            "fn f() { std::env::var(\"X\"); }",
            "use std::net::{IpAddr, TcpStream};",
            "use std::process::Command;",
            "fn f() { std::thread::spawn(g); }",
            "use std::time::Instant as Clock;",
            "use std::time; fn f() { time::Instant::now(); }",
            "fn f() { std::time::SystemTime::now(); }",
            "use std::collections::HashMap;",
            "fn f(x: hashbrown::HashSet<u8>) {}",
            "use std::*;",
            "fn f(x: f64) -> f64 { x.ln() }",
            "fn f(x: f64) -> f64 { f64::powf(x, 2.0) }",
            "fn f() { println!(\"x\"); }",
            "fn f() { std::io::stdout(); }",
        ] {
            assert_eq!(
                lines(&format!("//! Doc.\n{text}")),
                ["crates/judge/src/lib.rs:2"],
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_pure_passes() {
        for text in [
            "use std::net::{IpAddr, SocketAddr};",
            "use std::time::Duration;",
            "use std::collections::{BTreeMap, btree_map::Entry};",
            "fn f(x: f64) -> f64 { libm::ln(x) + x.sqrt() + x.abs() }",
            "/// See std::fs and HashMap.\nfn f() { g(\"std::env\"); }",
            "#[cfg(test)]\nmod tests { use std::fs; use std::collections::HashSet; }",
            "fn f(x: u64) -> u32 { x.ilog2() }",
            "struct Instant; fn f(x: Instant) {}",
        ] {
            assert_eq!(lines(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_shell_may() {
        let findings = check(&one_file("esclusa-store", "use std::fs; use std::env;"));
        assert!(findings.is_empty());
    }
}
