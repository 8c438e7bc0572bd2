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
mod flags;
mod guards;
mod hand_over;
mod holding;
mod http;
mod limits;
mod slow_disk;
mod smuggling;
mod split;
mod support;
mod survival;
mod take_back;
mod tunnel;
mod websocket;
