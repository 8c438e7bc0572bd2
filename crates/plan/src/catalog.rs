//! What drivers exist, what they take and what they can do: a value, not a lookup.
//!
//! The drivers crate fills it from its registries; the plan language checks every
//! driver block against it, so that no name, unit or capability is first looked up
//! in the middle of a release. A new driver needs no change here.

use serde::{Deserialize, Serialize};

/// All drivers known to this program.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// What starts and stops a component's instances.
    pub run: Vec<DriverEntry>,
    /// What turns the share of traffic.
    pub traffic: Vec<DriverEntry>,
    /// What answers a question about the world.
    pub check: Vec<DriverEntry>,
    /// What is asked for numbers that no proxy counts.
    #[serde(default)]
    pub metric: Vec<DriverEntry>,
}

/// One driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverEntry {
    /// The key that names it in a plan.
    pub name: String,
    /// One sentence for `plan schema` and the reference.
    pub doc: String,
    /// What its block may contain.
    pub fields: Vec<Field>,
    /// What it can do; lint refuses plans that need more.
    pub capabilities: Vec<Capability>,
}

/// One key of a driver's block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The key, kebab-case.
    pub name: String,
    /// One sentence.
    pub doc: String,
    /// What its value must be.
    pub kind: FieldKind,
    /// Whether the block is wrong without it.
    pub required: bool,
}

/// What a value must be. Drivers receive it normalised, as noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldKind {
    /// Any text.
    Text,
    /// Text with `${...}` placeholders, whose names are checked.
    Template,
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds, inclusive.
    Integer {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
    },
    /// A duration with its unit; normalised to milliseconds.
    Duration,
    /// A share with its percent sign; normalised to basis points.
    Share,
    /// A command: one line for the shell, or a list of template words run as they
    /// are; normalised to a list of words (`["/bin/sh", "-c", line]` for a line).
    Command,
    /// One of these words.
    Choice(Vec<String>),
    /// A list whose items are of one kind.
    List(Box<FieldKind>),
    /// Free keys with template values.
    TemplateMap,
    /// A block of its own.
    Block(Vec<Field>),
    /// Whatever YAML can say, unchecked: what a format leaves to others.
    Free,
}

/// What a driver can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Traffic: keeps a unit on its version while the share only grows.
    Sticky,
    /// Traffic: can expose a named segment.
    Segments,
    /// Traffic: counts requests by version, so that the judge has data.
    Observes,
    /// Traffic: takes any share in steps of 0.01 %.
    ExactShare,
    /// Run: starts and stops instances by itself.
    Lifecycle,
    /// Run: tells instances their track and can hand over a singleton.
    Tracks,
    /// Run: the version's digest is that of its content.
    VerifiedDigest,
    /// Check: can be asked before the canary runs.
    Early,
}

impl Catalog {
    /// The entry of a run driver.
    #[must_use]
    pub fn run_driver(&self, name: &str) -> Option<&DriverEntry> {
        self.run.iter().find(|entry| entry.name == name)
    }

    /// The entry of a traffic driver.
    #[must_use]
    pub fn traffic_driver(&self, name: &str) -> Option<&DriverEntry> {
        self.traffic.iter().find(|entry| entry.name == name)
    }

    /// The entry of a check driver.
    #[must_use]
    pub fn check_driver(&self, name: &str) -> Option<&DriverEntry> {
        self.check.iter().find(|entry| entry.name == name)
    }
}

impl DriverEntry {
    /// Whether the driver can do this.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}
