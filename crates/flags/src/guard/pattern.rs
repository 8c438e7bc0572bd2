//! Patterns of paths and hosts, and the ways in which one path can be written.
//!
//! A guard that a second slash or a capital letter gets around guards nothing. So a route
//! is compared with the path as an application may read it: escapes decoded, `.` and `..`
//! resolved, empty segments, letter case and a slash at the end ignored. A path that can
//! be read in two ways is compared in both.

use std::borrow::Cow;

/// A path pattern with `:name` segments and a trailing `*`, such as `/orders/:id/items`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// In lower case.
    Word(String),
    One,
    Rest,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(format!("path pattern {text:?} must begin with /"));
        };
        if inner.contains(['?', '#', ' ', '%', '\\']) {
            return Err(format!(
                "path pattern {text:?} holds a query, a space or an escape; write the path as people read it"
            ));
        }
        let segments: Vec<&str> = inner.split('/').filter(|s| !s.is_empty()).collect();
        let mut parts = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            parts.push(match *segment {
                "*" if at + 1 == segments.len() => Part::Rest,
                "." | ".." => {
                    return Err(format!("path pattern {text:?} holds {segment:?}"));
                }
                ":" => {
                    return Err(format!(
                        "path pattern {text:?} has a segment without a name"
                    ));
                }
                name if name.starts_with(':') => Part::One,
                word if word.contains('*') => {
                    return Err(format!(
                        "path pattern {text:?} may have * only as its last segment"
                    ));
                }
                word => Part::Word(word.to_lowercase()),
            });
        }
        Ok(Self { parts })
    }

    /// Whether it fits a path in any way in which that can be read.
    #[must_use]
    pub fn fits(&self, path: &RequestPath<'_>) -> bool {
        self.fits_segments(&path.plain)
            || path.loose.as_ref().is_some_and(|l| self.fits_segments(l))
    }

    fn fits_segments(&self, segments: &[Cow<'_, str>]) -> bool {
        let mut given = segments.iter();
        for part in &self.parts {
            match part {
                Part::Rest => return true,
                Part::One if given.next().is_some() => {}
                Part::Word(word) if given.next().is_some_and(|given| given == word) => {}
                Part::One | Part::Word(_) => return false,
            }
        }
        given.next().is_none()
    }

    /// Everything at and below a path, such as `/reports`; the slash before it may be left out.
    /// Parameters are written `{name}` or `:name`.
    ///
    /// # Errors
    /// What is wrong with the path, in words.
    pub fn below(path: &str) -> Result<Self, String> {
        let segments = path.split('/').map(super::coverage::parameter);
        let segments: Vec<String> = segments.filter(|s| !s.is_empty()).collect();
        Self::parse(&format!("/{}/*", segments.join("/")))
    }

    /// Whether some path fits both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.parts.iter(), other.parts.iter());
        loop {
            match (ours.next(), theirs.next()) {
                (Some(Part::Rest), _) | (_, Some(Part::Rest)) | (None, None) => return true,
                (Some(Part::Word(own)), Some(Part::Word(word))) if own != word => return false,
                (Some(_), Some(_)) => {}
                (None, Some(_)) | (Some(_), None) => return false,
            }
        }
    }

    /// Whether it fits every path that `other` fits.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.parts.iter();
        for part in &self.parts {
            match (part, theirs.next()) {
                (Part::Rest, _) | (Part::One, Some(Part::One | Part::Word(_))) => {}
                (Part::Word(own), Some(Part::Word(word))) if own == word => {}
                _ => return false,
            }
            if *part == Part::Rest {
                return true;
            }
        }
        theirs.next().is_none()
    }
}

/// A request's path in the ways in which it can be read, in lower case.
#[derive(Debug)]
pub struct RequestPath<'a> {
    plain: Vec<Cow<'a, str>>,
    /// With escaped slashes and back slashes as borders and without `;` parameters, where
    /// that makes a difference.
    loose: Option<Vec<Cow<'a, str>>>,
}

impl<'a> RequestPath<'a> {
    /// A request's target; query and host are left out.
    #[must_use]
    pub fn new(path: &'a str) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        // A target with its host, as clients of proxies send it.
        let path = match path.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('/') => {
                rest.split_once('/').map_or("", |(_, path)| path)
            }
            _ => path,
        };
        let plain = resolved(path.split('/').map(decoded));
        let loose = path.contains(['%', '\\', ';']).then(|| {
            let whole = decoded(path).into_owned();
            let segments = whole.split(['/', '\\']).map(|segment| {
                let word = segment.split(';').next().unwrap_or_default();
                Cow::Owned(word.to_owned())
            });
            resolved(segments)
        });
        Self { plain, loose }
    }
}

/// Without empty segments, `.` and `..`.
fn resolved<'a>(segments: impl Iterator<Item = Cow<'a, str>>) -> Vec<Cow<'a, str>> {
    let mut list = Vec::new();
    for segment in segments {
        match &*segment {
            "" | "." => {}
            ".." => {
                list.pop();
            }
            _ => list.push(lower(segment)),
        }
    }
    list
}

