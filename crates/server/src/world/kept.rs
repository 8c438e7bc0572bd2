//! Which instances have to run, given a service's state alone.
//!
//! Deliberately left out: instances that are just changing hands, because a task is
//! starting or stopping them, and everything that somebody else started.

use super::deploy::{canary_track, runs_as_canary};
use super::instances::{Version, driver, placeholders_of};
use crate::app::Shared;
use esclusa_drivers::Placeholders;
use esclusa_drivers::run::{InstanceSpec, RunDriver};
use esclusa_model::{ComponentKind, InstanceId, Track, VersionName};
use esclusa_release::{Phase, Release, Service};
use std::sync::Arc;

/// What an instance runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Serves everybody whom no release exposes to something else.
    Stable,
    /// Is being tried.
    Canary,
    /// Is kept to go back to.
    Warm,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Warm => "warm",
        }
    }
}

/// One instance that has to run.
#[derive(Clone)]
pub(crate) struct Kept {
    pub id: InstanceId,
    pub role: Role,
    pub version: VersionName,
    pub spec: InstanceSpec,
    pub driver: Arc<dyn RunDriver>,
}

/// Everything that has to run now. While `stopping_warm`, the version before does not.
pub(crate) fn kept(
    shared: &Shared,
    service: &Service,
    release: Option<&Release>,
    stopping_warm: bool,
) -> Vec<Kept> {
    let mut all = Vec::new();
    let stable = service
        .stable
        .as_ref()
        .and_then(|stable| Version::of_deployed(&service.name, stable));
    if let Some(version) = stable {
        // Flags alone change no hands.
        let only_web = release
            .is_some_and(|release| release.flags_alone().is_none() && changes_hands(release.phase));
        let wanted = |kind| kind == ComponentKind::Web || !only_web;
        add(&mut all, shared, &version, Role::Stable, wanted, |_| {
            (Track::Stable, Placeholders::default())
        });
    }
    if let Some(release) = release.filter(|release| is_tried(release.phase))
        && let Some(version) = Version::of_release(release)
    {
        let mut canary = Vec::new();
        let only_web = changes_hands(release.phase);
        let wanted = |kind| kind == ComponentKind::Web || !only_web;
        add(
            &mut canary,
            shared,
            &version,
            Role::Canary,
            wanted,
            |kind| (canary_track(kind), placeholders_of(release, service)),
        );
        canary.retain(|one| {
            release.instances.iter().any(|record| record.id == one.id)
                && runs_as_canary_by_id(&version, &one.id)
        });
        all.extend(canary);
    }
    let warm = service
        .warm
        .as_ref()
        .filter(|_| !stopping_warm)
        .and_then(|warm| Version::of_deployed(&service.name, &warm.deployed));
    if let Some(version) = warm {
        let wanted = |kind| kind == ComponentKind::Web;
        add(&mut all, shared, &version, Role::Warm, wanted, |_| {
            (Track::Standby, Placeholders::default())
        });
    }
    // Recorded as stable already, it is the stable one.
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|one: &Kept| seen.insert(one.id.clone()));
    all
}

/// Workers and singletons are being moved from one version to the other.
const fn changes_hands(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::HandOver | Phase::Lowering | Phase::HandingBack
    )
}

/// The canary's instances are all started, and nobody has begun to stop them.
const fn is_tried(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::CanaryChecks | Phase::Stage(_) | Phase::After | Phase::HandOver
    )
}

fn runs_as_canary_by_id(version: &Version<'_>, id: &InstanceId) -> bool {
    version
        .all()
        .into_iter()
        .any(|(name, component, one)| one == *id && runs_as_canary(version, name, component, id))
}

fn add(
    all: &mut Vec<Kept>,
    shared: &Shared,
    version: &Version<'_>,
    role: Role,
    wanted: impl Fn(ComponentKind) -> bool,
    told: impl Fn(ComponentKind) -> (Track, Placeholders),
) {
    for (name, component, id) in version.all() {
        if !wanted(component.kind) {
            continue;
        }
        // A plan whose driver this program lacks was accepted by another program.
        let Ok(driver) = driver(shared, component) else {
            tracing::error!(instance = %id, "This program has no driver for an instance");
            continue;
        };
        let (track, placeholders) = told(component.kind);
        all.push(Kept {
            id: id.clone(),
            role,
            version: version.version.name.clone(),
            spec: version.spec(shared, name, component, id, track, placeholders),
            driver,
        });
    }
}
