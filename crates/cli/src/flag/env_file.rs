//! The variables of flags in a .env file. A line that cannot be read is refused: what it was to
//! turn on or off would be left as it is, and nobody would know.

use esclusa_flags::{FLAG_VARIABLE, LIST_VARIABLE};
use std::collections::BTreeMap;

/// The variables that speak of flags, or each line that is wrong.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((at, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assigned = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let assigned = assigned.map(|(name, value)| (name.trim(), value.trim()));
        let Some((name, value)) = assigned.filter(|(name, _)| is_name(name)) else {
            wrong.push(format!("line {at} is no NAME=value"));
            continue;
        };
        if let Some(quote) = open_quote(value) {
            // Of no concern here, such as a key in lines of its own; it ends somewhere.
            let ends = lines.by_ref().any(|(_, line)| line.contains(quote));
            if is_ours(name) || !ends {
                wrong.push(format!("line {at}: its quote {quote} is not closed there"));
            }
            continue;
        }
        if !is_ours(name) {
            continue;
        }
        let Some(value) = unquoted(value) else {
            wrong.push(format!("line {at}: something follows the quoted value"));
            continue;
        };
        let given = (at, value.to_owned());
        if let Some((before, _)) = found.insert(name.to_owned(), given) {
            let both = format!("lines {before} and {at} both say {name}");
            wrong.push(both);
        }
    }
    match wrong.is_empty() {
        true => Ok(found
            .into_iter()
            .map(|(n, (_, value))| (n, value))
            .collect()),
        false => Err(wrong),
    }
}

/// Whether a variable speaks of flags.
pub(super) fn is_ours(name: &str) -> bool {
    name == LIST_VARIABLE || name.starts_with(FLAG_VARIABLE)
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    !text.is_empty() && text.chars().all(fits)
}

/// The quote with which a value begins and that it does not end.
fn open_quote(value: &str) -> Option<char> {
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
    (!value[1..].contains(quote)).then_some(quote)
}

/// A value without its quotes, or without the comment behind it.
fn unquoted(value: &str) -> Option<&str> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some((inner, behind)) = rest.split_once(quote)
        {
            let behind = behind.trim_start();
            return (behind.is_empty() || behind.starts_with('#')).then_some(inner);
        }
    }
    let plain = value.split_once(" #").map_or(value, |(value, _)| value);
    Some(plain.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    // FLAG-10
    #[test]
    fn an_env_file_is_read_as_shells_read_it() {
        let text = "# FEATURE_OLD=true\n\nFEATURE_A=true # on\nexport FEATURE_B='false' # off\n\
                    ESCLUSA_FLAGS=\"a=true,b=false\"\nFEATURE_C = true\r\n  # end\n\
                    KEY=\"first\nsecond line\nlast\"\nURL=http://x/?a=\"b\n";
        let found = read(text).expect("a file");
        let found: Vec<String> = found.iter().map(|(n, v)| format!("{n}:{v}")).collect();
        assert_eq!(
            found,
            [
                "ESCLUSA_FLAGS:a=true,b=false",
                "FEATURE_A:true",
                "FEATURE_B:false",
                "FEATURE_C:true",
            ]
        );
    }

    // FLAG-03: nothing is silently off.
    #[test]
    fn a_line_that_cannot_be_read_is_refused_by_its_number() {
        let text = "FEATURE_A: true\nFEATURE_B true\n\nFEATURE_C=true\nFEATURE_C=false\n\
                    FEATURE_D=\"true\" false\n=x\nFEATURE_E: a=b\nFEATURE_F='true";
        assert_eq!(
            read(text).expect_err("all are wrong"),
            [
                "line 1 is no NAME=value",
                "line 2 is no NAME=value",
                "lines 4 and 5 both say FEATURE_C",
                "line 6: something follows the quoted value",
                "line 7 is no NAME=value",
                "line 8 is no NAME=value",
                "line 9: its quote ' is not closed there",
            ]
        );
    }
}
