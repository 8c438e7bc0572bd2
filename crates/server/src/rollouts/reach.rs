//! Whether what a plan turns reaches anybody: asked before it begins, and said while it runs.

use super::FlagPlane;
use crate::error::{ApiError, ErrorKind};
use esclusa_flags::{FlagSet, Obstacle, ReachesNobody};
use esclusa_plan::Plan;
use std::collections::BTreeMap;

/// Refuses a plan of which a flag would reach nobody at all, when it begins and when a person
/// passes one of its gates: there is nothing to watch, and its end would claim what is not so.
///
/// # Errors
/// The first flag that stands so, what is in its way, and how that is moved.
pub(crate) fn admit_reach(
    plan: &Plan,
    set: &FlagSet,
    plane: &dyn FlagPlane,
) -> Result<(), ApiError> {
    let Some(why) = reaches_nobody(plan, set, plane) else {
        return Ok(());
    };
    let (at, environment) = (why.at(), &why.environment);
    let help = match (why.obstacle, why.needs.last()) {
        (Obstacle::Killed, _) => format!("open it again first: `esclusa flag lift {at}`"),
        (Obstacle::Unserved, Some(needed)) => format!(
            "turn that first: `esclusa rollout {at}={} --environment {environment}`, or turn both \
             in one plan under `flags: {{ set: ... }}`",
            needed.variant
        ),
        (Obstacle::Disabled | Obstacle::Unserved, _) => {
            format!(
                "enable {at} in {environment} first: `esclusa flag get {at}` shows its settings"
            )
        }
    };
    Err(ApiError::new(
        ErrorKind::Conflict,
        "ESC-0790",
        format!("this would reach nobody: {why}"),
        format!("nothing was turned; {help}"),
    ))
}

/// Why a flag of a plan reaches nobody as things stand, if one does. What kills of its own
/// flags do is told where they are read.
pub(crate) fn reaches_nobody(
    plan: &Plan,
    set: &FlagSet,
    plane: &dyn FlagPlane,
) -> Option<ReachesNobody> {
    let flags = plan.flags.as_ref()?;
    let mut turned: BTreeMap<String, String> = BTreeMap::new();
    for other in plane.running() {
        if other.environment == flags.environment {
            turned.extend(other.flags);
        }
    }
    let own = flags.set.iter();
    turned.extend(own.map(|turn| (turn.flag.clone(), turn.variant.clone())));
    let killed = |flag: &str| {
        let is_own = flags.set.iter().any(|turn| turn.flag == flag);
        !is_own && plane.killed(flag).is_some()
    };
    let mut turns = flags.set.iter();
    turns.find_map(|turn| {
        let whom = (turn.flag.as_str(), turn.variant.as_str());
        set.reaches_nobody(whom, &flags.environment, &turned, &killed)
    })
}
