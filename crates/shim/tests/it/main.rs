//! The shim with real processes.

#![allow(missing_docs)]

mod ends;
mod lives;
mod world;
