//! What people may ask of a release, and when.

use esclusa_model::Outcome;
use esclusa_release::{Event, ItemDone, Phase, Release, ReturnCause, Returned, SignOff};

/// What a person, or a newer release, asks. Words that decide nothing are not part of it:
/// they are added to what is recorded ([`Event::because`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Stop advancing; keep watching.
    Pause,
    /// Advance again.
    Resume,
    /// Pass the gate of the present stage without its evidence.
    Skip,
    /// Go to the last stage now, past those between; there, pass its gate. Ends a pause.
    Promote,
    /// Return everything.
    Abort {
        /// Why, possibly empty.
        reason: String,
    },
    /// Return everything, also after 100 % while the version before is warm.
    Rollback {
        /// Why, possibly empty.
        reason: String,
        /// Whether the version before can take over now, or why not.
        can_return: Result<(), String>,
    },
    /// A newer release takes this one's place.
    Supersede {
        /// The newer version's name.
        by: String,
    },
    /// Agree in a role.
    SignOff {
        /// The role.
        role: String,
        /// Words, possibly empty.
        comment: String,
        /// The items of the plan's checklist that are done.
        items: Vec<ItemDone>,
        /// Everybody who has a hand in it, by name: who agrees, the person behind that
        /// name, and for a link also who gave it.
        hands: Vec<String>,
    },
}

impl Command {
    /// What a kill asks of a release that turns one of the killed flags (`None`: all flags are
    /// killed): it ends, or it would begin to expose people by itself at the moment when the kill
    /// is lifted. Nothing of one that goes back already, or whose flags are not its own any more.
    #[must_use]
    pub fn for_kill(release: &Release, killed: Option<&[String]>, reason: &str) -> Option<Self> {
        let phase = release.phase;
        if phase.is_returning() || phase.is_final() {
            return None;
        }
        let what = match killed {
            None => "all flags were killed".to_owned(),
            Some(flags) => format!("{} was killed", flags.join(", ")),
        };
        let reason = match reason.trim() {
            "" => what,
            why => format!("{what}: {why}"),
        };
        Some(Self::Abort { reason })
    }
}

/// What kind of reason stands against a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense where the release stands.
    State,
    /// Whoever asked for the release may not agree to it.
    Author,
    /// The checklist is not confirmed as the plan has it.
    Items,
}

/// Why a command cannot be carried out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// Its kind.
    pub kind: Refusal,
    /// What stands against it.
    pub message: String,
    /// What to do instead.
    pub help: String,
}

fn refuse<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, CommandError> {
    refuse_as(Refusal::State, message, help)
}

