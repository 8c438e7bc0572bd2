//! Drivers with real processes.

#![allow(missing_docs)]
