//! Who may ask, and what is the same in all of their answers.

use crate::ticket::{Signer, window};
use arc_swap::ArcSwap;
use bytes::Bytes;
use esclusa_model::{Digest, Timestamp};
use esclusa_wire::{FlagToken, FlagTokenKind};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Whose answers these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) environment: String,
    pub(crate) subject: Subject,
    /// Only flags that browsers may read.
    pub(crate) browsers_only: bool,
    /// Only flags of this project.
    pub(crate) project: Option<String>,
    /// Leaves out the value of a flag that is not in use.
    pub(crate) strict: bool,
    /// For people.
    pub(crate) name: String,
    /// Whether it is the control plane that measures how long changes take to arrive. It is
    /// no reader of flags: nobody waits for it, and it is not among the streams.
    pub(crate) watcher: bool,
}

/// By what somebody was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// The first bytes of a token's hash.
    Token([u8; 16]),
    /// Being on this machine, where no token is asked for.
    Neighbour,
}

/// Somebody who may ask, with what is the same in all of their answers.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) scope: Scope,
    /// The whole hash of the token; none for a neighbour.
    hash: Option<Digest>,
    pub(crate) server: bool,
    expires: Option<Timestamp>,
    /// A hash of the scope.
    pub(crate) mark: u64,
    signer: Option<Signer>,
    streams: ArcSwap<Streams>,
}

/// The address of event streams, as answers carry it, and the window that it is for.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    window: u64,
    /// `,"eventStreams":[...]`, or nothing without a key.
    pub(crate) json: Bytes,
}

impl Access {
    pub(crate) fn new(
        scope: Scope,
        token: Option<&FlagToken>,
        signer: Option<&Signer>,
    ) -> Arc<Self> {
        let mut hasher = Xxh3::new();
        let marks = [scope.browsers_only, scope.strict];
        hasher.update(&marks.map(u8::from));
        if let Subject::Token(id) = &scope.subject {
            hasher.update(id);
        }
        for text in [Some(&scope.environment), scope.project.as_ref()] {
            hasher.update(text.map_or(&[0xff], |text| text.as_bytes()));
            hasher.update(&[0]);
        }
        Arc::new(Self {
            mark: hasher.digest(),
            scope,
            hash: token.map(|token| token.hash),
            server: token.is_none_or(|token| token.kind == FlagTokenKind::Server),
            expires: token.and_then(|token| token.expires),
            signer: signer.cloned(),
            streams: ArcSwap::from_pointee(Streams {
                window: u64::MAX,
                json: Bytes::new(),
            }),
        })
    }

    /// Whether it is of the token with this hash.
    pub(crate) fn is_of(&self, hash: &Digest) -> bool {
        self.hash.as_ref() == Some(hash)
    }

    pub(crate) fn kind(&self) -> FlagTokenKind {
        match self.server {
            true => FlagTokenKind::Server,
            false => FlagTokenKind::Client,
        }
    }

    pub(crate) fn has_expired(&self, unix_second: u64) -> bool {
        self.expires
            .is_some_and(|at| at.unix_second() <= i64::try_from(unix_second).unwrap_or(i64::MAX))
    }

    /// What answers say about event streams, signed once a window.
    pub(crate) fn streams(&self, unix_second: u64) -> Arc<Streams> {
        let now = window(unix_second);
        let held = self.streams.load();
        if held.window == now {
            return arc_swap::Guard::into_inner(held);
        }
        let json = match &self.signer {
            Some(signer) => Bytes::from(format!(
                ",\"eventStreams\":[{{\"type\":\"sse\",\"endpoint\":{{\"requestUri\":\"{}\"}},\"inactivityDelaySec\":120}}]",
                signer.address(&self.scope, now)
            )),
            None => Bytes::new(),
        };
        let made = Arc::new(Streams { window: now, json });
        self.streams.store(Arc::clone(&made));
        made
    }
}

/// The token with which the control plane itself asks, to measure how long changes take to
/// arrive. Both sides derive it from the key of a document, so that it need not be kept.
/// `None` when the key is not 32 bytes as hex.
#[must_use]
pub fn watcher_secret(key_hex: &str) -> Option<String> {
    let mut key = [0; 32];
    hex::decode_to_slice(key_hex, &mut key).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(b"esclusa-flag-watcher:");
    Some(hex::encode(mac.finalize().into_bytes()))
}

/// The control plane as somebody who asks, by its token's id.
pub(crate) fn watcher(
    key_hex: &str,
    environment: &str,
    signer: Option<&Signer>,
) -> Option<([u8; 16], Arc<Access>)> {
    let token = FlagToken {
        name: "esclusa".to_owned(),
        hash: Digest::of(watcher_secret(key_hex)?.as_bytes()),
        kind: FlagTokenKind::Server,
        environment: environment.to_owned(),
        project: None,
        strict: false,
        expires: None,
    };
    let id = short(&token.hash);
    let scope = Scope {
        watcher: true,
        ..scope_of(&token, id)
    };
    Some((id, Access::new(scope, Some(&token), signer)))
}

pub(crate) fn scope_of(token: &FlagToken, id: [u8; 16]) -> Scope {
    Scope {
        environment: token.environment.clone(),
        subject: Subject::Token(id),
        browsers_only: token.kind == FlagTokenKind::Client,
        project: token.project.clone(),
        strict: token.strict,
        name: token.name.clone(),
        watcher: false,
    }
}

pub(crate) fn neighbour(environment: &str) -> Scope {
    Scope {
        environment: environment.to_owned(),
        subject: Subject::Neighbour,
        browsers_only: false,
        project: None,
        strict: false,
        name: "this machine".to_owned(),
        watcher: false,
    }
}

pub(crate) fn short(hash: &Digest) -> [u8; 16] {
    let mut bytes = [0; 16];
    // Cannot fail: a digest has 64 hex digits, and these are its first 32.
    let _ = hex::decode_to_slice(&hash.hex()[..32], &mut bytes);
    bytes
}
