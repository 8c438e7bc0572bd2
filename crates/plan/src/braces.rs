//! Lets `${name}` stand unquoted inside `{ ... }` and `[ ... ]`.
//!
//! YAML ends a plain value there at the brace, so `{ artifact: ./dist/${version} }`
//! would need quotes that everybody forgets. Before the text is parsed each `${name}`
//! becomes something of the same length without braces, and in every value it is put
//! back. All offsets stay true.

use std::borrow::Cow;

/// Stands for `${`: two bytes, never assigned a meaning, allowed in YAML.
const OPEN: char = '\u{07fc}';
/// Stands for `}`.
const CLOSE: char = '$';

/// The text with its placeholders protected. A text that has the stand-in already
/// is left alone.
pub(crate) fn protect(text: &str) -> Cow<'_, str> {
    if !text.contains("${") || text.contains(OPEN) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, next)) if is_name(name) => {
                out.push(OPEN);
                out.push_str(name);
                out.push(CLOSE);
                rest = next;
            }
            _ => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The value with its placeholders put back.
pub(crate) fn restore(value: Cow<'_, str>) -> String {
    if !value.contains(OPEN) {
        return value.into_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut rest: &str = &value;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        match after.split_once(CLOSE) {
            Some((name, next)) if is_name(name) => {
                out.push_str("${");
                out.push_str(name);
                out.push('}');
                rest = next;
            }
            _ => {
                out.push(OPEN);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn protection_is_undone_and_keeps_every_offset(text in "[a-c${}.\u{07fc}é\n-]*") {
            let hidden = protect(&text);
            prop_assert_eq!(hidden.len(), text.len());
            if !text.contains(OPEN) {
                prop_assert_eq!(restore(hidden), text);
            }
        }
    }
}
