//! "Did you mean": the nearest known word to one that is not known.

/// The nearest candidate, when it is near enough to be a slip of the fingers.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).collect();
    let allowed = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// All candidates that are equally near, and near enough.
pub(crate) fn nearest_all<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let word: Vec<char> = word.chars().take(64).collect();
    let allowed = (word.len() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .map(|candidate| (distance(&word, &folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    let least = found.iter().map(|(distance, _)| *distance).min();
    found.retain(|(distance, _)| Some(*distance) == least);
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Words of other tools, and the keys that say the same here.
const SYNONYMS: [(&str, &str); 44] = [
    ("analysis", "judge"),
    ("app", "service"),
    ("application", "service"),
    ("approval", "sign-off"),
    ("approvals", "sign-off"),
    ("approve", "sign-off"),
    ("bind", "listen"),
    ("binary", "artifact"),
    ("build", "artifact"),
    ("checks", "requires"),
    ("cmd", "command"),
    ("copies", "instances"),
    ("down", "undo"),
    ("duration", "for"),
    ("environment", "env"),
    ("exec", "command"),
    ("gates", "requires"),
    ("groups", "segments"),
    ("health", "ready"),
    ("healthcheck", "ready"),
    ("image", "artifact"),
    ("metrics", "judge"),
    ("name", "service"),
    ("path", "http"),
    ("pause", "for"),
    ("percent", "to"),
    ("phases", "stages"),
    ("port", "listen"),
    ("post", "after"),
    ("pre", "before"),
    ("preflight", "requires"),
    ("probe", "ready"),
    ("processes", "components"),
    ("replicas", "instances"),
    ("revert", "undo"),
    ("rollback", "undo"),
    ("services", "components"),
    ("set-weight", "to"),
    ("setWeight", "to"),
    ("share", "to"),
    ("steps", "stages"),
    ("thresholds", "judge"),
    ("wait", "for"),
    ("weight", "to"),
];

/// The key that was meant: the nearest, or the one that other tools call so.
pub(crate) fn meant_key<'a>(
    word: &str,
    keys: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    nearest(word, keys.clone()).or_else(|| {
        let (_, key) = SYNONYMS.iter().find(|(other, _)| *other == word)?;
        keys.into_iter().find(|own| own == key)
    })
}

/// A name as near to a text as the rule for labels allows.
pub(crate) fn label(text: &str) -> Option<String> {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase).take(63) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    let out = out.trim_end_matches('-').to_owned();
    (!out.is_empty() && out != text).then_some(out)
}

fn folded(word: &str) -> Vec<char> {
    word.chars().collect()
}

/// Edits between two words; swapped neighbours, case and `_` for `-` count as one
/// edit or none.
fn distance(a: &[char], b: &[char]) -> usize {
    let same = |x: char, y: char| {
        let plain = |c: char| {
            if c == '_' {
                '-'
            } else {
                c.to_ascii_lowercase()
            }
        };
        plain(x) == plain(y)
    };
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let change = last[j] + usize::from(!same(x, y));
            let mut least = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && same(x, b[j - 1]) && same(a[i - 1], y) {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

/// `a, b or c` in backticks.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => String::from("nothing"),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Trap 17: a word for the same thing leads to the key.
    #[test]
    fn words_of_other_tools_lead_to_ours() {
        let keys = ["instances", "to", "for"];
        assert_eq!(meant_key("replicas", keys), Some("instances"));
        assert_eq!(meant_key("setWeight", keys), Some("to"));
        assert_eq!(meant_key("steps", keys), None, "not a key of this block");
        assert_eq!(label("My Shop!"), Some("my-shop".to_owned()));
        assert_eq!(label("shop"), None);
        assert_eq!(label("--"), None);
    }

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let keys = ["service", "stages", "keep-warm", "on-conflict"];
        for (slip, meant) in [
            ("sevice", Some("service")),
            ("stage", Some("stages")),
            ("keep_warm", Some("keep-warm")),
            ("KEEP-WARM", Some("keep-warm")),
            ("on-conflcit", Some("on-conflict")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, keys), meant, "{slip}");
        }
    }
}
