//! The judge from outside: seconds in, verdicts out.

mod absence;
mod decisions;
mod recording;
mod resume;
mod world;
