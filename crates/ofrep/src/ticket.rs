//! The signed part of a stream's address: a browser's `EventSource` can set no header.
//!
//! It names a token or an environment and a time, and is good for nothing but reading
//! events. It lasts one to two [`WINDOW`]s; all addresses of one window are alike, so that a
//! client keeps its stream when it asks again. ETags depend on it: a client whose address
//! has run out is never told that nothing has changed.

use crate::table::{Scope, Subject};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Seconds for which all addresses are alike.
const WINDOW: u64 = 900;
/// Bytes of the signature that are written out.
const SIGNATURE_BYTES: usize = 16;

/// The path of event streams.
pub(crate) const STREAM_PATH: &str = "/ofrep/v1/events";

/// Signs and checks. Its debug form shows nothing of the key.
#[derive(Clone)]
pub(crate) struct Signer(Hmac<Sha256>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(..)")
    }
}

/// Which window a time lies in.
pub(crate) fn window(unix_second: u64) -> u64 {
    unix_second / WINDOW
}

impl Signer {
    /// `None` when the key is not 32 bytes as hex.
    pub(crate) fn new(key_hex: &str) -> Option<Self> {
        let mut key = [0; 32];
        hex::decode_to_slice(key_hex, &mut key).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(b"esclusa-flag-stream:");
        Some(Self(mac))
    }

    /// The address of a stream, as a request target.
    pub(crate) fn address(&self, scope: &Scope, window: u64) -> String {
        let until = (window + 2) * WINDOW;
        let signed = match &scope.subject {
            Subject::Token(id) => format!("{until:x}.t{}", hex::encode(id)),
            Subject::Neighbour => format!("{until:x}.e{}", hex::encode(&scope.environment)),
        };
        let mut mac = self.0.clone();
        mac.update(signed.as_bytes());
        let signature = hex::encode(&mac.finalize().into_bytes()[..SIGNATURE_BYTES]);
        format!("{STREAM_PATH}?ticket={signed}.{signature}")
    }

    /// Whom a ticket is for, when it is genuine and has not run out.
    pub(crate) fn read(&self, ticket: &str, unix_second: u64) -> Option<Ticket> {
        let (signed, signature) = ticket.rsplit_once('.')?;
        let mut bytes = [0; SIGNATURE_BYTES];
        hex::decode_to_slice(signature, &mut bytes).ok()?;
        let mut mac = self.0.clone();
        mac.update(signed.as_bytes());
        mac.verify_truncated_left(&bytes).ok()?;
        let (until, subject) = signed.split_once('.')?;
        if u64::from_str_radix(until, 16).ok()? <= unix_second {
            return None;
        }
        match subject.split_at_checked(1)? {
            ("t", id) => {
                let mut bytes = [0; 16];
                hex::decode_to_slice(id, &mut bytes).ok()?;
                Some(Ticket::Token(bytes))
            }
            ("e", name) => {
                let name = String::from_utf8(hex::decode(name).ok()?).ok()?;
                Some(Ticket::Neighbour(name))
            }
            _ => None,
        }
    }
}

/// Whom a ticket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// The token with this id.
    Token([u8; 16]),
    /// Somebody on this machine, in an environment.
    Neighbour(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(subject: Subject) -> Scope {
        Scope {
            environment: "production".into(),
            subject,
            browsers_only: false,
            project: None,
            strict: false,
            name: "shop".into(),
            watcher: false,
        }
    }

    #[test]
    fn only_our_own_tickets_are_read_and_only_in_time() {
        let signer = Signer::new(&"ab".repeat(32)).expect("a key");
        let other = Signer::new(&"cd".repeat(32)).expect("a key");
        assert!(Signer::new("ab").is_none());
        for (subject, ticket) in [
            (Subject::Token([7; 16]), Ticket::Token([7; 16])),
            (Subject::Neighbour, Ticket::Neighbour("production".into())),
        ] {
            let address = signer.address(&scope(subject), window(10_000));
            let (_, text) = address.split_once("?ticket=").expect("a ticket");
            assert_eq!(signer.read(text, 10_000), Some(ticket));
            assert_eq!(
                signer.read(text, 10_000 + 2 * WINDOW),
                None,
                "it has run out"
            );
            assert_eq!(other.read(text, 10_000), None, "another key");
            assert_eq!(signer.read(&text[1..], 10_000), None, "changed");
            assert_eq!(signer.read(&text[..text.len() - 1], 10_000), None, "cut");
        }
        for bad in ["", ".", "..", "f.t.00", "zz"] {
            assert_eq!(signer.read(bad, 0), None, "{bad}");
        }
    }

    #[test]
    fn an_address_stays_alike_within_its_window() {
        let signer = Signer::new(&"ab".repeat(32)).expect("a key");
        let at = |second| signer.address(&scope(Subject::Neighbour), window(second));
        assert_eq!(at(WINDOW), at(2 * WINDOW - 1));
        assert_ne!(at(WINDOW), at(2 * WINDOW));
    }
}
