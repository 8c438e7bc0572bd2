//! Paths, compared as servers that are lenient read them.

/// A path's pattern, segment by segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// A literal, or none for any segment.
    segments: Vec<Option<String>>,
    /// Whether anything may follow.
    open: bool,
}

impl Pattern {
    /// Reads `/reports/:id` and `/reports/*`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('/')?;
        let open = rest == "*" || rest.ends_with("/*");
        if open {
            rest = rest.strip_suffix('*')?;
        }
        let mut segments = Vec::new();
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(match segment {
                "." | ".." => return None,
                _ if segment
                    .strip_prefix(':')
                    .is_some_and(|name| !name.is_empty()) =>
                {
                    None
                }
                _ if segment.contains(['*', '{', '}', ':', '?', '#', '%', ';']) => return None,
                literal => Some(literal.to_owned()),
            });
        }
        Some(Self { segments, open })
    }

    pub(super) fn matches(&self, path: &[String]) -> bool {
        let fits = match self.open {
            true => path.len() >= self.segments.len(),
            false => path.len() == self.segments.len(),
        };
        let is_equal = |(own, segment): (&Option<String>, &String)| {
            own.as_ref()
                .is_none_or(|own| own.eq_ignore_ascii_case(segment))
        };
        fits && self.segments.iter().zip(path).all(is_equal)
    }
}

/// The ways in which a path can be read, segment by segment; the first is the usual one.
pub(super) fn readings(path: &str) -> Vec<Vec<String>> {
    let mut all = vec![walked(path.split('/').map(decoded))];
    // A slash or a backslash that some servers take for a border.
    if path.contains(['%', '\\']) {
        let text = decoded(path);
        let split = walked(text.split(['/', '\\']).map(str::to_owned));
        if split != all[0] {
            all.push(split);
        }
    }
    all
}

fn walked(segments: impl Iterator<Item = String>) -> Vec<String> {
    let mut walked: Vec<String> = Vec::new();
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

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meets(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        readings(path).iter().any(|path| pattern.matches(path))
    }

    // GRD-04: however a path is written, the guard stands before it.
    #[test]
    fn a_path_is_met_however_it_is_written() {
        for path in [
            "/reports/exec/7",
            "/reports/exec/7/",
            "//reports///exec/7",
            "/reports/./exec/7",
            "/reports/x/../exec/7",
            "/x/../reports/exec/7",
            "/reports/%65xec/7",
            "/Reports/EXEC/7",
            "/reports%2Fexec%2F7",
            "/reports\\exec\\7",
            "/reports/exec;v=1/7",
            "/reports/exec/%F0",
        ] {
            assert!(meets("/reports/exec/:id", path), "{path}");
        }
        for path in ["/", "/reports/exec", "/reports/exec/7/8", "/report/exec/7"] {
            assert!(!meets("/reports/exec/:id", path), "{path}");
        }
        for path in ["/reports", "/reports/", "/reports/a/b"] {
            assert!(meets("/reports/*", path), "{path}");
        }
        assert!(meets("/*", "/") && meets("/*", "/a/b"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "", "reports", "/a*", "/a/*/b", "/{id}", "/:", "/a/../b", "/a%20b", "/a?b",
        ] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_read(path in ".{0,40}") {
            for segments in readings(&path) {
                prop_assert!(segments.iter().all(|s| s != ".." && s != "."));
            }
        }
    }
}
