//! Takes secrets out of what commands and versions print, before it is told or kept.
//!
//! A secret is the value of a variable whose name says so, wherever it was handed to the
//! command, and the password in an address. What no name gives away cannot be known: a
//! command that prints such a thing prints it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

/// Parts of names whose values are secrets.
const NAMES: [&str; 11] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "COOKIE",
];
/// Shorter values are words like `yes`, and hiding them would hide half of the text.
const SHORTEST: usize = 6;
/// What stands in their place.
const HIDDEN: &str = "***";
/// Addresses with a password are shorter.
const LONGEST_ADDRESS: usize = 4 * 1024;
/// Larger files are not kept by anybody who writes here; they are left alone.
const MOST: u64 = 64 * 1024 * 1024;

/// The secrets that one command could print.
#[derive(Clone, Default)]
pub(crate) struct Mask {
    values: Vec<String>,
}

impl Mask {
    /// Of a command that gets these variables beside our own.
    pub(crate) fn of(env: &BTreeMap<String, String>) -> Self {
        let own = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::from(own.chain(env.clone()))
    }

    fn from(all: impl Iterator<Item = (String, String)>) -> Self {
        let mut values: Vec<String> = all
            .filter(|(name, value)| is_secret(name) && value.len() >= SHORTEST)
            .map(|(_, value)| value)
            .collect();
        // One that holds another is hidden whole.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    /// The text without them.
    pub(crate) fn hide(&self, text: &str) -> String {
        let hidden = self.hide_part(text.as_bytes(), 0..text.len());
        // Only whole characters are taken out, so this is text again.
        String::from_utf8(hidden).unwrap_or_else(|_| HIDDEN.to_owned())
    }

    /// As many bytes around a part have to be looked at, that none in it is missed.
    pub(crate) fn longest(&self) -> usize {
        let values = self.values.iter().map(String::len);
        values.max().unwrap_or_default().max(LONGEST_ADDRESS)
    }

    /// A part of the bytes without those that lie in it, whole or partly.
    pub(crate) fn hide_part(&self, bytes: &[u8], part: Range<usize>) -> Vec<u8> {
        let mut out = Vec::with_capacity(part.len());
        let mut at = part.start;
        for place in self.places(bytes) {
            if place.end <= at || place.start >= part.end {
                continue;
            }
            out.extend_from_slice(bytes.get(at..place.start).unwrap_or_default());
            out.extend_from_slice(HIDDEN.as_bytes());
            at = place.end.min(part.end);
        }
        out.extend_from_slice(bytes.get(at..part.end).unwrap_or_default());
        out
    }

    /// Where they stand, in order, none touching another.
    fn places(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut all = passwords(bytes);
        for value in &self.values {
            let mut from = 0;
            while let Some(found) = find(bytes.get(from..).unwrap_or_default(), value.as_bytes()) {
                let start = from + found;
                from = start + value.len();
                all.push(start..from);
            }
        }
        all.sort_by_key(|place| (place.start, place.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for place in all {
            match merged.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => merged.push(place),
            }
        }
        merged
    }

    /// Hides them in a file that nobody writes any more.
    pub(crate) fn hide_in(&self, path: &Path) -> io::Result<()> {
        match std::fs::metadata(path) {
            Ok(meta) if meta.len() <= MOST => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        // Bytes that are no text cannot be looked through; they stay as they are.
        let Ok(text) = String::from_utf8(std::fs::read(path)?) else {
            return Ok(());
        };
        let hidden = self.hide(&text);
        if hidden == text {
            return Ok(());
        }
        esclusa_shim::write_atomic(path, hidden.as_bytes())
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    NAMES.iter().any(|part| name.contains(part))
}

/// Where the passwords of `scheme://user:password@host` stand.
fn passwords(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = find(text.get(from..).unwrap_or_default(), b"://") {
        let start = from + at + 3;
        from = start;
        let rest = text.get(start..).unwrap_or_default();
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"/?#\"'".contains(byte);
        let authority = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        let Some(host) = authority.iter().rposition(|byte| *byte == b'@') else {
            continue;
        };
        if let Some(name) = authority[..host].iter().position(|byte| *byte == b':') {
            found.push(start + name + 1..start + host);
            from = start + authority.len();
        }
    }
    found
}

/// Where the second begins in the first.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len().max(1))
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(env: &[(&str, &str)]) -> Mask {
        Mask::from(env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    // LOG-06
    #[test]
    fn what_a_name_gives_away_is_hidden() {
        let mask = mask(&[
            ("DB_PASSWORD", "correct-horse"),
            ("github_token", "correct-horse-battery"),
            ("SECRET_MODE", "yes"),
            ("PATH", "/usr/bin"),
        ]);
        let text = "using correct-horse-battery and correct-horse, yes, /usr/bin\n";
        assert_eq!(mask.hide(text), "using *** and ***, yes, /usr/bin\n");
    }

    #[test]
    fn passwords_in_addresses_are_hidden() {
        let mask = mask(&[]);
        for (text, expected) in [
            (
                "to postgres://app:s3cr3t@db:5432/x now",
                "to postgres://app:***@db:5432/x now",
            ),
            (
                "http://a:b@c http://d:p@ss@e\n",
                "http://a:***@c http://d:***@e\n",
            ),
            ("http://host:80/a@b", "http://host:80/a@b"),
            ("git@host:x and user@host", "git@host:x and user@host"),
            ("ends with ://", "ends with ://"),
            ("", ""),
        ] {
            assert_eq!(mask.hide(text), expected);
        }
    }

    #[test]
    fn a_file_keeps_everything_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("output.log");
        let mask = mask(&[("API_KEY", "0123456789")]);
        mask.hide_in(&path).expect("none is fine");
        std::fs::write(&path, "one\nkey 0123456789\n").expect("written");
        mask.hide_in(&path).expect("hidden");
        assert_eq!(
            std::fs::read_to_string(&path).expect("read"),
            "one\nkey ***\n"
        );
        std::fs::write(&path, b"\xff 0123456789").expect("written");
        mask.hide_in(&path).expect("left alone");
        assert_eq!(std::fs::read(&path).expect("read"), b"\xff 0123456789");
    }
}
