//! What a kill that is asked of a proxy adds to those that it knows.

use super::state::now;
use esclusa_flags::{KillMark, Kills};
use esclusa_model::Timestamp;
use esclusa_wire::{FlagKill, FlagsFile};

/// Longest reason that is kept, in characters; the rest is cut off.
const MAX_REASON: usize = 2_000;

/// Merges what was asked; gives what of it is new, with its epoch.
pub(super) fn apply(file: &mut FlagsFile, mut asked: FlagKill) -> Option<FlagKill> {
    let before = file.kills.clone();
    asked.reason = asked.reason.chars().take(MAX_REASON).collect();
    if asked.epoch == 0 {
        asked.epoch = before.epoch() + 1;
        if asked.at == Timestamp::default() {
            asked.at = now();
        }
        let known = &file.killed_here;
        match asked.flags.take() {
            Some(mut flags) => {
                flags.retain(|flag| !is_so(known, before.flags.get(flag), Some(flag), &asked));
                asked.flags = Some(flags);
            }
            None if is_so(known, Some(&before.all), None, &asked) => return None,
            None => {}
        }
    }
    let mark = KillMark {
        epoch: asked.epoch,
        killed: asked.killed,
    };
    let mut new = Kills::default();
    match &asked.flags {
        Some(flags) => new.flags = flags.iter().map(|flag| (flag.clone(), mark)).collect(),
        None => new.all = mark,
    }
    file.kills.merge(&new);
    (file.kills != before).then_some(asked)
}

/// Whether what is asked changes nothing: it is lifted where nothing is killed, or it is the
/// same kill once more, as a client asks that lost the answer. Any other kill is a decision
/// of its own, also of what is killed: what a rule killed, that rule may lift.
fn is_so(
    known: &[FlagKill],
    mark: Option<&KillMark>,
    flag: Option<&String>,
    asked: &FlagKill,
) -> bool {
    let Some(mark) = mark.filter(|mark| mark.killed) else {
        return !asked.killed;
    };
    let of = |kill: &FlagKill| match (&kill.flags, flag) {
        (Some(flags), Some(flag)) => flags.contains(flag),
        (flags, flag) => flags.is_none() && flag.is_none(),
    };
    let same = |kill: &&FlagKill| {
        (kill.epoch, kill.killed) == (mark.epoch, true)
            && (&kill.by, &kill.reason) == (&asked.by, &asked.reason)
    };
    asked.killed && known.iter().filter(same).any(of)
}

/// Whether a document's kills know of this one.
pub(super) fn covers(kills: &Kills, kill: &FlagKill) -> bool {
    let knows = |mark: Option<&KillMark>| mark.is_some_and(|mark| mark.epoch >= kill.epoch);
    match &kill.flags {
        Some(flags) => flags.iter().all(|flag| knows(kills.flags.get(flag))),
        None => knows(Some(&kills.all)),
    }
}
