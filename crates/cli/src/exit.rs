//! Exit codes, and errors that carry one.
//!
//! 0 done or promoted, 1 a fault of ours or of the server, 2 bad input, 3 rolled back,
//! 4 held, 5 aborted, 6 refused, 9 rollback failed.

use esclusa_model::Outcome;
use esclusa_server::{ApiError, ErrorKind};
use std::process::ExitCode;

/// Held, refused: the codes of the outcome table that other verbs use too.
const FAULT: u8 = 1;
const BAD_INPUT: u8 = 2;

/// How the command ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// As a release ended, or in the words of that table.
    Outcome(Outcome),
    /// The input is wrong; what is wrong was said already.
    BadInput,
    /// Something is wrong that was said already.
    Fault,
    /// As the process ended that ran in place of this one.
    Child(ExitCode),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Outcome(outcome) => Self::from(outcome.exit_code()),
            Exit::BadInput => Self::from(BAD_INPUT),
            Exit::Fault => Self::from(FAULT),
            Exit::Child(code) => code,
        }
    }
}

/// An error and how the command ends for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub error: ApiError,
    pub exit: Exit,
}

impl Failure {
    /// What was typed or named is wrong.
    pub(crate) fn input(code: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            error: ApiError::new(ErrorKind::BadInput, code, message, help),
            exit: Exit::BadInput,
        }
    }

    /// A fault of ours.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        ApiError::new(
            ErrorKind::Internal,
            "ESC-0900",
            message,
            "report this with the command used",
        )
        .into()
    }

    /// The same error for a verb whose refusal is a release's: wrong plans and states.
    pub(crate) fn refusing(mut self) -> Self {
        let plan = self.error.kind == ErrorKind::BadInput && self.error.code == "ESC-0100";
        if plan || self.error.kind == ErrorKind::Conflict {
            self.exit = Exit::Outcome(Outcome::Refused);
        }
        self
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let exit = match error.kind {
            ErrorKind::BadInput
            | ErrorKind::Forbidden
            | ErrorKind::Unauthorized
            | ErrorKind::NotFound
            | ErrorKind::Conflict => Exit::BadInput,
            ErrorKind::TooMany | ErrorKind::Unavailable | ErrorKind::Internal => Exit::Fault,
        };
        Self { error, exit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_start_is_told_from_a_wrong_command() {
        let plan = ApiError::new(ErrorKind::BadInput, "ESC-0100", "", "");
        assert_eq!(Failure::from(plan.clone()).exit, Exit::BadInput);
        let refused = Exit::Outcome(Outcome::Refused);
        assert_eq!(Failure::from(plan).refusing().exit, refused);
        let busy = ApiError::new(ErrorKind::Conflict, "ESC-0301", "", "");
        assert_eq!(Failure::from(busy).refusing().exit, refused);
        let file = Failure::input("ESC-0502", "", "");
        assert_eq!(file.refusing().exit, Exit::BadInput);
    }
}
