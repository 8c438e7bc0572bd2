//! What is wrong with the shape of a definition, in words for people. The library that reads
//! it speaks to programmers.

use std::fmt::Write as _;

/// The message, and what was probably meant.
pub(crate) fn in_words(said: &str) -> (String, Option<String>) {
    let quoted = |rest: &str| rest.split('`').next().unwrap_or_default().to_owned();
    let known = || -> Vec<&str> {
        let (_, list) = said.split_once(", expected ").unwrap_or_default();
        list.split('`').skip(1).step_by(2).collect()
    };
    if let Some(rest) = said.strip_prefix("unknown field `") {
        let name = quoted(rest);
        let hint = hint(&name, &known());
        return (format!("there is no field {name:?} here"), hint);
    }
    if let Some(rest) = said.strip_prefix("unknown variant `") {
        let name = quoted(rest);
        let hint = hint(&name, &known());
        let message = format!("{name:?} is none of the words that may stand here");
        return (message, hint);
    }
    if let Some(rest) = said.strip_prefix("missing field `") {
        return (format!("the field {:?} is missing", quoted(rest)), None);
    }
    let other = said
        .strip_prefix("invalid type: ")
        .or_else(|| said.strip_prefix("invalid value: "));
    if let Some((found, expected)) = other.and_then(|rest| rest.split_once(", expected ")) {
        let message = format!(
            "here stands {}, and {} is expected",
            found_in_words(found),
            expected_in_words(expected)
        );
        return (message, None);
    }
    if said.starts_with("data did not match any variant") {
        return ("it has none of the forms that may stand here".into(), None);
    }
    (said.to_owned(), None)
}

fn hint(name: &str, known: &[&str]) -> Option<String> {
    if let Some(meant) = esclusa_expr::nearest(name, known.iter().copied()) {
        return Some(format!("did you mean {meant:?}?"));
    }
    let (first, more) = known.split_first()?;
    let mut all = format!("known are {first}");
    for name in more {
        // Writing into a text cannot fail.
        let _ = write!(all, ", {name}");
    }
    Some(all)
}

/// ``boolean `true` `` as `true`.
fn found_in_words(found: &str) -> String {
    match found {
        "null" | "unit value" => "nothing".into(),
        "map" => "an object".into(),
        "sequence" => "a list".into(),
        _ => {
            let kinds = ["boolean ", "integer ", "floating point ", "string "];
            let bare = kinds.iter().find_map(|kind| found.strip_prefix(kind));
            bare.unwrap_or(found).trim_matches('`').to_owned()
        }
    }
}

fn expected_in_words(expected: &str) -> &str {
    match expected {
        "a string" | "string" | "a borrowed string" | "str" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => "a whole number",
        "f64" => "a number",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("enum ") || other.starts_with("variant ") => "a word",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_reads_the_librarys_words() {
        for (said, words, meant) in [
            (
                "unknown field `typ`, expected one of `type`, `off`",
                "there is no field \"typ\" here",
                Some("did you mean \"type\"?"),
            ),
            (
                "unknown field `zzzzzz`, expected `type` or `off`",
                "there is no field \"zzzzzz\" here",
                Some("known are type, off"),
            ),
            (
                "invalid type: map, expected a sequence",
                "here stands an object, and a list is expected",
                None,
            ),
            (
                "invalid type: string \"a\", expected struct FlagDefinition",
                "here stands \"a\", and an object is expected",
                None,
            ),
            (
                "invalid type: integer `5`, expected a string",
                "here stands 5, and a text is expected",
                None,
            ),
            ("something else", "something else", None),
        ] {
            let meant = meant.map(str::to_owned);
            assert_eq!(in_words(said), (words.to_owned(), meant));
        }
    }
}
