//! One Rust file: its views and which parts of it are only for tests.

use crate::tidy::views::{self, Views, is_word};
use std::ops::Range;

/// One Rust file.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Path relative to the repository's root, with `/`.
    pub(crate) path: String,
    /// The text as it is.
    pub(crate) text: String,
    /// Code, comments and strings apart.
    pub(crate) views: Views,
    /// The same with everything blanked that only tests compile.
    pub(crate) shipped: Views,
    /// Files that hold the test modules declared here by `#[cfg(test)] mod name;`.
    pub(crate) test_modules: Vec<String>,
}

impl SourceFile {
    /// Reads `text` of the file at `path`.
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let views = views::split(&text);
        let items = test_items(&views.code);
        let test_modules = items
            .iter()
            .filter_map(|range| declared_module(&views.code[range.clone()]))
            .map(|name| format!("{}/{name}", module_folder(&path)))
            .collect();
        let ranges = if is_test_path(&path) || is_test_file(&views.code) {
            std::iter::once(0..text.len()).collect()
        } else {
            items
        };
        let shipped = Views {
            code: blank(&views.code, &ranges),
            comments: blank(&views.comments, &ranges),
            strings: blank(&views.strings, &ranges),
        };
        Self {
            path,
            text,
            views,
            shipped,
            test_modules,
        }
    }

    /// The line of an offset, from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1
    }

    /// Blanks the whole file: another file declared it as a test module.
    fn becomes_test(&mut self) {
        let whole: Vec<Range<usize>> = std::iter::once(0..self.text.len()).collect();
        for view in [
            &mut self.shipped.code,
            &mut self.shipped.comments,
            &mut self.shipped.strings,
        ] {
            *view = blank(view, &whole);
        }
    }
}

/// Marks the files that hold test modules of other files.
pub(crate) fn mark_test_modules(files: &mut [SourceFile]) {
    let modules: Vec<String> = files.iter().flat_map(|f| f.test_modules.clone()).collect();
    for file in files {
        let is_test = modules.iter().any(|module| {
            file.path == format!("{module}.rs") || file.path.starts_with(&format!("{module}/"))
        });
        if is_test {
            file.becomes_test();
        }
    }
}

/// Files that cargo compiles only for tests, benchmarks and examples.
fn is_test_path(path: &str) -> bool {
    ["/tests/", "/benches/", "/examples/"]
        .iter()
        .any(|folder| path.contains(folder) && !path.contains(&format!("/src{folder}")))
}

/// Whether the file begins with `#![cfg(test)]`.
fn is_test_file(code: &str) -> bool {
    code.lines().any(|line| line.trim() == "#![cfg(test)]")
}

/// Where the submodules of the file at `path` are.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

/// The items behind `#[cfg(test)]` and `#[test]`, attributes included.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (begin, _) in code.match_indices("#[") {
        if ranges.last().is_some_and(|last| begin < last.end) {
            continue;
        }
        let end = closing(code, begin + 1);
        if is_test_attribute(&code[begin..end]) {
            ranges.push(begin..item_end(code, end));
        }
    }
    ranges
}

fn is_test_attribute(attribute: &str) -> bool {
    let inner = attribute
        .trim_start_matches("#[")
        .trim_end_matches(']')
        .trim();
    let is_cfg = inner.starts_with("cfg(") && !inner.contains("not(") && !inner.contains("any(");
    inner == "test" || is_cfg && views::find_word(inner, "test").next().is_some()
}

/// The offset behind the bracket that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The end of the item that begins at or after `from`.
fn item_end(code: &str, from: usize) -> usize {
    let mut at = from;
    // Further attributes belong to the same item.
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            break;
        }
        at = closing(code, at + 1);
    }
    let is_item = begins_item(&code[at..]);
    while at < code.len() {
        match code.as_bytes()[at] {
            b';' => return at + 1,
            b'{' => return closing(code, at),
            // The last field or arm ends with its surroundings.
            b'}' | b')' | b']' => return at,
            b',' if !is_item => return at + 1,
            b'(' | b'[' => at = closing(code, at),
            _ => at += 1,
        }
    }
    code.len()
}

/// Tells an item from a field, arm or argument, which a comma ends.
fn begins_item(code: &str) -> bool {
    let mut words = code
        .split(|c: char| !c.is_ascii() || !is_word(c as u8))
        .filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default();
    let is_keyword = |word: &str| {
        [
            "fn",
            "mod",
            "use",
            "impl",
            "struct",
            "enum",
            "const",
            "static",
            "type",
            "trait",
            "unsafe",
            "async",
            "extern",
            "macro_rules",
            "union",
        ]
        .contains(&word)
    };
    is_keyword(first)
        || first == "pub" && (is_keyword(second) || ["crate", "super", "in"].contains(&second))
}

/// The name in `#[cfg(test)] mod name;`.
fn declared_module(item: &str) -> Option<&str> {
    let declaration = item.trim_end().strip_suffix(';')?;
    let at = views::find_word(declaration, "mod").last()?;
    let name = declaration[at + 3..].trim();
    (!name.is_empty() && name.bytes().all(is_word)).then_some(name)
}

fn blank(view: &str, ranges: &[Range<usize>]) -> String {
    let mut bytes = view.as_bytes().to_vec();
    for range in ranges {
        for byte in &mut bytes[range.clone()] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    // Ranges begin and end at ASCII characters, so no character is cut in half.
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(text: &str) -> String {
        SourceFile::new("crates/x/src/a.rs", text).shipped.code
    }

    #[test]
    fn only_what_ships_is_left() {
        let code = shipped(
            "fn one() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests { fn two() { let a = [1; 2]; } }\n\
             fn three() {}\n#[test]\nfn four() -> [u8; 2] { [0; 2] }\nstruct S {\n\
             #[cfg(test)] five: Vec<u8>, six: u8 }\n#[cfg(not(test))] fn seven() {}\n\
             #[cfg(test)] pub fn eight<A, B>(a: A, b: B) {} fn nine() {}\n\
             #[cfg(any(test, feature = \"x\"))] fn ten() {}",
        );
        for kept in ["one", "three", "six", "seven", "nine", "ten"] {
            assert!(code.contains(kept), "{kept}: {code}");
        }
        for hidden in ["two", "four", "five", "eight"] {
            assert!(!code.contains(hidden), "{hidden}: {code}");
        }
    }

    #[test]
    fn test_modules_in_their_own_files_do_not_ship() {
        let mut files = [
            SourceFile::new("crates/x/src/lib.rs", "#[cfg(test)]\nmod tests;\nmod a;"),
            SourceFile::new("crates/x/src/tests.rs", "fn one() {}"),
            SourceFile::new("crates/x/src/tests/deep.rs", "fn two() {}"),
            SourceFile::new("crates/x/src/a.rs", "fn three() {}"),
            SourceFile::new("crates/x/tests/it/main.rs", "fn four() {}"),
        ];
        mark_test_modules(&mut files);
        let left: Vec<bool> = files
            .iter()
            .map(|file| file.shipped.code.contains("fn "))
            .collect();
        assert_eq!(left, [false, false, false, true, false]);
    }

    #[test]
    fn offsets_become_lines() {
        let file = SourceFile::new("a.rs", "one\ntwo\nthree");
        assert_eq!([0, 3, 4, 9].map(|at| file.line_of(at)), [1, 1, 2, 3]);
    }
}
