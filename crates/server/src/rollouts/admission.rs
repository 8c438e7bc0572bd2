//! Whether flags can be turned as a plan asks: found out before anything begins.

use super::FlagPlane;
use crate::error::{ApiError, ErrorKind};
use crate::flags::flag_hint;
use esclusa_flags::{FlagSet, Rollout, ShareOrder};
use esclusa_model::{BasisPoints, ReleaseId};
use esclusa_plan::{Audience, FlagTurns, Plan, Stage};

/// Values that every context may name without their being declared.
const UNITS: [&str; 3] = ["targetingKey", "tenant", "user"];

/// Refuses a plan whose flags, variants, segments, environment or unit are unknown, whose
/// flags another release turns, and whose flags are on for somebody already.
///
/// # Errors
/// Everything that stands against it at once, as details.
pub(crate) fn admit(
    plan: &Plan,
    own: Option<&ReleaseId>,
    set: &FlagSet,
    running: &[Rollout],
) -> Result<(), ApiError> {
    let Some(flags) = &plan.flags else {
        return Ok(());
    };
    refuse(unknown(plan, flags, set), |all| {
        ApiError::new(
            ErrorKind::BadInput,
            "ESC-0782",
            format!("the flag set does not have what the plan turns: {all}"),
            "nothing was begun; `esclusa flag list` shows what there is",
        )
    })?;
    refuse(turned_by_another(flags, own, running), |all| {
        ApiError::new(
            ErrorKind::Conflict,
            "ESC-0783",
            format!("another release turns the same: {all}"),
            "wait for its end, or take it back; two dials of one flag would hide each other",
        )
    })?;
    if flags.allow_on {
        return refuse(in_another_order(plan, flags, set), |all| {
            ApiError::new(
                ErrorKind::Conflict,
                "ESC-0791",
                format!("who has it already would not be among those who get it: {all}"),
                "go on in the same order and with the same unit, or turn it off first",
            )
        });
    }
    refuse(on_already(flags, set), |all| {
        ApiError::new(
            ErrorKind::Conflict,
            "ESC-0784",
            format!("a flag of the release is on already: {all}"),
            "turn it off for them first, or accept it with `flags: { allow-on: true }`",
        )
    })
}

/// Refuses flags of which one is killed, or one that they need.
///
/// # Errors
/// The kill, with who decided it and why.
pub(crate) fn admit_kills(flags: &FlagTurns, plane: &dyn FlagPlane) -> Result<(), ApiError> {
    let Some(kill) = plane.kill_of(&flags.set, None) else {
        return Ok(());
    };
    let which = kill.flags.map_or("every flag".to_owned(), |f| f.join(", "));
    Err(ApiError::new(
        ErrorKind::Conflict,
        "ESC-0789",
        format!("{which} is killed, by {}: {}", kill.by, kill.reason),
        "nothing was begun; `esclusa flag lift` opens it again",
    ))
}

fn refuse(found: Vec<String>, error: impl FnOnce(String) -> ApiError) -> Result<(), ApiError> {
    if found.is_empty() {
        return Ok(());
    }
    let mut refused = error(found.join("; "));
    refused.details = found.into_iter().map(Into::into).collect();
    Err(refused)
}

fn unknown(plan: &Plan, flags: &FlagTurns, set: &FlagSet) -> Vec<String> {
    let mut found: Vec<String> = unknown_environment(set, &flags.environment)
        .into_iter()
        .collect();
    let turns = flags.set.iter();
    found.extend(turns.filter_map(|turn| unknown_turn(set, &turn.flag, &turn.variant)));
    if let Some(of) = &flags.of
        && !UNITS.contains(&of.as_str())
        && !set.attributes.contains_key(of)
    {
        let names = set.attributes.keys().map(String::as_str);
        found.push(format!(
            "attribute {of} ({})",
            listed(UNITS.into_iter().chain(names))
        ));
    }
    for stage in &plan.stages {
        if let Stage::Expose(expose) = stage
            && let Audience::Segment(name) = &expose.to
            && !set.segments.contains_key(name)
            && !plan.segments.contains_key(name)
        {
            let names = set.segments.keys().map(String::as_str);
            found.push(format!("segment {name} ({})", listed(names)));
        }
    }
    found
}

/// An environment that the set does not have, with those it has.
pub(super) fn unknown_environment(set: &FlagSet, environment: &str) -> Option<String> {
    let names = || listed(set.environments.iter().map(String::as_str));
    let known = set.environments.contains(environment);
    (!known).then(|| format!("environment {environment} ({})", names()))
}

/// A flag that the set does not have, or a variant that the flag does not, with what was
/// probably meant.
pub(super) fn unknown_turn(set: &FlagSet, key: &str, variant: &str) -> Option<String> {
    let Some(flag) = set.flags.get(key) else {
        let hint = flag_hint(set, key).map(|hint| format!(" ({hint})"));
        return Some(format!("flag {key}{}", hint.unwrap_or_default()));
    };
    let variants = flag.effective_variants();
    if variants.contains_key(variant) {
        return None;
    }
    let names = listed(variants.keys().map(String::as_str));
    Some(format!("variant {variant} of {key} ({names})"))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.take(20).collect();
    match names.is_empty() {
        true => "there are none".to_owned(),
        false => format!("there are {}", names.join(", ")),
    }
}

fn turned_by_another(
    flags: &FlagTurns,
    own: Option<&ReleaseId>,
    running: &[Rollout],
) -> Vec<String> {
    let others = running
        .iter()
        .filter(|other| Some(&other.release) != own && other.environment == flags.environment);
    let mut found = Vec::new();
    for other in others {
        let same = flags
            .set
            .iter()
            .filter(|t| other.flags.contains_key(&t.flag));
        found.extend(same.map(|turn| format!("{} by release {}", turn.flag, other.release)));
    }
    found
}

/// Shares that flags keep and that a share of this release would not hold: other units
/// would be exposed than the percentage says.
fn in_another_order(plan: &Plan, flags: &FlagTurns, set: &FlagSet) -> Vec<String> {
    let shares = plan.stages.iter().any(|stage| match stage {
        Stage::Expose(expose) => matches!(&expose.to, Audience::Share(share)
            if *share > BasisPoints::ZERO && *share < BasisPoints::FULL),
        _ => false,
    });
    if !shares || plan.flags_alone().is_none() {
        return Vec::new();
    }
    let named = plan.salt.as_ref().map(ToString::to_string);
    let salt = named.or_else(|| set.salt_for(flags.turned(), &flags.environment));
    let ours = ShareOrder::new(salt.unwrap_or_default(), flags.of.as_deref());
    let kept = flags.turned().filter_map(|(key, variant)| {
        let order = set.kept_order(key, variant, &flags.environment)?;
        let share = set.kept_share(key, variant, &flags.environment);
        (order != ours).then(|| {
            format!(
                "{key} keeps {share} of {} in the order of salt `{}`, this release has {} and `{}`",
                order.unit(),
                order.salt,
                ours.unit(),
                ours.salt
            )
        })
    });
    kept.collect()
}

fn on_already(flags: &FlagTurns, set: &FlagSet) -> Vec<String> {
    let mut found = Vec::new();
    for turn in &flags.set {
        let whom = set.on_for(&turn.flag, &turn.variant, &flags.environment);
        if !whom.is_empty() {
            let whom: Vec<String> = whom.iter().map(ToString::to_string).collect();
            let (flag, variant) = (&turn.flag, &turn.variant);
            found.push(format!("{flag} {variant} for {}", whom.join(", ")));
        }
    }
    found
}
