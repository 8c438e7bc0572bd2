//! Whose fault a failure is, and whether asking again is harmless.

use std::fmt;

/// Where to look first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// What is driven: the version, the script, the machine it runs on.
    Target,
    /// What the plan says.
    Config,
    /// This program or its own folder.
    Us,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "target",
            Self::Config => "config",
            Self::Us => "us",
        })
    }
}

/// Whether the same call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Nothing was left half done.
    Safe,
    /// Something may still be under way; read the state first.
    Unsafe,
}

/// Why a driver could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DriverError {
    /// Whose fault.
    pub fault: Fault,
    /// Whether to ask again.
    pub retry: Retry,
    /// One sentence for people.
    pub message: String,
    /// The last lines that the driven thing said; empty when it said nothing.
    pub output: String,
}

impl DriverError {
    /// The driven thing failed; asking again is harmless.
    #[must_use]
    pub fn target(message: impl Into<String>) -> Self {
        Self::new(Fault::Target, Retry::Safe, message)
    }

    /// The plan's block cannot work; asking again gives the same.
    #[must_use]
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Fault::Config, Retry::Safe, message)
    }

    /// Our own fault.
    #[must_use]
    pub fn us(message: impl Into<String>) -> Self {
        Self::new(Fault::Us, Retry::Safe, message)
    }

    fn new(fault: Fault, retry: Retry, message: impl Into<String>) -> Self {
        Self {
            fault,
            retry,
            message: message.into(),
            output: String::new(),
        }
    }

    /// With the last lines that were said.
    #[must_use]
    pub fn with_output(mut self, output: impl Into<String>) -> Self {
        self.output = output.into();
        self
    }

    /// Something may still be under way.
    #[must_use]
    pub fn unsettled(mut self) -> Self {
        self.retry = Retry::Unsafe;
        self
    }

    /// Wraps a system error of our own files with what was tried.
    pub(crate) fn io(what: impl fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |e| Self::us(format!("{what}: {e}"))
    }
}

/// The result of a blocking task; one that panicked is our fault.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DriverError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| DriverError::us(format!("a blocking task failed: {e}")))
}
