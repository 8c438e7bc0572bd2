//! Who asks.

use serde_json::{Map, Value};

/// The values that rules may ask about. Two contexts with the same values are the same,
/// in whatever order they were given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context(Map<String, Value>);

impl Context {
    /// Nobody in particular.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The one whom a targeting key names, such as a user.
    #[must_use]
    pub fn of(targeting_key: impl Into<String>) -> Self {
        Self::new().with("targetingKey", targeting_key.into())
    }

    /// Whose tenant it is.
    #[must_use]
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        self.with("tenant", tenant.into())
    }

    /// One more value, in place of one that had this name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// The same, in place.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// A value by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// One spelling of each context: the names of objects are sorted.
    pub(crate) fn canonical(&self) -> String {
        // Cannot fail: all keys are text.
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_values_makes_no_other_context() {
        let one = Context::of("ana").tenant("acme").with("age", 3);
        let two = Context::new()
            .with("age", 3)
            .tenant("acme")
            .with("targetingKey", "ana");
        assert_eq!(one.canonical(), two.canonical());
        assert_ne!(one.canonical(), two.tenant("other").canonical());
    }
}
