//! One JSON line asked, one JSON line answered, over the control socket.

use crate::record::{ExitRecord, Status};
use esclusa_model::Millis;
use serde::{Deserialize, Serialize};

/// Longest line either side accepts, in bytes.
pub(crate) const MAX_LINE: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Who are you and what runs?
    Status,
    /// Send a signal to the process itself, not to its group.
    Signal { signal: i32 },
    /// Signal the group, kill it after the grace, answer when nothing is left.
    Stop { signal: i32, grace: Millis },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The process runs, perhaps on its way out.
    Status { status: Status, stopping: bool },
    /// The signal was sent.
    Sent,
    /// Nothing is left.
    Ended { exit: ExitRecord },
    /// Not done, for this reason.
    Refused { reason: String },
}

/// What a shim says on its standard output, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Started(Status),
    Held,
    NotStarted(String),
    Broken(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_a_contract() {
        let stop = Request::Stop {
            signal: 15,
            grace: Millis(500),
        };
        assert_eq!(
            serde_json::to_string(&stop).expect("serialises"),
            r#"{"op":"stop","signal":15,"grace":500}"#
        );
        assert_eq!(
            serde_json::from_str::<Request>(r#"{"op":"status"}"#).expect("reads"),
            Request::Status
        );
        assert!(serde_json::from_str::<Request>(r#"{"op":"reboot"}"#).is_err());
    }
}
