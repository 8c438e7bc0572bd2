//! Files in JSON or YAML, as all verbs of `flag` read them.

use crate::exit::Failure;
use crate::place;
use serde_json::Value;
use std::path::Path;

/// What a file holds. `code` and `help` are for one that is neither JSON nor YAML.
pub(crate) fn read(file: &Path, code: &str, help: &str) -> Result<Value, Failure> {
    parse(&place::one_file(file, help)?).map_err(|error| {
        // The first line says it; the others draw it.
        let error = error.to_string();
        let error = error.lines().next().unwrap_or_default();
        let error = error.strip_prefix("error: ").unwrap_or(error);
        let message = format!("{} is neither JSON nor YAML: {error}", file.display());
        Failure::input(code, message, help)
    })
}

/// A variant `on` is a name, not the word that older YAML has for true.
fn parse(text: &str) -> Result<Value, serde_saphyr::Error> {
    // What is no JSON may be YAML, whose words are the better ones then.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_json::from_str(text).or_else(|_| serde_saphyr::from_str_with_options(text, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_on_and_off_are_names_in_yaml_too() {
        let read = parse("flags: { a: { type: boolean, default: on, browsers: true } }");
        let flag = &read.expect("YAML")["flags"]["a"];
        assert_eq!(
            (&flag["default"], &flag["browsers"]),
            (&"on".into(), &true.into())
        );
    }
}
