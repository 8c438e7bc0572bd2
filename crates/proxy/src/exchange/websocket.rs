//! Where the frames of a WebSocket begin and end, and how one is closed from the middle.
//!
//! Deliberately not here: what is in the frames. They pass through unchanged.

/// Longest head of a frame: two bytes, eight of length, four of mask.
const LONGEST_HEAD: usize = 14;
const CLOSE: u8 = 0x8;
/// "Going away".
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// Follows one direction of a WebSocket.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; LONGEST_HEAD],
    have: usize,
    /// Bytes of the frame's payload that are still to come.
    left: u64,
    closed: bool,
}

impl Frames {
    /// Goes on over bytes that were sent.
    pub(super) fn feed(&mut self, data: &[u8]) {
        let mut at = 0;
        while at < data.len() {
            if self.left > 0 {
                let here = (data.len() - at) as u64;
                let used = self.left.min(here);
                self.left -= used;
                // At most the slice's length.
                at += used as usize;
                continue;
            }
            if let (Some(slot), Some(byte)) = (self.head.get_mut(self.have), data.get(at)) {
                *slot = *byte;
            }
            self.have += 1;
            at += 1;
            if self.have >= 2 && self.have == self.head_len() {
                self.left = self.payload_len();
                self.closed |= self.head[0] & 0x0f == CLOSE;
                self.have = 0;
            }
        }
    }

    fn head_len(&self) -> usize {
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn payload_len(&self) -> u64 {
        let big = |bytes: &[u8]| bytes.iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
        match self.head[1] & 0x7f {
            126 => big(&self.head[2..4]),
            127 => big(&self.head[2..10]),
            short => u64::from(short),
        }
    }

    /// Whether the next byte would begin a frame.
    pub(super) fn at_border(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether the side that was followed has said its last word.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Who is told that the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Toward {
    Client,
    Version,
}

/// A close frame with code 1001. Frames toward a server are masked.
pub(super) fn going_away(toward: Toward) -> Vec<u8> {
    match toward {
        Toward::Client => [&[0x80 | CLOSE, 2], &GOING_AWAY[..]].concat(),
        Toward::Version => {
            let mask: [u8; 4] = rand::random();
            let payload = [GOING_AWAY[0] ^ mask[0], GOING_AWAY[1] ^ mask[1]];
            [&[0x80 | CLOSE, 0x80 | 2], &mask[..], &payload[..]].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: u8, payload: &[u8], masked: bool) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        let mask = if masked { 0x80 } else { 0 };
        match payload.len() {
            n @ 0..126 => bytes.push(mask | n as u8),
            n @ 126..65_536 => {
                bytes.push(mask | 126);
                bytes.extend((n as u16).to_be_bytes());
            }
            n => {
                bytes.push(mask | 127);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend([1, 2, 3, 4]);
        }
        bytes.extend(payload);
        bytes
    }

    proptest! {
        #[test]
        fn borders_are_found_however_the_bytes_arrive(
            sizes in prop::collection::vec(prop_oneof![0_usize..130, 65_500_usize..65_600], 1..6),
            masked: bool,
            cuts in prop::collection::vec(1_usize..70_000, 0..20),
        ) {
            let mut borders = vec![0];
            let mut bytes = Vec::new();
            for size in &sizes {
                bytes.extend(frame(2, &vec![0x88; *size], masked));
                borders.push(bytes.len());
            }
            let mut frames = Frames::default();
            let mut at = 0;
            for cut in cuts {
                let to = (at + cut).min(bytes.len());
                frames.feed(&bytes[at..to]);
                at = to;
                prop_assert_eq!(frames.at_border(), borders.contains(&at));
            }
            frames.feed(&bytes[at..]);
            prop_assert!(frames.at_border() && !frames.is_closed());
            frames.feed(&going_away(Toward::Version));
            prop_assert!(frames.at_border() && frames.is_closed());
        }
    }

    #[test]
    fn a_close_frame_says_going_away() {
        assert_eq!(going_away(Toward::Client), [0x88, 2, 0x03, 0xe9]);
        let masked = going_away(Toward::Version);
        assert_eq!(masked[..2], [0x88, 0x82]);
        assert_eq!([masked[6] ^ masked[2], masked[7] ^ masked[3]], [0x03, 0xe9]);
    }
}
