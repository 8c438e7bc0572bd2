//! Decides what a release does next.