/// In lower case, as words of patterns are. Most segments are already.
fn lower(segment: Cow<'_, str>) -> Cow<'_, str> {
    let is_lower = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    match segment.bytes().all(is_lower) {
        true => segment,
        false => Cow::Owned(segment.to_lowercase()),
    }
}

/// With its escapes replaced; bytes that are no text stay escaped as U+FFFD.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match digits {
            Some((high, low)) => {
                bytes.push(high * 16 + low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    // At most 15.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// A pattern in which `{}` stands for the one part that names a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitPattern {
    border: char,
    parts: Vec<Option<String>>,
    open: bool,
}

impl UnitPattern {
    /// A host, such as `{}.shop.example`.
    pub(crate) fn host(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        if lower.contains(['/', ':', '*', ' ']) {
            return Err(format!(
                "host pattern {text:?} is a name with one {{}}, such as {{}}.shop.example"
            ));
        }
        Self::parse(&lower, '.', false)
    }

    /// A path, such as `/t/{}/*`.
    pub(crate) fn path(text: &str) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(format!("path pattern {text:?} must begin with /"));
        };
        let (inner, open) = match inner.strip_suffix("/*") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        if inner.contains(['*', '?', '#', ' ', '%']) {
            return Err(format!(
                "path pattern {text:?} may have * only as its last segment, and no query or escape"
            ));
        }
        Self::parse(inner, '/', open)
    }

    fn parse(text: &str, border: char, open: bool) -> Result<Self, String> {
        let parts: Vec<Option<String>> = text
            .split(border)
            .map(|part| (part != "{}").then(|| part.to_owned()))
            .collect();
        let named = parts.iter().filter(|part| part.is_none()).count();
        let broken = parts
            .iter()
            .flatten()
            .any(|part| part.is_empty() || part.contains(['{', '}']));
        if named != 1 || broken {
            return Err(format!(
                "pattern {text:?} must have {{}} in exactly one place, as a whole part"
            ));
        }
        Ok(Self {
            border,
            parts,
            open,
        })
    }

    /// The part that `{}` stands for.
    pub(crate) fn unit<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        let text = match self.border {
            '/' => {
                let path = text.split(['?', '#']).next().unwrap_or_default();
                path.strip_prefix('/')?
            }
            _ => text,
        };
        let mut given = text.split(self.border);
        let mut unit = None;
        for part in &self.parts {
            let segment = given.next()?;
            match part {
                None => unit = Some(decoded(segment)),
                Some(word) if word == segment => {}
                Some(_) => return None,
            }
        }
        let rest = given.next();
        (rest.is_none() || self.open)
            .then_some(unit?)
            .filter(|unit| !unit.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        let pattern = PathPattern::parse(pattern).expect("a pattern");
        pattern.fits(&RequestPath::new(path))
    }

    // GRD-04
    #[test]
    fn a_pattern_has_parameters_and_a_rest() {
        for (pattern, path, wanted) in [
            ("/modules/:moduleId/execute", "/modules/7/execute", true),
            ("/modules/:moduleId/execute", "/modules/7", false),
            (
                "/modules/:moduleId/execute",
                "/modules/7/execute/now",
                false,
            ),
            ("/reports/*", "/reports/exec/1", true),
            ("/reports/*", "/reports", true),
            ("/reports/*", "/report", false),
            ("/*", "/", true),
            ("/", "/", true),
            ("/", "/a", false),
        ] {
            assert_eq!(fits(pattern, path), wanted, "{pattern} {path}");
        }
        for wrong in [
            "reports", "/a/*/b", "/a*", "/a?b=c", "/a%20b", "/../a", "/:",
        ] {
            assert!(PathPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    // GRD-06
    #[test]
    fn another_spelling_gets_nobody_around_a_guard() {
        for path in [
            "/reports/exec/1/",
            "//reports///exec/1",
            "/REPORTS/Exec/1",
            "/REPORT%53/%45xec/1",
            "/%72eports/exec/1",
            "/reports%2Fexec/1",
            "/reports/./exec/1",
            "/x/../reports/exec/1",
            "/x/%2e%2e/reports/exec/1",
            "/reports\\exec/1",
            "/reports;v=1/exec/1",
            "/reports/exec/1%2F2/%2e.",
            "/../reports/exec/1",
        ] {
            assert!(fits("/reports/exec/:id", path), "{path}");
        }
        // A slash inside a value is still one value too.
        assert!(fits("/reports/exec/:id", "/reports/exec/a%2Fb"));
    }

    #[test]
    fn an_earlier_pattern_can_leave_nothing_to_a_later_one() {
        let covers = |one: &str, other: &str| {
            let parse = |text: &str| PathPattern::parse(text).expect("a pattern");
            parse(one).covers(&parse(other))
        };
        for (one, other, wanted) in [
            ("/a/*", "/a/:id", true),
            ("/a/*", "/a", true),
            ("/a/:id", "/a/b", true),
            ("/a/b", "/a/:id", false),
            ("/a/:id", "/a/*", false),
            ("/a/*", "/a/*", true),
            ("/A", "/a", true),
            ("/a/:x/c", "/a/b", false),
        ] {
            assert_eq!(covers(one, other), wanted, "{one} {other}");
        }
    }

    // GRD-03
    #[test]
    fn a_unit_is_a_whole_label_or_segment() {
        let host = UnitPattern::host("{}.Shop.example").expect("a pattern");
        assert_eq!(host.unit("acme.shop.example").as_deref(), Some("acme"));
        for other in [
            "shop.example",
            "a.b.shop.example",
            ".shop.example",
            "acme.shop.example.evil",
        ] {
            assert_eq!(host.unit(other), None, "{other}");
        }
        let path = UnitPattern::path("/t/{}/*").expect("a pattern");
        assert_eq!(path.unit("/t/ac%20me/x/y").as_deref(), Some("ac me"));
        assert_eq!(path.unit("/t/acme").as_deref(), Some("acme"));
        assert_eq!(path.unit("/t//x"), None);
        assert_eq!(path.unit("/u/acme"), None);
        for wrong in ["shop.example", "{}.{}", "a{}.b", "{}..b", "{}/b"] {
            assert!(UnitPattern::host(wrong).is_err(), "{wrong}");
        }
        assert!(UnitPattern::path("t/{}").is_err());
        assert!(UnitPattern::path("/t/*/{}").is_err());
    }
}
