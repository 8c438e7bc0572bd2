//! Finds the borders of HTTP/1 messages in a client's byte stream.
//!
//! The HTTP library merges repeated length headers before we see them, and drops a
//! length that comes with a transfer coding. Those are exactly the heads on which two
//! servers can disagree where a request ends, so they are told apart here, before the
//! library reads them. Deliberately no parser: what the library refuses anyway (bad
//! names, folded lines, NUL) is left to it.

use memchr::memchr;

/// What was seen in one request head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its length is beyond doubt.
    Plain,
    /// It asks to leave HTTP after the answer, and has no body.
    Upgrade,
    /// Two readers could disagree about its length.
    Ambiguous,
}

/// What [`Scanner::scan`] wants done with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// All of them belong to HTTP.
    All,
    /// Hand out this many, then hold the rest back: an upgrade must be answered first.
    HoldAfter(usize),
    /// Hand out this many and nothing more, ever.
    StopAfter(usize),
    /// Hand out this many, then fail: the body's coding is broken.
    FailAfter(usize),
}

/// Longest part of a line that is kept over two reads; longer header names and lengths
/// are nothing that this scanner looks for.
const LINE_KEPT: usize = 96;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size,
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body { left: u64 },
    Chunked { state: Chunk, size: u64, digits: u8 },
    Done,
}

