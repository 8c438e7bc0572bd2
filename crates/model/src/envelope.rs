//! The envelope every stored event travels in, and the hash chain over it.
//!
//! Envelope version 1. A reader refuses an envelope version it does not know;
//! an event's own shape is versioned by `kind` (a changed shape is a new kind).

use crate::{Actor, Digest, StreamId, Timestamp};
use serde::{Deserialize, Serialize};

/// The version of the envelope's own shape.
pub const ENVELOPE_VERSION: u16 = 1;

/// What the first event of a stream names as its predecessor.
pub const GENESIS_HASH: Digest = Digest::from_bytes([0; 32]);

/// One stored event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// [`ENVELOPE_VERSION`] of the writer.
    pub v: u16,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its place in the stream, from 1 without gaps.
    pub position: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The event's kind, such as `stage_entered`.
    pub kind: String,
    /// The event's fields.
    pub payload: serde_json::Value,
    /// The hash of the event before it in the stream.
    pub prev: Digest,
    /// The hash of this event, `prev` included.
    pub hash: Digest,
}

impl Envelope {
    /// Puts an event behind its predecessor.
    #[must_use]
    pub fn seal(
        stream: StreamId,
        position: u64,
        at: Timestamp,
        actor: Actor,
        kind: String,
        payload: serde_json::Value,
        prev: Digest,
    ) -> Self {
        let mut sealed = Self {
            v: ENVELOPE_VERSION,
            stream,
            position,
            at,
            actor,
            kind,
            payload,
            prev,
            hash: prev,
        };
        sealed.hash = sealed.compute_hash();
        sealed
    }

    /// SHA-256 over the fields, each preceded by its length, payload keys sorted.
    #[must_use]
    pub fn compute_hash(&self) -> Digest {
        let mut bytes = Vec::new();
        let payload = self.payload.to_string();
        let fields = [
            self.v.to_string(),
            self.stream.to_string(),
            self.position.to_string(),
            self.at.0.to_string(),
            self.actor.to_string(),
            self.kind.clone(),
            payload,
            self.prev.to_string(),
        ];
        for field in fields {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field.as_bytes());
        }
        Digest::of(&bytes)
    }
}

/// Where a stream's chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream {stream} is damaged at position {position}: {what}")]
pub struct ChainError {
    /// The damaged stream.
    pub stream: StreamId,
    /// The first position that does not fit.
    pub position: u64,
    /// What does not fit.
    pub what: &'static str,
}

/// Checks that `events` are one unbroken stream from its beginning.
///
/// # Errors
/// [`ChainError`] naming the first event that was changed, lost or moved.
pub fn verify_chain(events: &[Envelope]) -> Result<(), ChainError> {
    let mut prev = GENESIS_HASH;
    for (event, expected) in events.iter().zip(1..) {
        let broken = if event.v != ENVELOPE_VERSION {
            Some("unknown envelope version")
        } else if event.position != expected {
            Some("position missing or repeated")
        } else if event.prev != prev {
            Some("does not follow its predecessor")
        } else if event.hash != event.compute_hash() {
            Some("content does not match its hash")
        } else {
            None
        };
        if let Some(what) = broken {
            return Err(ChainError {
                stream: event.stream.clone(),
                position: expected,
                what,
            });
        }
        prev = event.hash;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(n: u64) -> Vec<Envelope> {
        let mut prev = GENESIS_HASH;
        (1..=n)
            .map(|position| {
                let event = Envelope::seal(
                    StreamId::new("release/r1").expect("valid"),
                    position,
                    Timestamp(1_000_000 * i64::try_from(position).expect("small")),
                    Actor::new("judge").expect("valid"),
                    "verdict".into(),
                    serde_json::json!({"b": position, "a": "x"}),
                    prev,
                );
                prev = event.hash;
                event
            })
            .collect()
    }

    #[test]
    fn an_untouched_chain_verifies() {
        assert_eq!(verify_chain(&chain(5)), Ok(()));
    }

    #[test]
    fn every_kind_of_damage_is_found() {
        let mut changed = chain(3);
        changed[1].payload = serde_json::json!({"b": 9});
        assert_eq!(verify_chain(&changed).map_err(|e| e.position), Err(2));
        let mut lost = chain(3);
        lost.remove(1);
        assert_eq!(verify_chain(&lost).map_err(|e| e.position), Err(2));
        let mut resealed = chain(3);
        resealed[0].payload = serde_json::json!({});
        resealed[0].hash = resealed[0].compute_hash();
        assert_eq!(verify_chain(&resealed).map_err(|e| e.position), Err(2));
    }

    #[test]
    fn the_hash_is_a_contract() {
        let event = chain(1).remove(0);
        assert_golden(&event);
    }

    /// The stored form of version 1; a change here orphans every existing audit chain.
    fn assert_golden(event: &Envelope) {
        let json = serde_json::to_string(event).expect("serialises");
        assert!(json.starts_with(
            r#"{"v":1,"stream":"release/r1","position":1,"at":1000000,"actor":"judge","kind":"verdict","payload":{"a":"x","b":1},"#
        ), "{json}");
        assert_eq!(
            event.hash.hex(),
            include_str!("../golden/envelope-v1.hash").trim()
        );
    }
}
