//! Files in JSON or YAML, read as `flag apply` reads a set.

use crate::exit::Failure;
use crate::place;
use serde_json::Value;
use std::path::Path;

/// What a file holds. `code` and `help` are for one that is neither JSON nor YAML.
pub(crate) fn read(file: &Path, code: &str, help: &str) -> Result<Value, Failure> {
    super::file::parse(&place::one_file(file, help)?).map_err(|error| {
        let message = format!("{} cannot be read: {error}", file.display());
        Failure::input(code, message, help)
    })
}
