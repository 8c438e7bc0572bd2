//! The flag server as its clients meet it: over sockets.

#![expect(clippy::expect_used, reason = "a failing helper fails its test")]

mod access;
mod bulk;
mod clients;
mod exposures;
mod fuzz;
mod guards;
mod limits;
mod single;
mod streams;
mod world;