/// Follows one connection's requests.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    line: Vec<u8>,
    line_len: usize,
    lines: usize,
    lengths: u32,
    length: Option<u64>,
    codings: u32,
    chunked: bool,
    upgrade: bool,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            line_len: 0,
            lines: 0,
            lengths: 0,
            length: None,
            codings: 0,
            chunked: false,
            upgrade: false,
        }
    }

    /// Whether some bytes of a head were seen and its end was not.
    pub(crate) fn inside_head(&self) -> bool {
        self.state == State::Head && (self.lines > 0 || self.line_len > 0)
    }

    /// Whether the stream stands between two requests.
    pub(crate) fn at_border(&self) -> bool {
        self.state == State::Head && !self.inside_head()
    }

    /// Goes on over `data`; a finished head's verdict is given to `on_head`.
    pub(crate) fn scan(&mut self, data: &[u8], mut on_head: impl FnMut(Verdict)) -> Scan {
        let mut at = 0;
        while at < data.len() {
            match self.state {
                State::Head => match self.scan_head(&data[at..]) {
                    None => return Scan::All,
                    Some(used) => {
                        at += used;
                        let verdict = self.finish_head();
                        on_head(verdict);
                        match verdict {
                            Verdict::Plain => {}
                            Verdict::Upgrade => return Scan::HoldAfter(at),
                            Verdict::Ambiguous => return Scan::StopAfter(at),
                        }
                    }
                },
                State::Body { left } => {
                    let here = (data.len() - at) as u64;
                    let used = left.min(here);
                    // `used` is at most the slice's length.
                    at += used as usize;
                    self.state = if left == used {
                        State::Head
                    } else {
                        State::Body { left: left - used }
                    };
                }
                State::Chunked { .. } => match self.scan_chunked(&data[at..]) {
                    Ok(used) => at += used,
                    Err(used) => {
                        self.state = State::Done;
                        return Scan::FailAfter(at + used);
                    }
                },
                State::Done => return Scan::StopAfter(at),
            }
        }
        Scan::All
    }

    /// Returns how many bytes the head's rest takes, or nothing when it goes on.
    fn scan_head(&mut self, data: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(end) = memchr(b'\n', &data[at..]) {
            let piece = &data[at..at + end];
            at += end + 1;
            let empty = if self.line_len == 0 {
                self.header_line(piece);
                piece.is_empty() || piece == b"\r"
            } else {
                self.keep(piece);
                let line = std::mem::take(&mut self.line);
                self.header_line(&line);
                let empty = self.line_len == 1 && line == b"\r";
                self.line = line;
                self.line.clear();
                self.line_len = 0;
                empty
            };
            if !empty {
                self.lines += 1;
            } else if self.lines > 0 {
                return Some(at);
            }
        }
        self.keep(&data[at..]);
        None
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = LINE_KEPT.saturating_sub(self.line.len()).min(piece.len());
        self.line.extend_from_slice(&piece[..room]);
        self.line_len += piece.len();
    }

    fn header_line(&mut self, line: &[u8]) {
        match line.first() {
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length") {
                    self.lengths += 1;
                    self.length = digits(value);
                }
            }
            Some(b't' | b'T') => {
                if let Some(value) = value_of(line, b"transfer-encoding") {
                    self.codings += 1;
                    self.chunked = value.eq_ignore_ascii_case(b"chunked");
                }
            }
            Some(b'u' | b'U') => self.upgrade |= value_of(line, b"upgrade").is_some(),
            _ => {}
        }
    }

    fn finish_head(&mut self) -> Verdict {
        let (lengths, codings) = (self.lengths, self.codings);
        let body = match self.length {
            Some(left) if left > 0 => State::Body { left },
            _ => State::Head,
        };
        let unreadable = (lengths == 1 && self.length.is_none()) || (codings == 1 && !self.chunked);
        let verdict = if lengths > 1 || codings > 1 || (lengths > 0 && codings > 0) || unreadable {
            self.state = State::Done;
            Verdict::Ambiguous
        } else if codings == 1 {
            self.state = State::Chunked {
                state: Chunk::Size,
                size: 0,
                digits: 0,
            };
            Verdict::Plain
        } else if body == State::Head && self.upgrade {
            self.state = State::Head;
            Verdict::Upgrade
        } else {
            self.state = body;
            Verdict::Plain
        };
        self.lines = 0;
        self.lengths = 0;
        self.length = None;
        self.codings = 0;
        self.chunked = false;
        self.upgrade = false;
        verdict
    }

    /// Goes over a chunked body: as strict as the library, CRLF everywhere.
    fn scan_chunked(&mut self, data: &[u8]) -> Result<usize, usize> {
        let State::Chunked {
            mut state,
            mut size,
            digits: mut seen,
        } = self.state
        else {
            return Ok(0);
        };
        let mut at = 0;
        while at < data.len() {
            if state == Chunk::Data {
                let used = size.min((data.len() - at) as u64);
                at += used as usize;
                size -= used;
                if size == 0 {
                    state = Chunk::DataCr;
                }
                continue;
            }
            let byte = data[at];
            state = match (state, byte) {
                (Chunk::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if seen < 16 => {
                    seen += 1;
                    size = (size << 4) | u64::from(hex_digit(byte));
                    Chunk::Size
                }
                (Chunk::Size | Chunk::SizeSpace, b'\t' | b' ') if seen > 0 => Chunk::SizeSpace,
                (Chunk::Size | Chunk::SizeSpace, b';') if seen > 0 => Chunk::Extension,
                (Chunk::Size | Chunk::SizeSpace, b'\r') if seen > 0 => Chunk::SizeLf,
                (Chunk::Extension, b'\r') => Chunk::SizeLf,
                (Chunk::Extension, byte) if byte != b'\n' => Chunk::Extension,
                (Chunk::SizeLf, b'\n') if size == 0 => Chunk::TrailerStart,
                (Chunk::SizeLf, b'\n') => Chunk::Data,
                (Chunk::DataCr, b'\r') => Chunk::DataLf,
                (Chunk::DataLf, b'\n') => {
                    seen = 0;
                    Chunk::Size
                }
                (Chunk::TrailerStart, b'\r') => Chunk::EndLf,
                (Chunk::Trailer, b'\r') => Chunk::TrailerLf,
                (Chunk::TrailerStart | Chunk::Trailer, byte) if byte != b'\n' => Chunk::Trailer,
                (Chunk::TrailerLf, b'\n') => Chunk::TrailerStart,
                (Chunk::EndLf, b'\n') => {
                    self.state = State::Head;
                    return Ok(at + 1);
                }
                _ => return Err(at),
            };
            at += 1;
        }
        self.state = State::Chunked {
            state,
            size,
            digits: seen,
        };
        Ok(at)
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

/// The trimmed value when `line` is the header `name`.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    head.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// A length of at most 18 digits and nothing else.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        value
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heads(stream: &[u8], cuts: &[usize]) -> (Vec<Verdict>, Scan, usize) {
        let mut scanner = Scanner::new();
        let mut seen = Vec::new();
        let mut last = Scan::All;
        let mut start = 0;
        let mut ends: Vec<usize> = cuts.iter().map(|c| c % (stream.len() + 1)).collect();
        ends.push(stream.len());
        ends.sort_unstable();
        for end in ends {
            match scanner.scan(&stream[start..end], |v| seen.push(v)) {
                Scan::All => start = end,
                Scan::HoldAfter(n) | Scan::StopAfter(n) | Scan::FailAfter(n) if start + n < end => {
                    last = Scan::StopAfter(start + n);
                    start = end;
                    break;
                }
                _ => start = end,
            }
        }
        (seen, last, start)
    }

    #[test]
    fn doubtful_lengths_are_found() {
        use Verdict::{Ambiguous, Plain, Upgrade};
        let table: &[(&str, Verdict)] = &[
            ("Host: a\r\n", Plain),
            ("Content-Length: 0\r\n", Plain),
            ("content-length: 3\r\nCONTENT-LENGTH: 3\r\n", Ambiguous),
            (
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                Ambiguous,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                Ambiguous,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Ambiguous,
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", Ambiguous),
            ("Transfer-Encoding: \x0bchunked\r\n", Ambiguous),
            ("Content-Length: +2\r\n", Ambiguous),
            ("Content-Length: 3, 3\r\n", Ambiguous),
            ("Content-Length:\r\n", Ambiguous),
            ("Content-Length: 99999999999999999999\r\n", Ambiguous),
            ("Upgrade: websocket\r\n", Upgrade),
            ("Upgrade: websocket\r\nContent-Length: 3\r\n", Plain),
        ];
        for (lines, verdict) in table {
            let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
            let mut seen = Vec::new();
            let _ = Scanner::new().scan(head.as_bytes(), |v| seen.push(v));
            assert_eq!(seen, [*verdict], "{lines:?}");
        }
    }

    const STREAM: &[u8] = b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /\
        POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\n0\r\nT: v\r\n\r\n\
        GET /c HTTP/1.1\nHost: a\n\nGET /d HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n";

    proptest! {
        #[test]
        fn reads_in_any_pieces_find_the_same(cuts in proptest::collection::vec(0usize..400, 0..12)) {
            use Verdict::{Ambiguous, Plain};
            let (seen, ..) = heads(STREAM, &cuts);
            prop_assert_eq!(seen, [Plain, Plain, Plain, Ambiguous]);
        }
    }

    #[test]
    fn broken_chunks_fail_where_they_break() {
        for body in [
            "zz\r\n",
            "5\nGET /\r\n",
            "5\r\nGET /x\r\n",
            "\r\n",
            "5;a\nb\r\n",
            "0\r\n\n",
        ] {
            let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            let end = Scanner::new().scan(text.as_bytes(), |_| {});
            assert!(matches!(end, Scan::FailAfter(_)), "{body:?}: {end:?}");
        }
    }
}
