//! A small supervisor beside each process that must outlive its controller.
//!
//! The controller starts a shim with [`spawn`]; the shim detaches itself (new
//! session, sub-reaper), starts one process in its own process group, appends the
//! process's output to a log file, and answers on a Unix socket in its folder until
//! the process and everything it started are gone. How it ended then stands in a
//! file. A later controller finds the process again with [`ShimClient`], whatever
//! happened to the one that started it.
//!
//! Deliberately not here: restarting, health, ports, hooks. A shim knows nothing of
//! versions or releases; it never decides, so it never needs an upgrade of its own
//! to stay correct. It is synchronous and keeps one thread.
//!
//! The same program can hold listening sockets for a process that may die: see [`hold`].
//!
//! | file in the folder | holds |
//! |---|---|
//! | `lock` | an exclusive lock while a shim lives |
//! | `control.sock` | where the shim answers |
//! | `status.json` | [`Status`]: what was started |
//! | `exit.json` | [`ExitRecord`]: how it ended |
//! | `output.log`, `output.log.1` ... | standard output and error |
//! | `shim.log` | the shim's own last words, normally empty |

mod client;
mod entry;
pub mod fdpass;
mod files;
pub mod hold;
pub mod procfs;
mod protocol;
mod reap;
mod record;
mod rotate;
mod socket;
mod supervise;

pub use client::{Observed, ShimClient, ShimCommand, Stopped, spawn};
pub use entry::main;
pub use files::write_atomic;
pub use record::{End, ExitRecord, LogLimits, ShimError, Spec, Status};
pub use rotate::{rotate_if_larger, tail};
