//! The catalogue of texts: one file of keys, each in every language.

use esclusa_drivers::notify::Language;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Texts by key and language.
type Texts = BTreeMap<String, BTreeMap<String, String>>;

fn all() -> &'static Texts {
    static TEXTS: OnceLock<Texts> = OnceLock::new();
    // A test reads the file; what is built from it cannot fail here.
    TEXTS.get_or_init(|| serde_json::from_str(include_str!("texts.json")).unwrap_or_default())
}

/// The text under `key` with its placeholders filled in. One without a value is left as
/// it is, so that nothing is said that nobody knows.
pub(super) fn text(key: &str, language: Language, values: &BTreeMap<String, String>) -> String {
    let found = all()
        .get(key)
        .and_then(|languages| languages.get(language.as_str()));
    let Some(template) = found else {
        return key.to_owned();
    };
    fill(template, values)
}

/// Whether there is such a text.
pub(super) fn knows(key: &str) -> bool {
    all().contains_key(key)
}

/// One pass: a value that looks like a placeholder stays a value.
fn fill(template: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else {
            break;
        };
        out.push_str(before);
        match values.get(name) {
            Some(value) => out.push_str(value),
            None => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}').map(|(name, _)| name))
            .collect()
    }

    /// What is wrong with a catalogue.
    fn faults(texts: &Texts) -> Vec<String> {
        let mut faults = Vec::new();
        for (key, languages) in texts {
            let english = languages.get("en").map(String::as_str).unwrap_or_default();
            for language in Language::ALL {
                match languages.get(language.as_str()) {
                    None => faults.push(format!("{key}: no {}", language.as_str())),
                    Some(text) if placeholders(text) != placeholders(english) => {
                        faults.push(format!(
                            "{key}: other placeholders in {}",
                            language.as_str()
                        ));
                    }
                    Some(text) if text.trim().is_empty() => faults.push(format!("{key}: empty")),
                    Some(_) => {}
                }
            }
            if languages.len() != Language::ALL.len() {
                faults.push(format!("{key}: a language that nobody knows"));
            }
        }
        faults
    }

    // NOT-15: English and Spanish say the same.
    #[test]
    fn every_text_is_there_in_every_language_with_the_same_placeholders() {
        let texts: Texts = serde_json::from_str(include_str!("texts.json")).expect("JSON");
        assert!(texts.len() > 50, "{}", texts.len());
        assert_eq!(faults(&texts), Vec::<String>::new());
        // A catalogue that is wrong is noticed.
        let planted: Texts = serde_json::from_str(
            r#"{"a": {"en": "x"}, "b": {"en": "{n}", "es": "{m}"}, "c": {"en": "x", "es": " "}}"#,
        )
        .expect("JSON");
        assert_eq!(faults(&planted).len(), 4, "{:?}", faults(&planted));
    }

    #[test]
    fn values_are_filled_in_once() {
        let values = BTreeMap::from([
            ("a".to_owned(), "{b}".to_owned()),
            ("b".to_owned(), "x".to_owned()),
        ]);
        assert_eq!(fill("{a}-{b}-{c}-{", &values), "{b}-x-{c}-{");
        assert_eq!(fill("plain", &values), "plain");
        assert_eq!(fill("", &values), "");
    }
}