fn refuse_as<T>(
    kind: Refusal,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Result<T, CommandError> {
    Err(CommandError {
        kind,
        message: message.into(),
        help: help.into(),
    })
}

/// The events of a command; none when what it asks is already so.
///
/// # Errors
/// [`CommandError`] when the release is past the point where it makes sense.
pub fn command(release: &Release, command: &Command) -> Result<Vec<Event>, CommandError> {
    let phase = release.phase;
    if let Command::Supersede { by } = command {
        return Ok(supersede(release, by));
    }
    if let (Phase::Ended, Some(ended)) = (phase, &release.ended) {
        return refuse(
            format!("the release is over: {}", ended.outcome),
            "there is nothing of it left to take back; start a new release",
        );
    }
    if let Command::Abort { reason } = command {
        return abort(release, reason);
    }
    if let Command::Rollback { reason, can_return } = command {
        return rollback(release, reason, can_return);
    }
    if phase.is_returning() || phase.is_final() {
        return refuse(
            format!("the release is not under way any more ({phase})"),
            "start a new release, or use `release rollback` within keep-warm",
        );
    }
    match command {
        Command::Pause if release.paused.is_some() => Ok(Vec::new()),
        Command::Pause => Ok(vec![Event::Paused(None)]),
        Command::Resume if release.paused.is_none() && release.returned_by_proxy.is_none() => {
            Ok(Vec::new())
        }
        Command::Resume => Ok(vec![Event::Resumed(None)]),
        Command::Skip | Command::Promote if !matches!(phase, Phase::Stage(_)) => refuse(
            format!("there is no stage to pass in phase {phase}"),
            "wait for the first stage; checks and steps cannot be skipped",
        ),
        Command::Skip | Command::Promote if release.returned_by_proxy.is_some() => refuse(
            "a proxy returned the share by itself, so nobody is exposed",
            "resume the release to expose users again, or abort it",
        ),
        Command::Skip if release.skip_asked => Ok(Vec::new()),
        Command::Skip => Ok(vec![Event::Skipped(None)]),
        Command::Promote if release.promote_asked => Ok(Vec::new()),
        Command::Promote => Ok(vec![Event::PromoteAsked(None)]),
        Command::SignOff {
            role,
            comment,
            items,
            hands,
        } => {
            let agreed = SignOff {
                role: role.clone(),
                comment: comment.clone(),
                items: items.clone(),
            };
            sign_off(release, agreed, hands)
        }
        Command::Abort { .. } | Command::Rollback { .. } | Command::Supersede { .. } => {
            Ok(Vec::new())
        }
    }
}

fn abort(release: &Release, reason: &str) -> Result<Vec<Event>, CommandError> {
    if release.phase == Phase::Promoted {
        return refuse(
            "the release has reached 100 % and is over",
            "use `release rollback` to return to the version before",
        );
    }
    let reason = with_reason("aborted by a person", reason);
    Ok(turn_back(
        release,
        ReturnCause::Person,
        reason,
        Outcome::Aborted,
    ))
}

/// A promoted release is over: the next one compares itself with it.
fn supersede(release: &Release, by: &str) -> Vec<Event> {
    if release.phase == Phase::Promoted {
        return Vec::new();
    }
    let outcome = if release.was_exposed {
        Outcome::Aborted
    } else {
        Outcome::Refused
    };
    let reason = format!("superseded by version {by}");
    turn_back(release, ReturnCause::Superseded, reason, outcome)
}

fn rollback(
    release: &Release,
    reason: &str,
    can_return: &Result<(), String>,
) -> Result<Vec<Event>, CommandError> {
    let reason = with_reason("rolled back by a person", reason);
    if release.phase != Phase::Promoted {
        return Ok(turn_back(
            release,
            ReturnCause::Person,
            reason,
            Outcome::Aborted,
        ));
    }
    if release.requested.stable.is_none() && release.flags_alone().is_none() {
        return refuse(
            "there is nothing to return to: this was the first deployment",
            "release another version",
        );
    }
    match can_return {
        Ok(()) => Ok(turn_back(
            release,
            ReturnCause::Person,
            reason,
            Outcome::RolledBack,
        )),
        Err(why) => refuse(
            format!("there is nothing to return to: {why}"),
            "release the older version as a new release",
        ),
    }
}

/// Nothing happens when it is going back already: the first reason stands.
fn turn_back(
    release: &Release,
    cause: ReturnCause,
    reason: String,
    outcome: Outcome,
) -> Vec<Event> {
    if release.phase.is_returning() {
        return Vec::new();
    }
    vec![Event::ReturnDecided(Returned {
        cause,
        reason,
        outcome,
        evidence: release.judged.clone(),
    })]
}

fn with_reason(what: &str, reason: &str) -> String {
    if reason.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {reason}")
    }
}

fn sign_off(
    release: &Release,
    agreed: SignOff,
    hands: &[String],
) -> Result<Vec<Event>, CommandError> {
    let (role, plan) = (agreed.role.as_str(), &release.requested.plan);
    if !plan.sign_off_roles().contains(&role) {
        return refuse(
            format!("the plan asks for no sign-off by {role:?}"),
            "see `release status` for the roles that are missing",
        );
    }
    if release.sign_offs.contains_key(role) {
        return Ok(Vec::new());
    }
    if plan.not_by_author(role)
        && let Some(author) = authors(release).find(|author| hands.iter().any(|h| h == author))
    {
        return refuse_as(
            Refusal::Author,
            format!("{author} asked for this release, and the plan wants somebody else as {role}"),
            "ask somebody else who has the role to sign off",
        );
    }
    confirmed(&plan.items_of(role), &agreed.items)?;
    Ok(vec![Event::SignedOff(agreed)])
}

/// Who asked for the release, by name and as a person.
fn authors(release: &Release) -> impl Iterator<Item = &str> {
    let person = release.requested.person.as_deref();
    std::iter::once(release.requested_by.as_str()).chain(person)
}

/// Whether exactly the items that the plan asks for are confirmed.
fn confirmed(asked: &[&str], done: &[ItemDone]) -> Result<(), CommandError> {
    let missing: Vec<String> = asked
        .iter()
        .filter(|item| !done.iter().any(|done| done.item == **item))
        .map(|item| format!("{item:?}"))
        .collect();
    if !missing.is_empty() {
        return refuse_as(
            Refusal::Items,
            format!(
                "the checklist is not done: {} is missing",
                missing.join(", ")
            ),
            "do what is missing, then name every item as done: `release sign-off --all-items`",
        );
    }
    for (index, one) in done.iter().enumerate() {
        let twice = done[..index].iter().any(|other| other.item == one.item);
        if twice || !asked.contains(&one.item.as_str()) {
            let why = if twice {
                "is named twice"
            } else {
                "is no item of this checklist"
            };
            return refuse_as(
                Refusal::Items,
                format!("{:?} {why}", one.item),
                "name the items as the plan has them; see `release status`",
            );
        }
    }
    Ok(())
}
