//! Plan templates as drivers use them: whole commands and maps, errors as ours.

use crate::error::DriverError;
use esclusa_plan::{Placeholders, substitute};
use std::collections::BTreeMap;

/// One text with its placeholders filled.
pub(crate) fn fill(template: &str, values: &Placeholders) -> Result<String, DriverError> {
    substitute(template, values).map_err(|e| DriverError::config(e.to_string()))
}

/// Each word of a command filled by itself, so that a value never becomes two words.
///
/// # Errors
/// A configuration error naming the first placeholder without a value.
pub fn fill_words(words: &[String], values: &Placeholders) -> Result<Vec<String>, DriverError> {
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
