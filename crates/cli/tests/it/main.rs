//! The program as its users meet it: the real binary, real processes, real traffic.
//!
//! Each test has a control plane, ports and folders of its own. Nothing is asserted about
//! how fast something is: outcomes and counts alone.

mod aborts;
mod dials;
mod exposure;
mod gates;
mod going_back;
mod http_server;
mod line;
mod singletons;
mod survival;
mod world;
