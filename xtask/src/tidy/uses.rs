//! The paths that a file names: in `use` trees, spelled out, and in expressions.

use crate::tidy::views::{find_word, is_word};

/// Every path in `code` that begins with `std` or `core`, with its offset; groups in
/// `use` declarations are spelled out, globs end in `*`.
pub(crate) fn standard_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, tree) in use_trees(code) {
        expand(tree, "", at, &mut found);
    }
    for root in ["std", "core"] {
        for at in find_word(code, root) {
            let path = spelled(&code[at..]);
            // A trailing `::` opens a group or a glob, which the trees above spell out.
            if path.contains("::") && !path.ends_with("::") {
                found.push((at, path.to_owned()));
            }
        }
    }
    found.retain(|(_, path)| path.starts_with("std::") || path.starts_with("core::"));
    found.sort();
    found.dedup();
    found
}

/// Text between `use` and `;`, with its offset.
fn use_trees(code: &str) -> Vec<(usize, &str)> {
    find_word(code, "use")
        .filter(|at| {
            // `use<'a>` in a return type is something else.
            let before = code[..*at].trim_end();
            before.is_empty()
                || before.ends_with(['{', '}', ';', ']', ')'])
                || before.ends_with("pub")
        })
        .filter_map(|at| {
            let rest = &code[at + 3..];
            rest.find(';').map(|end| (at + 3, &rest[..end]))
        })
        .collect()
}

/// Spells out a tree such as `std::{fs, io::{Read, Write}}`.
fn expand(tree: &str, prefix: &str, at: usize, found: &mut Vec<(usize, String)>) {
    let begin = tree.trim_start().trim_start_matches("::");
    let at = at + (tree.len() - begin.len());
    let tree = begin.trim_end();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        let path = path.strip_suffix("::self").unwrap_or(path);
        let whole = match path {
            "self" => prefix.trim_end_matches("::").to_owned(),
            _ => format!("{prefix}{path}"),
        };
        found.push((at, whole));
        return;
    };
    let inner = tree[open + 1..]
        .strip_suffix('}')
        .unwrap_or(&tree[open + 1..]);
    let prefix = format!("{prefix}{}", &tree[..open]);
    let (mut depth, mut begin) = (0, 0);
    for (i, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                expand(&inner[begin..i], &prefix, at + open + 1 + begin, found);
                begin = i + 1;
            }
            _ => {}
        }
    }
    if !inner[begin..].trim().is_empty() {
        expand(&inner[begin..], &prefix, at + open + 1 + begin, found);
    }
}

/// The path at the beginning of `code`.
fn spelled(code: &str) -> &str {
    let end = code
        .bytes()
        .position(|b| !is_word(b) && b != b':')
        .unwrap_or(code.len());
    let path = &code[..end];
    // `std::fs::read: ` in a pattern is no longer path.
    if path.ends_with(':') && !path.ends_with("::") {
        &path[..path.len() - 1]
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, expected: &[&str]) {
        let found: Vec<String> = standard_paths(code).into_iter().map(|(_, p)| p).collect();
        for path in expected {
            assert!(
                found.iter().any(|f| f == path),
                "{path} in {code}: {found:?}"
            );
        }
        assert_eq!(found.len(), expected.len(), "{code}: {found:?}");
    }

    #[test]
    fn trees_are_spelled_out() {
        check("use std::fs;", &["std::fs"]);
        check(
            "pub(crate) use std::{fs as f, io::{self, Read}};",
            &["std::fs", "std::io", "std::io::Read"],
        );
        check(
            "use std::{\n    time::{Duration, Instant},\n    net::*,\n};",
            &["std::time::Duration", "std::time::Instant", "std::net::*"],
        );
        check("use ::std::env; use serde::Serialize;", &["std::env"]);
    }

    #[test]
    fn paths_in_expressions_count() {
        check("fn f() { let a = std::fs::read(x); }", &["std::fs::read"]);
        check("fn f() -> impl Iterator + use<'_> { my_std::fs() }", &[]);
        check("struct A { std: B } fn f() { x.std }", &[]);
    }

    #[test]
    fn offsets_point_at_the_leaf() {
        let code = "use std::{io,\n    fs};";
        let found = standard_paths(code);
        let at = found
            .iter()
            .find(|(_, p)| p == "std::fs")
            .map(|(at, _)| *at);
        assert_eq!(at, code.find("fs}"));
    }
}
