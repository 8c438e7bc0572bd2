//! Splits Rust text into code, comments and string contents.
//!
//! Each view has the length of the text, with blanks where the other two stand, so
//! that an offset means the same place in all of them. This is a lexer, not a parser:
//! it knows just enough never to mistake a string for code.

/// The three views of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Views {
    pub(crate) code: String,
    pub(crate) comments: String,
    pub(crate) strings: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Text,
}

/// The views of `text`.
pub(crate) fn split(text: &str) -> Views {
    let parts = classify(text.as_bytes());
    let view = |wanted: Part| -> String {
        let bytes: Vec<u8> = text
            .bytes()
            .zip(&parts)
            .map(|(byte, part)| {
                if *part == wanted || byte == b'\n' {
                    byte
                } else {
                    b' '
                }
            })
            .collect();
        // Parts change only at ASCII delimiters, so no character is cut in half.
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Views {
        code: view(Part::Code),
        comments: view(Part::Comment),
        strings: view(Part::Text),
    }
}

fn classify(bytes: &[u8]) -> Vec<Part> {
    let mut parts = vec![Part::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let (end, part) = token(bytes, at);
        parts[at..end].fill(part);
        at = end;
    }
    parts
}

/// The end of the token that begins at `at`, and what it is.
fn token(bytes: &[u8], at: usize) -> (usize, Part) {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let end = rest.iter().position(|b| *b == b'\n');
        return (at + end.unwrap_or(rest.len()), Part::Comment);
    }
    if rest.starts_with(b"/*") {
        return (at + block_comment(rest), Part::Comment);
    }
    if let Some(length) = raw_string(bytes, at) {
        return (at + length, Part::Text);
    }
    match rest[0] {
        b'"' => (at + quoted(rest, b'"'), Part::Text),
        b'\'' if is_char_literal(rest) => (at + quoted(rest, b'\''), Part::Text),
        _ => (at + 1, Part::Code),
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of `r"..."`, `r#"..."#`, `br"..."` and `cr"..."` at this place.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    if at > 0 && is_word(bytes[at - 1]) {
        return None;
    }
    let rest = &bytes[at..];
    let prefix = match rest {
        [b'r', ..] => 1,
        [b'b' | b'c', b'r', ..] => 2,
        _ => return None,
    };
    let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
    let begin = prefix + hashes;
    if rest.get(begin) != Some(&b'"') {
        return None;
    }
    let body = &rest[begin + 1..];
    let closes = |i: &usize| {
        body[*i] == b'"'
            && body[i + 1..].iter().take(hashes).all(|b| *b == b'#')
            && body.len() - i > hashes
    };
    let end = (0..body.len()).find(closes);
    Some(end.map_or(rest.len(), |end| begin + 1 + end + 1 + hashes))
}

/// Length of a literal that begins with `quote`, escapes honoured.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Tells `'a'` from the lifetime `'a`.
fn is_char_literal(rest: &[u8]) -> bool {
    match rest.get(1) {
        None => false,
        Some(b'\\') => true,
        Some(first) => {
            // One character of one to four bytes, then the closing quote.
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            rest.get(1 + width) == Some(&b'\'')
        }
    }
}

/// Whether a byte can be part of an identifier.
pub(crate) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where `word` stands in `text` as a whole word.
pub(crate) fn find_word<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = at.checked_sub(1).is_some_and(|i| is_word(bytes[i]));
            let after = bytes.get(at + word.len()).is_some_and(|b| is_word(*b));
            !before && !after
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_not_code() {
        let text = r##"let a = "todo!()"; // dbg!
/* x /* y */ unsafe */ let b = r#"std::fs "quoted" "#; let c = 'u'; fn f<'a>(x: &'a str) {}
let d = b"\"unsafe"; let e = '\''; let f = "ü"; let g = 'é'; let r#type = br"x";"##;
        let views = split(text);
        assert_eq!(views.code.len(), text.len());
        for hidden in ["todo!", "dbg!", "unsafe", "std::fs", "quoted", "'u'"] {
            assert!(!views.code.contains(hidden), "{hidden}: {}", views.code);
        }
        for kept in [
            "let a =",
            "let b =",
            "fn f<'a>(x: &'a str) {}",
            "let d",
            "let r#type",
        ] {
            assert!(views.code.contains(kept), "{kept}: {}", views.code);
        }
        assert!(views.comments.contains("// dbg!"));
        assert!(views.comments.contains("unsafe */"));
        assert!(views.strings.contains("todo!()"));
        assert!(!views.strings.contains("let"));
    }

    #[test]
    fn an_open_literal_ends_with_the_text() {
        for text in ["\"abc", "r#\"abc\"", "/* abc", "'\\"] {
            assert_eq!(split(text).code.trim(), "", "{text}");
        }
    }

    #[test]
    fn words_have_borders() {
        let found: Vec<usize> = find_word("unsafe_code unsafe (unsafe)", "unsafe").collect();
        assert_eq!(found, [12, 20]);
    }
}
