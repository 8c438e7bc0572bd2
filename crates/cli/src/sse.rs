//! Reads server-sent events from bytes as they come.

/// Most bytes of one message; a server that sends more is not ours.
const MAX_BYTES: usize = 16 << 20;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its kind.
    pub kind: String,
    /// Its data.
    pub data: String,
    /// Its position, for messages that have one.
    pub id: Option<u64>,
}

/// Bytes in, messages out.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes bytes and gives the messages that are whole now; `None` when what comes is
    /// no stream of messages.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<Vec<Message>> {
        self.bytes.extend_from_slice(bytes);
        let mut found = Vec::new();
        while let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\n\n") {
            let rest = self.bytes.split_off(end + 2);
            let whole = std::mem::replace(&mut self.bytes, rest);
            found.extend(message(&String::from_utf8(whole).ok()?));
        }
        (self.bytes.len() <= MAX_BYTES).then_some(found)
    }
}

fn message(text: &str) -> Option<Message> {
    let mut kind = "message".to_owned();
    let mut data: Vec<&str> = Vec::new();
    let mut id = None;
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => kind = value.to_owned(),
            "data" => data.push(value),
            "id" => id = value.parse().ok(),
            _ => {}
        }
    }
    (!data.is_empty()).then(|| Message {
        kind,
        data: data.join("\n"),
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_however_they_are_cut() {
        let text =
            ":keep\n\nevent: event\nid: 7\ndata: {\"a\":\ndata: \"é\"}\n\ndata: x\n\nevent: y";
        let whole = [
            Message {
                kind: "event".into(),
                data: "{\"a\":\n\"é\"}".into(),
                id: Some(7),
            },
            Message {
                kind: "message".into(),
                data: "x".into(),
                id: None,
            },
        ];
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let found: Vec<Message> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| reader.feed(chunk).expect("a stream"))
                .collect();
            assert_eq!(found, whole, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        assert!(Reader::default().feed(&[0xff, b'\n', b'\n']).is_none());
        assert!(Reader::default().feed(&vec![b'x'; MAX_BYTES + 1]).is_none());
    }
}
