//! Server-sent events, as far as OFREP needs them: what `data` says, of a bounded size.
//! Comments are no events, but they show that the stream lives; whoever reads the bytes
//! sees them come.

/// Longest event.
const LONGEST: usize = 64 * 1024;

/// An event stream's text, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_return: bool,
    id: Option<Vec<u8>>,
}

/// An event has no end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    /// The data of the events that end in this piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut events = Vec::new();
        for &byte in piece {
            let feed_of_return = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                _ if feed_of_return => {}
                b'\n' | b'\r' => events.extend(self.end_of_line()),
                _ if self.line.len() + self.data.len() >= LONGEST => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// The last id that the stream gave, where a header can hold it.
    pub(crate) fn last_id(&self) -> Option<http::HeaderValue> {
        let id = self.id.as_deref().filter(|id| !id.is_empty())?;
        http::HeaderValue::from_bytes(id).ok()
    }

    fn end_of_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let complete = std::mem::take(&mut self.has_data);
            let data = std::mem::take(&mut self.data);
            return complete.then_some(data);
        }
        if let Some(id) = field(&line, b"id") {
            self.id = Some(id.to_vec());
        }
        let value = field(&line, b"data")?;
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        None
    }
}

/// The value of a line that has this name.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8], cut: usize) -> Result<Vec<String>, TooLong> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in text.chunks(cut.max(1)) {
            events.extend(parser.push(piece)?);
        }
        let text = |event| String::from_utf8(event).expect("text");
        Ok(events.into_iter().map(text).collect())
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = b": alive\n\nevent: message\nid: 1\ndata: {\"a\":1}\n\n\
            data: x\r\ndata:y\r\rdata\n\ndatabase: no\n\ndata: broken off";
        for cut in 1..text.len() {
            let events = all(text, cut).expect("short");
            assert_eq!(events, ["{\"a\":1}", "x\ny", ""], "cut at {cut}");
        }
    }

    #[test]
    fn the_last_id_is_kept() {
        let mut parser = Parser::default();
        assert_eq!(parser.last_id(), None);
        parser.push(b"id: a1\ndata: x\n\n").expect("short");
        assert_eq!(parser.last_id().expect("given"), "a1");
        parser.push(b"id: b\x01\n").expect("short");
        assert_eq!(parser.last_id(), None, "no header can hold it");
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        assert_eq!(all(&[b'a'; LONGEST + 1], 1000), Err(TooLong));
        let lines = b"data: 0123456789\n".repeat(LONGEST / 10);
        assert_eq!(all(&lines, 1000), Err(TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
            let mut whole = Parser::default();
            let mut parts = Parser::default();
            let expected = whole.push(&bytes).expect("short");
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                found.extend(parts.push(piece).expect("short"));
            }
            prop_assert_eq!(found, expected);
        }
    }
}
