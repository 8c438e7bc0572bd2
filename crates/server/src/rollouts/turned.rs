//! From a release's state to what flags serve. Pure.

use esclusa_flags::{
    FlagSet, FlagSide, Patch, Rollout, Snapshot, named_people_with, tenants_by_variant,
};
use esclusa_model::{Digest, VersionRef};
use esclusa_plan::FlagTurns;
use esclusa_release::{Exposure, Reached, Release, Requested};

/// What a service's release turns right now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Turned {
    /// Rules that stand before those of the set.
    pub rollouts: Vec<Rollout>,
    /// The change of the stored set that is not to be seen any more, and may be stored
    /// still: going back waits for no record.
    pub withdrawn: Option<Patch>,
}

impl Turned {
    /// The set without what was withdrawn. Where somebody changed the same fields since,
    /// theirs stand.
    #[must_use]
    pub(crate) fn without_withdrawn(&self, set: FlagSet) -> FlagSet {
        let Some(patch) = &self.withdrawn else {
            return set;
        };
        match set.patched(&patch.inverse(set.revision)) {
            Ok(mut before) => {
                before.revision = set.revision;
                before
            }
            Err(_) => set,
        }
    }
}

/// What a release turns in this state.
pub(crate) fn turned(release: &Release, exposure: &Exposure, set: &FlagSet) -> Turned {
    let Some(flags) = &release.requested.plan.flags else {
        return Turned::default();
    };
    let rollout = rollout(&release.requested, flags, exposure, set);
    let over = release.flags_are_recorded() || rollout.is_nobody();
    Turned {
        rollouts: if over { Vec::new() } else { vec![rollout] },
        withdrawn: release.withdrawn_flags().cloned(),
    }
}

/// What the set has to keep at the end of a release.
pub(crate) fn end_of(release: &Release, set: &FlagSet) -> Option<FlagSet> {
    let flags = release.requested.plan.flags.as_ref()?;
    let rollout = rollout(&release.requested, flags, &release.exposure(), set);
    Some(set.recording(&rollout))
}

fn rollout(
    requested: &Requested,
    flags: &FlagTurns,
    exposure: &Exposure,
    set: &FlagSet,
) -> Rollout {
    let turns = flags.set.iter();
    let known = |name: &&String| set.segments.contains_key(*name);
    Rollout {
        release: requested.release.clone(),
        environment: flags.environment.clone(),
        flags: turns
            .map(|turn| (turn.flag.clone(), turn.variant.clone()))
            .collect(),
        // Segments of a version's split are told by its own expressions.
        segments: exposure.segments.iter().filter(known).cloned().collect(),
        share: exposure.share,
        of: flags.of.clone(),
        salt: requested.salt.to_string(),
    }
}

/// Segments that a release of flags alone exposes and that the set does not have any more.
pub(crate) fn unknown_segments(
    release: &Release,
    exposure: &Exposure,
    set: &FlagSet,
) -> Vec<String> {
    let names = exposure.segments.iter();
    let gone = names.filter(|name| !set.segments.contains_key(*name));
    match release.flags_alone() {
        Some(_) => gone.cloned().collect(),
        None => Vec::new(),
    }
}

/// The side by which requests are told apart: that of the first flag.
pub(crate) fn side(flags: &FlagTurns) -> Option<FlagSide> {
    let first = flags.set.first()?;
    Some(FlagSide {
        environment: flags.environment.clone(),
        flag: first.flag.clone(),
        variant: first.variant.clone(),
    })
}

/// The version that a service would be with its flags turned: nobody runs it, it is the
/// stable one with other answers.
pub(crate) fn version_of(requested: &Requested, flags: &FlagTurns) -> VersionRef {
    let stable = requested.stable.as_ref();
    let mut identity = String::from("esclusa-flags-v1\n");
    identity.push_str(&stable.map_or("none".to_owned(), |s| s.digest.to_string()));
    identity.push_str(&format!("\n{}\n", flags.environment));
    let mut turns: Vec<String> = flags
        .set
        .iter()
        .map(|turn| format!("{} {}\n", turn.flag, turn.variant))
        .collect();
    turns.sort();
    identity.extend(turns);
    VersionRef {
        name: requested.version.clone(),
        digest: Digest::of(identity.as_bytes()),
        verified: stable.is_some_and(|stable| stable.verified),
    }
}

/// The known tenants and people to whom a release's first flag serves its variant: what is
/// behind a percentage. Nothing where nobody is known.
pub(crate) fn reached(flags: &FlagTurns, set: &FlagSet, turned: &Turned) -> Option<Reached> {
    let side = side(flags)?;
    let served = turned
        .without_withdrawn(set.clone())
        .while_running(&turned.rollouts);
    let snapshot = Snapshot::compile(&served, &side.environment).ok()?;
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let theirs = tenants_by_variant(&snapshot, &side.flag)
        .into_iter()
        .find(|(variant, _)| *variant == side.variant)
        .map(|(_, ids)| ids)
        .unwrap_or_default();
    let people = named_people_with(set, &snapshot, &side.flag, &side.variant);
    if set.tenants.is_empty() && people == 0 {
        return None;
    }
    Some(Reached {
        people: count(people),
        tenants: count(theirs.len()),
        of: count(set.tenants.len()),
        names: theirs.into_iter().take(Reached::NAMED).collect(),
    })
}
