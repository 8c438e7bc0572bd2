//! How one proxy process takes the work of another over, and how the older one follows
//! until it has ended.
//!
//! Lines of JSON on a Unix socket in the proxy's folder; open files ride on the line that
//! names them. The protocol has a version of its own, because the two processes are
//! usually of two versions of the program:
//!
//! | newcomer says | the proxy in charge says |
//! |---|---|
//! | `take_over` | `yours`, with all sockets and the state; from here on it takes no decision |
//! | `accepting`, once it serves | `committed`: it is in charge no longer, and drains |
//!
//! Whoever loses the other before `committed` is decided by the folder's lock, which came
//! with the files: the one in charge holds it until it has committed.
//!
//! | a proxy that drains says | the proxy in charge says |
//! |---|---|
//! | `follow`, unless it has just handed over on this connection | `lead` and `flags` with each change, `pulse` in between |
//! | `in_force` for each `lead` and `flags`, `load` again and again | |
//!
//! A proxy from before there were flags ends the conversation at its first `flags` and says
//! `follow` again, with the lower version: then it is told of generations alone.

use crate::{FlagsFile, StateFile, VersionLoad};
use esclusa_model::{BootId, Millis, ProxyId};
use serde::{Deserialize, Serialize};

/// The version of these lines.
pub const HAND_OVER_VERSION: u16 = 1;
/// What a proxy that follows says as its version when it understands `flags`.
pub const FOLLOWS_FLAGS_VERSION: u16 = 2;

/// What is said to the proxy in charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToLeader {
    /// I am new and want everything.
    TakeOver {
        /// [`HAND_OVER_VERSION`] of the writer.
        v: u16,
        /// The writer's name, which must be the other's.
        proxy: ProxyId,
        /// The writer's life.
        boot: BootId,
    },
    /// I serve what I was given.
    Accepting {},
    /// I drain and must not serve anything older than you do.
    Follow {
        /// [`FOLLOWS_FLAGS_VERSION`], or [`HAND_OVER_VERSION`] from one that knows no flags.
        v: u16,
        /// The writer's name, which must be the other's.
        proxy: ProxyId,
        /// The writer's life.
        boot: BootId,
    },
    /// No request that begins later sees anything older than this push.
    InForce {
        /// The number of the push.
        push: u64,
    },
    /// What is still open here.
    Load {
        /// Work in flight by version.
        load: Vec<VersionLoad>,
    },
}

/// What the proxy in charge says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromLeader {
    /// Everything, in the moment in which it stands still.
    Yours(Box<Yours>),
    /// You are in charge; I drain.
    Committed {},
    /// Not now, or never.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// Serve this.
    Lead {
        /// Grows with each push on a connection.
        push: u64,
        /// The generation and the splits that were taken back.
        state: Box<StateFile>,
    },
    /// Answer flags and guards from this.
    Flags {
        /// Grows with each push on a connection, whatever it is of.
        push: u64,
        /// The document, the kills and what is withheld.
        flags: Box<FlagsFile>,
    },
    /// I live; I have heard no controller for so long.
    Pulse {
        /// Time without a controller.
        silent_for: Millis,
    },
}

/// What is handed over besides the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Yours {
    /// [`HAND_OVER_VERSION`] of the writer.
    pub v: u16,
    /// The writer's life.
    pub boot: BootId,
    /// What the files are, in their order.
    pub files: Vec<HandedFile>,
    /// The generation in force; absent when there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateFile>,
    /// Slices that were lost for good up to now.
    pub lost: u64,
    /// Flags and kills; absent when there never were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<FlagsFile>,
}

/// One open file that is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "file", rename_all = "snake_case", deny_unknown_fields)]
pub enum HandedFile {
    /// The lock on the folder.
    Lock {},
    /// The listening control socket.
    Control {},
    /// The listening socket of this very protocol.
    HandOver {},
    /// A TCP socket that serves `/metrics` alone.
    Metrics {
        /// Its address.
        address: String,
    },
    /// A TCP socket that answers flags.
    Flags {
        /// Its address.
        address: String,
    },
    /// A TCP socket that clients connect to.
    Clients {
        /// Its address.
        address: String,
    },
    /// The same, from the supervisor that keeps it open whatever happens.
    Activated {
        /// Its address.
        address: String,
    },
}
