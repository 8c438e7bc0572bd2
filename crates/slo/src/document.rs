//! Several documents in one file, each read at its own place.
//!
//! Every document is read from a copy of the text in which the others are blank. Places
//! in the copy are places in the file, so that findings need no translation.

use esclusa_plan::{Diagnostic, Field, Settings, SourceFile, read_settings};

/// More than a file for people holds.
const MOST: usize = 200;

/// The parts of a file between its document markers, others blanked out.
pub(crate) fn split(source: &SourceFile) -> Vec<SourceFile> {
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut offset = 0;
    for line in source.text.split_inclusive('\n') {
        let marker = line.trim_end();
        let marks = marker == "---" || marker == "..." || marker.starts_with("--- ");
        if marks {
            ranges.push(start..offset);
            start = offset + line.len();
        }
        offset += line.len();
    }
    ranges.push(start..offset);
    ranges
        .into_iter()
        .filter(|range| source.text.get(range.clone()).is_some_and(says_something))
        .take(MOST)
        .map(|range| {
            let text: String = source
                .text
                .char_indices()
                .flat_map(|(at, c)| {
                    let kept = range.contains(&at) || c == '\n' || c == '\r';
                    // As many blanks as the character has bytes.
                    let (shown, times) = if kept { (c, 1) } else { (' ', c.len_utf8()) };
                    std::iter::repeat_n(shown, times)
                })
                .collect();
            SourceFile::new(source.name.clone(), text)
        })
        .collect()
}

fn says_something(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    })
}

/// Reads one document by a table of fields.
pub(crate) fn read<'t>(document: &'t SourceFile, fields: &[Field]) -> Settings<'t> {
    read_settings(document, fields)
}

/// All findings in the order of the file.
pub(crate) fn findings(all: impl IntoIterator<Item = Diagnostic>) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = all.into_iter().collect();
    found.sort_by_key(|d| (d.span.offset, d.code, d.severity));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_places() {
        let text = "# é\na: 1\n---\nb: é2\n--- # two\nc: 3\n";
        let parts = split(&SourceFile::new("x", text));
        assert_eq!(parts.len(), 3);
        for (part, key) in parts.iter().zip(["a: 1", "b: é2", "c: 3"]) {
            assert_eq!(part.text.len(), text.len());
            assert_eq!(part.text.find(key), text.find(key));
            assert_eq!(part.text.lines().count(), text.lines().count());
        }
        assert!(!parts[1].text.contains("a:"));
        assert_eq!(
            split(&SourceFile::new("x", "---\n# nothing\n---\n")).len(),
            0
        );
    }
}
