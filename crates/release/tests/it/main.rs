//! The stored form of events, and what may follow what.

mod order;
mod samples;
mod service;
mod stored;
