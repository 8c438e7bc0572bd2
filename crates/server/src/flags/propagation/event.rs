//! The lines of an event stream, as far as the subscriber needs them. Pure.

use super::State;

/// Longest line.
const LONGEST: usize = 4_096;

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    state: Option<State>,
    has_data: bool,
    id: Option<String>,
}

/// A line has no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    /// The states of the events that end in this piece; none for an event that does not say.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Option<State>>, TooLong> {
        let mut events = Vec::new();
        for byte in piece {
            match byte {
                b'\n' => events.extend(self.end_of_line()),
                _ if self.line.len() >= LONGEST => return Err(TooLong),
                byte => self.line.push(*byte),
            }
        }
        Ok(events)
    }

    /// The last id that the stream gave.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn end_of_line(&mut self) -> Option<Option<State>> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let state = self.state.take();
            return std::mem::take(&mut self.has_data).then_some(state);
        }
        if let Some(said) = line.strip_prefix(": ") {
            self.state = state(said).or(self.state);
        } else if let Some(id) = line.strip_prefix("id: ") {
            self.id = Some(id.to_owned());
        } else if line.starts_with("data:") {
            self.has_data = true;
        }
        None
    }
}

/// `revision 12 kills 3`.
fn state(said: &str) -> Option<State> {
    let mut words = said.split(' ');
    let mut number = |name: &str| {
        let named = words.next() == Some(name);
        let number = words.next()?.parse().ok()?;
        named.then_some(number)
    };
    Some(State {
        revision: number("revision")?,
        kills: number("kills")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = b":\n\nretry: 1000\n\n: revision 12 kills 3\nevent: message\nid: 0a\n\
            data: {}\n\n:\n\n: something else\nid: 0b\ndata: {}\n\ndata: broken off";
        let wanted = [
            Some(State {
                revision: 12,
                kills: 3,
            }),
            None,
        ];
        for cut in 1..text.len() {
            let mut lines = Lines::default();
            let mut events = Vec::new();
            for piece in text.chunks(cut) {
                events.extend(lines.push(piece).expect("short"));
            }
            assert_eq!(events, wanted, "cut at {cut}");
            assert_eq!(lines.last_id(), Some("0b"));
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(&[b'a'; LONGEST + 1]), Err(TooLong));
    }
}
