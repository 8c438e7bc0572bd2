//! Simulated healthy and harmful canaries, and how the judge and other rules decide.

pub mod kinds;
pub mod rng;
pub mod run;
pub mod table;
pub mod world;
