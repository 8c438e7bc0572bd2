//! Whether clients notice that what serves them is changed, restarted or replaced.
//!
//! - `versions`: two versions that answer, take slow uploads, give long downloads and
//!   speak WebSocket.
//! - `clients`: clients of six kinds that never send anything twice.
//! - `proxies`: the real proxy as a process, with its holder.
//! - `shares`: random changes of a share, and what a client may see during them.
//!
//! What counts as a failure is the same for every server under test: an answer that is
//! not 200, an answer that breaks off, a connection that is refused or that ends without
//! the word its protocol has for that.

pub mod clients;
mod pieces;
pub mod proxies;
pub mod shares;
pub mod versions;
