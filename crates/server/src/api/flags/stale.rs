//! What somebody changed meanwhile: which field, who, when, and how to go on.

use crate::error::{ApiError, ErrorKind};
use crate::flags::{Flags, refused};
use esclusa_flags::{FlagSet, Patch, Problem, ProblemCode, overwritten};

/// Refuses a set that was read at an older revision and would set back what was changed
/// since.
///
/// # Errors
/// Each such field, with who changed it last.
pub(super) async fn refuse(
    flags: &Flags,
    read_at: u64,
    now: &FlagSet,
    wanted: &FlagSet,
) -> Result<(), ApiError> {
    let read = flags.set_at(read_at).await?;
    let lost = overwritten(&read, now, wanted);
    if lost.is_empty() {
        return Ok(());
    }
    let paths: Vec<&str> = lost.iter().map(|change| change.path.as_str()).collect();
    let changed_by = flags.last_changed(read_at, &paths).await?;
    let words = |value: &Option<serde_json::Value>| {
        value
            .as_ref()
            .map_or("nothing".to_owned(), ToString::to_string)
    };
    let problems: Vec<Problem> = lost
        .iter()
        .zip(changed_by)
        .map(|(change, by)| Problem {
            path: change.path.clone(),
            code: ProblemCode::Conflict,
            message: format!(
                "{} made this {}, and the set says {}",
                by.unwrap_or_else(|| "somebody".to_owned()),
                words(&change.before),
                words(&change.after)
            ),
            hint: None,
        })
        .collect();
    let mut error = refused(&problems);
    error.message = format!(
        "the set was read at revision {read_at}, and would set back what was changed since: {}",
        told(&problems)
    );
    error.help =
        "nothing was changed; export the flags again and change that, or set these fields \
                  back with `--force`"
            .to_owned();
    Err(error)
}

/// Why a revision cannot be taken back.
pub(super) fn not_taken_back(
    revision: u64,
    patch: &Patch,
    now: &FlagSet,
    problems: &[Problem],
) -> ApiError {
    let conflict = |problem: &Problem| problem.code == ProblemCode::Conflict;
    if !problems.iter().any(conflict) {
        return refused(problems);
    }
    let json = now.to_json();
    let in_own_words = |problem: &Problem| {
        let change = patch.changes.iter().find(|c| c.path == problem.path);
        let words = |value: Option<&serde_json::Value>| {
            value.map_or("nothing".to_owned(), ToString::to_string)
        };
        let made = words(change.and_then(|change| change.before.as_ref()));
        let is = words(json.pointer(&problem.path));
        Problem {
            message: format!("revision {revision} made this {made}, and it is {is} now"),
            ..problem.clone()
        }
    };
    let problems: Vec<Problem> = problems.iter().map(in_own_words).collect();
    let message = format!(
        "revision {revision} cannot be taken back by itself, its fields were changed since: {}",
        told(&problems)
    );
    let mut error = ApiError::new(
        ErrorKind::Conflict,
        "ESC-0741",
        message,
        "nothing was changed; take back what came later first, or go back to how all was with \
         `--everything`",
    );
    error.details = refused(&problems).details;
    error
}

/// The first problem, and how many more there are.
fn told(problems: &[Problem]) -> String {
    let first = problems.first().map(ToString::to_string);
    let first = first.unwrap_or_default();
    match problems.len() {
        0 | 1 => first,
        n => format!("{first}, and {} more", n - 1),
    }
}
