//! What a flag serves, how it is known, and why it may not be known.

use serde_json::{Map, Value};
use std::time::Duration;

/// Largest whole number that every reader of JSON reads alike.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What the server said of one flag and one context.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The value; none where the server leaves it to the code.
    pub value: Option<Value>,
    /// The variant's name.
    pub variant: Option<String>,
    /// Why, in the protocol's words, such as `SPLIT`.
    pub reason: String,
    /// What else the server says.
    pub metadata: Map<String, Value>,
}

/// How an answer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The server was asked for it now.
    Server,
    /// It is remembered, and the server has not said since that anything changed.
    Memory,
    /// It is remembered, and may have changed: it is being renewed, or the server cannot
    /// be reached.
    Stale,
    /// It was kept on the disk, and the server cannot be asked.
    Disk,
    /// Nothing is known: it is the caller's safe value.
    Safe,
}

/// What the server says is wrong with the question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// There is no such flag.
    #[error("there is no flag of this name")]
    NotFound,
    /// The context names no unit of the flag's share.
    #[error("the context has no targeting key")]
    TargetingKeyMissing,
    /// The context is not of use.
    #[error("the context is not of use: {0}")]
    InvalidContext(String),
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server refuses the question itself.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// The value has another type than the caller expects.
    #[error("the flag's value is of another type")]
    Type,
    /// The server leaves the value to the code.
    #[error("the server leaves the value to the code")]
    NoValue,
    /// No answer came in time.
    #[error("no answer came in time")]
    TimedOut,
    /// The server cannot be reached.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server wants to be left alone for a while.
    #[error("the server asks to be left alone for {0:?}")]
    Busy(Duration),
    /// The server refuses to answer, such as without a valid token.
    #[error("the server answers with status {0}")]
    Refused(u16),
    /// What came is no answer of this protocol.
    #[error("the answer cannot be read: {0}")]
    Garbage(String),
    /// The client has been shut down.
    #[error("the client has been shut down")]
    Closed,
}

impl Failure {
    /// Whether it says something about the server, not about the question.
    pub(crate) fn is_the_servers(&self) -> bool {
        !matches!(
            self,
            Self::Flag(_) | Self::Type | Self::NoValue | Self::Closed
        )
    }
}

/// A value with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Details<T> {
    /// The value; the caller's safe value where nothing else is known.
    pub value: T,
    /// The variant's name.
    pub variant: Option<String>,
    /// Why, in the protocol's words; `ERROR` where the value is the safe one.
    pub reason: String,
    /// How it is known.
    pub origin: Origin,
    /// Why it is the safe value.
    pub failure: Option<Failure>,
}

/// A type that flags can have.
pub trait FromFlag: Sized {
    /// Reads a value; nothing where it is of another type.
    fn from_flag(value: &Value) -> Option<Self>;
}

impl FromFlag for bool {
    fn from_flag(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromFlag for String {
    fn from_flag(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl FromFlag for i64 {
    /// `10.0` is ten: whether a decimal point is written is not the caller's affair.
    fn from_flag(value: &Value) -> Option<Self> {
        value.as_i64().or_else(|| {
            let number = value.as_f64()?;
            let whole = number as i64;
            (number.abs() <= EXACT && whole as f64 == number).then_some(whole)
        })
    }
}

impl FromFlag for f64 {
    fn from_flag(value: &Value) -> Option<Self> {
        match value.as_i64() {
            Some(whole) => ((whole as f64).abs() <= EXACT).then_some(whole as f64),
            None => value.as_f64(),
        }
    }
}

impl FromFlag for Map<String, Value> {
    fn from_flag(value: &Value) -> Option<Self> {
        value.as_object().cloned()
    }
}

impl FromFlag for Value {
    fn from_flag(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_where_nothing_is_lost() {
        assert_eq!(i64::from_flag(&json!(10.0)), Some(10));
        assert_eq!(i64::from_flag(&json!(10.5)), None);
        assert_eq!(i64::from_flag(&json!(1e300)), None);
        assert_eq!(i64::from_flag(&json!(u64::MAX)), None);
        assert_eq!(f64::from_flag(&json!(10)), Some(10.0));
        assert_eq!(f64::from_flag(&json!(i64::MAX)), None);
        assert_eq!(f64::from_flag(&json!("10")), None);
        assert_eq!(bool::from_flag(&json!("true")), None);
        assert_eq!(String::from_flag(&json!(true)), None);
    }
}
