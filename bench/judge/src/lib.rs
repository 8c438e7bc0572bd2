//! Simulated healthy and harmful canaries, and how the judge and other rules decide.

pub mod compare;
pub mod kinds;
pub mod peers;
pub mod record;
pub mod rng;
pub mod run;
pub mod table;
pub mod world;
