//! The language as its users meet it: meaning, mistakes, limits, likeness to CEL.

mod errors;
mod language;
mod like_cel;
mod robust;
mod world;
