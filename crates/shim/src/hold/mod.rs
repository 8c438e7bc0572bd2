//! A process that does nothing but keep listening sockets open.
//!
//! As long as one process holds a listening socket, the kernel goes on to complete
//! connections and queues them. A proxy deposits its sockets here; when it dies, is
//! killed or is restarted, clients wait in the queue, and the next proxy takes the
//! sockets and answers them. Nobody is refused.
//!
//! `esclusa shim hold DIR` stays in the foreground; whoever starts it sees to it that it
//! outlives the proxy: another shim, a unit of its own, a container's first process.
//! Deliberately not here: accepting, and any opinion about who deserves a socket.
//!
//! | file in the folder | holds |
//! |---|---|
//! | `hold.lock` | an exclusive lock while a holder lives |
//! | `hold.sock` | where the holder answers |

mod client;
mod keeper;
mod protocol;

pub use client::HoldClient;
pub(crate) use keeper::main;
pub use protocol::HOLD_VERSION;

pub(crate) const LOCK: &str = "hold.lock";
pub(crate) const SOCKET: &str = "hold.sock";
/// Most sockets in one holder.
pub(crate) const MAX_SOCKETS: usize = 4_096;
