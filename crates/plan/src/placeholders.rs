//! `${name}` in texts of a plan, and what is put in its place.
//!
//! `$${` stands for a literal `${`, so that a shell can have its own variables. Values
//! are put in as they are: whoever builds a command decides whether a shell reads it.

use std::collections::BTreeMap;

/// A placeholder that has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("placeholder ${{{name}}} has no value here")]
pub struct UnknownPlaceholder {
    /// The name between the braces.
    pub name: String,
}

/// Values by name: `version`, `dir`, `port`, `canary`, `canary.web` ...
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placeholders {
    values: BTreeMap<String, String>,
}

impl Placeholders {
    /// No values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// With one value more; a second value of a name replaces the first.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }
}

/// Puts values in the place of all placeholders.
///
/// # Errors
/// [`UnknownPlaceholder`] for the first name without a value, also one that is not
/// closed. A plan that was accepted has none when its scope's values are all given.
pub fn substitute(template: &str, values: &Placeholders) -> Result<String, UnknownPlaceholder> {
    let mut out = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Name(name) | Piece::Unclosed(name) => match values.values.get(name) {
                Some(value) if matches!(piece, Piece::Name(_)) => out.push_str(value),
                _ => {
                    return Err(UnknownPlaceholder {
                        name: name.chars().take(80).collect(),
                    });
                }
            },
        }
    }
    Ok(out)
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// Stands for itself.
    Text(&'t str),
    /// The name of a placeholder.
    Name(&'t str),
    /// What follows a `${` that is never closed.
    Unclosed(&'t str),
}

/// The parts of a template in order.
pub(crate) fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let after = from.strip_prefix("${").unwrap_or("");
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Text("${")]);
            rest = after;
            continue;
        }
        pieces.push(Piece::Text(before));
        match after.split_once('}') {
            Some((name, next)) => {
                pieces.push(Piece::Name(name));
                rest = next;
            }
            None => {
                pieces.push(Piece::Unclosed(after));
                rest = "";
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// The names in a template.
pub(crate) fn names(template: &str) -> impl Iterator<Item = &str> {
    pieces(template)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Name(name) => Some(name),
            _ => None,
        })
}

/// Whether any text in a driver's normalised block names a placeholder.
pub(crate) fn any_in(config: &serde_json::Value, wanted: &dyn Fn(&str) -> bool) -> bool {
    match config {
        serde_json::Value::String(text) => names(text).any(wanted),
        serde_json::Value::Array(items) => items.iter().any(|item| any_in(item, wanted)),
        serde_json::Value::Object(fields) => fields.values().any(|value| any_in(value, wanted)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_put_in_and_missing_ones_named() {
        let values = Placeholders::new()
            .with("version", "2.4.1")
            .with("canary.web", "http://127.0.0.1:9");
        for (template, expected) in [
            ("a-${version}-b", Ok("a-2.4.1-b")),
            ("${version}${version}", Ok("2.4.12.4.1")),
            ("${canary.web}/x", Ok("http://127.0.0.1:9/x")),
            ("$${HOME} $HOME $", Ok("${HOME} $HOME $")),
            ("${port}", Err("port")),
            ("${version", Err("version")),
            ("${}", Err("")),
        ] {
            let result = substitute(template, &values).map_err(|e| e.name);
            assert_eq!(
                result.as_deref().map_err(String::as_str),
                expected,
                "{template}"
            );
        }
    }

    proptest! {
        #[test]
        fn texts_without_placeholders_stay(text in "[^$]*") {
            prop_assert_eq!(substitute(&text, &Placeholders::new()), Ok(text));
        }
    }
}
