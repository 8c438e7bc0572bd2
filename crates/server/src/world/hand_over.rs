//! Moves workers and singletons from one version to another, and back.
//!
//! A singleton is quiet or gone on one side before it acts on the other: of two copies
//! for a moment and none for a moment, none is the lesser evil.

use super::instances::{Version, driver, placeholders, stop_all};
use super::{TaskContext, done, driver_reason, failed};
use esclusa_drivers::Placeholders;
use esclusa_engine::Completion;
use esclusa_model::{ComponentKind, Track};

/// The canary takes over.
pub(super) async fn hand_over(context: &TaskContext) -> Completion {
    let Some(canary) = Version::of_release(&context.release) else {
        return failed("the version is not stored");
    };
    let old = context
        .service
        .stable
        .as_ref()
        .filter(|stable| stable.version.digest != canary.version.digest)
        .and_then(|stable| Version::of_deployed(&context.service.name, stable));
    exchange(context, old.as_ref(), &canary).await
}

/// The version before takes over again.
pub(super) async fn hand_back(context: &TaskContext) -> Completion {
    let Some(canary) = Version::of_release(&context.release) else {
        return done("nothing was handed over");
    };
    let before = match &context.service.warm {
        Some(warm) if warm.release == context.release.requested.release => Some(&warm.deployed),
        _ => context.service.stable.as_ref(),
    };
    let before = before
        .filter(|deployed| deployed.version.digest != canary.version.digest)
        .and_then(|deployed| Version::of_deployed(&context.service.name, deployed));
    match before {
        Some(before) => exchange(context, Some(&canary), &before).await,
        None => done("no version before to hand back to"),
    }
}

async fn exchange(
    context: &TaskContext,
    from: Option<&Version<'_>>,
    to: &Version<'_>,
) -> Completion {
    if let Some(from) = from
        && let Err(reason) = quiet(context, from).await
    {
        return failed(format!("the old side could not be made quiet: {reason}"));
    }
    match activate(context, to).await {
        Ok(n) => done(format!("{n} told that they are stable")),
        Err(reason) => failed(reason),
    }
}

/// No worker or singleton of this version acts any more when this returns.
async fn quiet(context: &TaskContext, version: &Version<'_>) -> Result<(), String> {
    for (name, component, id) in version.all() {
        if component.kind == ComponentKind::Web || !component.is_told_its_track() {
            continue;
        }
        let spec = version.spec(
            &context.shared,
            name,
            component,
            id,
            Track::Stable,
            Placeholders::default(),
        );
        // One that cannot be told is stopped below with the rest.
        let told = driver(&context.shared, component)?
            .set_track(&spec, Track::Standby)
            .await;
        if let Err(error) = told {
            tracing::warn!(
                reason = driver_reason(&error),
                "Could not be told to stand by"
            );
        }
    }
    stop_all(&context.shared, version, |kind| kind != ComponentKind::Web)
        .await
        .map(|_| ())
}

/// Every instance of this version runs and knows that it is stable.
async fn activate(context: &TaskContext, version: &Version<'_>) -> Result<usize, String> {
    let mut count = 0;
    for (name, component, id) in version.all() {
        let driver = driver(&context.shared, component)?;
        let values = placeholders(context);
        let spec = version.spec(&context.shared, name, component, id, Track::Stable, values);
        if component.kind != ComponentKind::Web {
            driver
                .start(&spec)
                .await
                .map_err(|error| driver_reason(&error))?;
        }
        driver
            .set_track(&spec, Track::Stable)
            .await
            .map_err(|error| driver_reason(&error))?;
        count += 1;
    }
    Ok(count)
}
