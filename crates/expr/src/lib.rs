//! Small typed expressions of rules: a CEL-compatible subset.
