//! A data folder's state in one file, and back.
//!
//! [`make`] copies the databases as they are at one moment, beside a running controller
//! or without one, and writes them into an archive that ends with a digest of all before
//! it. [`restore`] checks the whole file before anything of it has its place, and takes
//! only a folder that holds no state.
//!
//! Deliberately absent: what runs (`instances`), what a proxy keeps for itself (`proxy`)
//! and the output of steps. The first two are found again or begun again, the last is
//! for reading.

mod archive;
mod error;
mod make;
mod restore;
mod tree;

pub use error::BackupError;
pub use make::make;
pub use restore::restore;

use esclusa_model::{Epoch, Timestamp};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// The folder of a data folder in which versions are kept by digest.
const VERSIONS: &str = "versions";

/// What goes into a backup beside the event log, tokens, keys and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The counts of traffic.
    pub slices: Wanted,
    /// The versions that were kept by digest.
    pub artifacts: Wanted,
}

/// Whether something goes into a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It does.
    With,
    /// It does not.
    Without,
}

/// Whether a file that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is written.
    Keep,
    /// It is replaced once the new one is complete.
    Replace,
}

/// What is being done right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Databases are copied as they are at this moment.
    Copying,
    /// All chains are checked.
    Checking,
    /// Files are put into the backup.
    Packing,
    /// The backup's digest is compared.
    Comparing,
    /// Files are taken out of the backup.
    Unpacking,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub doing: Doing,
    /// Bytes done of it.
    pub bytes: u64,
}

/// Hears how far it is; called often.
pub type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of esclusa that made it.
    pub program: String,
    /// When.
    pub made_at: Timestamp,
    /// The controller's epoch at that moment.
    pub epoch: Epoch,
    /// Streams of the event log.
    pub streams: u64,
    /// Events that fit, over all streams.
    pub events: u64,
    /// Where chains were broken when it was made: a backup keeps what is there.
    pub broken: Vec<String>,
    /// Whether counts of traffic are in it.
    pub slices: bool,
    /// Kept versions that are in it; absent when they were left out.
    pub artifacts: Option<u64>,
    /// Sockets and the like among the versions' files, which no archive can hold.
    pub left_out: u64,
    /// Bytes of all files in it.
    pub bytes: u64,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// What is in it.
    pub manifest: Manifest,
}

/// A backup that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Put {
    /// The data folder.
    pub dir: PathBuf,
    /// Kept versions that were put there.
    pub artifacts: u64,
    /// Kept versions that were there already and were left as they are.
    pub artifacts_there: u64,
    /// What was in the backup.
    pub manifest: Manifest,
}
