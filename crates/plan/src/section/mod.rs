//! The sections of a plan: each file has the table of its keys and what builds its
//! part of the typed plan from them.

pub(crate) mod components;
pub(crate) mod flags;
pub(crate) mod judge;
pub(crate) mod root;
pub(crate) mod route;
pub(crate) mod segments;
pub(crate) mod stages;
pub(crate) mod steps;
