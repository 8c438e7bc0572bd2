//! One event stream: what its socket took, and what it still has to be told.

use super::StreamInfo;
use super::shard::Joining;
use crate::table::{FlagTable, State, Subject};
use bytes::Bytes;
use mio::net::TcpStream;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

/// What all streams are told now.
pub(super) struct Now {
    pub(super) state: State,
    pub(super) event: Bytes,
}

impl Now {
    pub(super) fn of(table: &FlagTable) -> Self {
        let state = table.state;
        let tag = state.tag;
        // A comment, which clients pass over, says which state it is.
        let event = format!(
            ": revision {} kills {}\nevent: message\nid: {tag:016x}\ndata: {{\"type\":\"refetchEvaluation\",\
             \"etag\":\"{tag:016x}\",\"lastModified\":{}}}\n\n",
            state.revision, state.kill_epoch, state.since
        );
        Self {
            state,
            event: event.into(),
        }
    }
}

/// One stream, with its socket.
pub(super) struct Stream {
    pub(super) socket: TcpStream,
    pub(super) subject: Subject,
    pub(super) environment: Box<str>,
    pub(super) info: Arc<StreamInfo>,
    /// The state that it knows.
    pub(super) told: u64,
    /// What its socket did not take, and what it says.
    pub(super) unsent: Bytes,
    says: Option<State>,
    /// Since when its socket takes nothing.
    pub(super) blocked: Option<Instant>,
}

/// Whether a stream goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Goes,
    Over,
}

impl Stream {
    pub(super) fn new(joining: Joining) -> Self {
        Self {
            socket: TcpStream::from_std(joining.socket),
            subject: joining.subject,
            environment: joining.environment,
            info: joining.info,
            told: 0,
            unsent: Bytes::new(),
            says: None,
            blocked: None,
        }
    }

    /// Writes as much as the socket takes. Nothing may be unsent.
    pub(super) fn write(&mut self, bytes: &Bytes, says: Option<State>) -> Life {
        self.unsent = bytes.clone();
        self.says = says;
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Life {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(0) => return Life::Over,
                Ok(sent) if sent == self.unsent.len() => self.unsent = Bytes::new(),
                Ok(sent) => self.unsent = self.unsent.slice(sent..),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.get_or_insert_with(Instant::now);
                    return Life::Goes;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Life::Over,
            }
        }
        self.blocked = None;
        if let Some(state) = self.says.take() {
            self.told = state.tag;
            self.info.told(state);
        }
        Life::Goes
    }

    /// Brings it to the latest state, when its socket takes that.
    pub(super) fn tell(&mut self, now: &Now) -> Life {
        if self.unsent.is_empty() && self.told != now.state.tag {
            return self.write(&now.event, Some(now.state));
        }
        Life::Goes
    }

    /// Reads what the client says, which is nothing but its end.
    pub(super) fn hear(&mut self) -> Life {
        let mut scrap = [0; 512];
        // A client that goes on talking is cut off.
        for _ in 0..8 {
            match self.socket.read(&mut scrap) {
                Ok(0) => return Life::Over,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Life::Goes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Life::Over,
            }
        }
        Life::Over
    }
}
