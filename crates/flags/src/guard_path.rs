//! Paths of guarded routes, and the ways in which a request's path can be read.
//!
//! Whoever writes a path in another way must not slip by, so that a path is compared as
//! servers that are lenient read it: without empty and `.` segments, `..` followed,
//! percent-encoding decoded, letters of either case alike, an encoded slash both as a letter
//! and as a slash.

/// A path's pattern, segment by segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    segments: Vec<Piece>,
    /// Whether anything may follow.
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// Any segment.
    Any,
    /// Any segment; it names the unit.
    Unit,
}

impl Pattern {
    /// Reads a pattern; a segment that is `unit` names the unit.
    pub(crate) fn parse(text: &str, unit: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('/')?;
        let open = rest == "*" || rest.ends_with("/*");
        if open {
            rest = rest.trim_end_matches('*').trim_end_matches('/');
        }
        let mut segments = Vec::new();
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(match segment {
                _ if segment == unit => Piece::Unit,
                _ if segment
                    .strip_prefix(':')
                    .is_some_and(|name| !name.is_empty()) =>
                {
                    Piece::Any
                }
                _ if segment.contains(['*', '{', '}', ':', '?', '#', '%']) => return None,
                "." | ".." => return None,
                literal => Piece::Literal(literal.to_owned()),
            });
        }
        Some(Self { segments, open })
    }

    /// Whether exactly one of its segments is the unit.
    pub(crate) fn names_one_unit(&self) -> bool {
        let units = self.segments.iter().filter(|piece| **piece == Piece::Unit);
        units.count() == 1
    }

    /// Whether a path matches, and the unit that it names.
    pub(crate) fn matches<'p>(&self, path: &'p [String]) -> Option<Option<&'p str>> {
        let fits = match self.open {
            true => path.len() >= self.segments.len(),
            false => path.len() == self.segments.len(),
        };
        if !fits {
            return None;
        }
        let mut unit = None;
        for (piece, segment) in self.segments.iter().zip(path) {
            match piece {
                Piece::Literal(text) if !text.eq_ignore_ascii_case(segment) => return None,
                Piece::Literal(_) | Piece::Any => {}
                Piece::Unit => unit = Some(segment.as_str()),
            }
        }
        Some(unit)
    }
}

/// The ways in which a path can be read, segment by segment; the first is the usual one.
pub(crate) fn readings(path: &str) -> Vec<Vec<String>> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // A target with its host, as clients of proxies send it.
    let path = match path.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.split_once('/').map_or("", |(_, path)| path)
        }
        _ => path,
    };
    let usual = walked(path.split('/').map(|segment| decoded(segment.as_bytes())));
    let mut all = vec![usual];
    // A slash or a backslash that some servers take for a border.
    if path.contains(['%', '\\']) {
        let text = decoded(path.as_bytes());
        let split = walked(text.split(['/', '\\']).map(str::to_owned));
        if split != all[0] {
            all.push(split);
        }
    }
    all
}

fn walked(segments: impl Iterator<Item = String>) -> Vec<String> {
    let mut walked = Vec::new();
    for segment in segments {
        match segment.as_str() {
            "" | "." => {}
            ".." => {
                walked.pop();
            }
            // What follows a semicolon is a parameter for some servers.
            _ => walked.push(segment.split(';').next().unwrap_or_default().to_owned()),
        }
    }
    walked
}

/// Percent-encoding decoded once; what is no encoding stays.
fn decoded(bytes: &[u8]) -> String {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                // Below 256: two hex digits.
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
