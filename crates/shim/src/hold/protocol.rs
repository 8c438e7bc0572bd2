//! One JSON line asked, one or more answered; files ride on the lines that name them.
//! A contract between versions of the program: a holder lives longer than its proxies.

use serde::{Deserialize, Serialize};

/// The version of these lines.
pub const HOLD_VERSION: u16 = 1;
/// Longest line of either side, in bytes.
pub(crate) const MAX_LINE: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// Which sockets are held?
    List,
    /// Send copies of all; they stay held.
    Take,
    /// Hold the one socket that comes with this line, instead of one of the same name.
    Keep { name: String },
    /// Close this one.
    GiveUp { name: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// Names, for `take` with a file each; `more` lines of this kind follow or not.
    Sockets {
        v: u16,
        names: Vec<String>,
        more: bool,
    },
    /// Done, or it was so already.
    Done,
    /// Not done, for this reason.
    Refused { reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_a_contract() {
        let name = || "127.0.0.1:8080".to_owned();
        for (ask, line) in [
            (Ask::List, r#"{"op":"list"}"#),
            (Ask::Take, r#"{"op":"take"}"#),
            (
                Ask::Keep { name: name() },
                r#"{"op":"keep","name":"127.0.0.1:8080"}"#,
            ),
            (
                Ask::GiveUp { name: name() },
                r#"{"op":"give_up","name":"127.0.0.1:8080"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&ask).expect("serialises"), line);
            assert_eq!(serde_json::from_str::<Ask>(line).expect("reads"), ask);
        }
        let sockets = Answer::Sockets {
            v: HOLD_VERSION,
            names: vec![name()],
            more: false,
        };
        assert_eq!(
            serde_json::to_string(&sockets).expect("serialises"),
            r#"{"reply":"sockets","v":1,"names":["127.0.0.1:8080"],"more":false}"#
        );
        assert_eq!(
            serde_json::to_string(&Answer::Done).expect("serialises"),
            r#"{"reply":"done"}"#
        );
        assert!(serde_json::from_str::<Ask>(r#"{"op":"accept"}"#).is_err());
    }
}
