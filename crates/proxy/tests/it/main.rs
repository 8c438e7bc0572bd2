//! A whole proxy against real sockets: clients on one side, versions on the other, and
//! the control plane's client on its socket.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod control;
mod drain;
mod faults;
mod http;
mod smuggling;
mod split;
mod support;
mod survival;
mod tunnel;
