//! `${name}` in texts of a plan, and what is put in its place.
//!
//! `$${` stands for a literal `${`. Values are put in as they are.

use crate::error::DriverError;
use std::collections::BTreeMap;

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
/// A configuration error naming the first placeholder without a value.
pub(crate) fn fill(template: &str, values: &Placeholders) -> Result<String, DriverError> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (name, next) = after.split_once('}').unwrap_or((after, ""));
        let value = values
            .values
            .get(name)
            .filter(|_| after.contains('}'))
            .ok_or_else(|| {
                DriverError::config(format!("placeholder ${{{name}}} has no value here"))
            })?;
        out.push_str(value);
        rest = next;
    }
    out.push_str(rest);
    Ok(out)
}

/// Each word of a command filled by itself, so that a value never becomes two words.
pub(crate) fn fill_all(
    words: &[String],
    values: &Placeholders,
) -> Result<Vec<String>, DriverError> {
    words.iter().map(|word| fill(word, values)).collect()
}

/// Each value of a map filled.
pub(crate) fn fill_map(
    map: &BTreeMap<String, String>,
    values: &Placeholders,
) -> Result<BTreeMap<String, String>, DriverError> {
    map.iter()
        .map(|(name, text)| Ok((name.clone(), fill(text, values)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_and_missing_ones_named() {
        let values = Placeholders::new().with("version", "2.4.1");
        assert_eq!(fill("a-${version}", &values).as_deref(), Ok("a-2.4.1"));
        assert_eq!(
            fill("$${HOME} $HOME", &values).as_deref(),
            Ok("${HOME} $HOME")
        );
        for bad in ["${port}", "${version", "${}"] {
            assert!(fill(bad, &values).is_err(), "{bad}");
        }
    }
}
