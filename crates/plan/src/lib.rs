//! The plan language: YAML in, a checked and expanded [`Plan`] or all errors out.

mod catalog;
mod model;

pub use catalog::{Capability, Catalog, DriverEntry, Field, FieldKind};
pub use model::{
    Audience, Component, DriverUse, Expose, Hold, HoldOrReturn, HoldThen, LostControl, NamedRoute,
    OnConflict, Plan, Requirement, Route, Stage, Step, Sticky, TakeOver, Undo, WarmUp,
};
