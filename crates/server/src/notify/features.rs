//! From a recorded decision about flags to what there is to tell. Pure.

use super::notice::{Kind, Notice};
use crate::flags::FlagEvent;
use esclusa_model::Envelope;

/// What there is to tell: kills and their lifting. Changes of the set are in its history.
pub(super) fn of_flags(envelope: &Envelope) -> Result<Option<Notice>, String> {
    let FlagEvent::Killed(kill) = FlagEvent::read(envelope)? else {
        return Ok(None);
    };
    let kind = match kill.killed {
        true => Kind::FlagsKilled,
        false => Kind::FlagsLifted,
    };
    let features = kill
        .flags
        .map_or_else(|| "*".to_owned(), |flags| flags.join(", "));
    let reason = match kill.reason.trim() {
        "" => "-",
        said => said,
    };
    let notice = Notice::new(kind, "", envelope.at)
        .with("actor", kill.by.as_str())
        .with("features", features)
        .with("reason", reason);
    Ok(Some(notice))
}
