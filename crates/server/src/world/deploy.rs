//! Stores a version, starts its instances, stops them.

use super::instances::{Version, driver, placeholders, record, stop_all};
use super::quiet::until_quiet;
use super::{TaskContext, done, driver_reason, failed};
use crate::rollouts::{admit, admit_reach, version_of};
use esclusa_drivers::run::PrepareSpec;
use esclusa_engine::Completion;
use esclusa_model::{ComponentKind, ComponentName, Digest, Track, VersionRef};
use esclusa_plan::Component;
use esclusa_release::InstanceRecord;
use std::collections::BTreeMap;

/// Fixes what each component is, and with it what the version is.
pub(super) async fn prepare(context: &TaskContext) -> Completion {
    let requested = &context.release.requested;
    if let Some(flags) = &requested.plan.flags {
        if let Err(reason) = may_turn(context) {
            return failed(reason);
        }
        if requested.plan.flags_alone().is_some() {
            return Completion::Prepared {
                version: version_of(requested, flags),
                components: BTreeMap::new(),
            };
        }
    }
    let mut components = BTreeMap::new();
    let mut verified = true;
    let mut identity = String::from("esclusa-version-v1\n");
    for (name, component) in &requested.plan.components {
        let driver = match driver(&context.shared, component) {
            Ok(driver) => driver,
            Err(reason) => return failed(reason),
        };
        let spec = PrepareSpec {
            service: requested.service.clone(),
            component: name.clone(),
            version: requested.version.clone(),
            release: requested.release.clone(),
            artifact: component.artifact.clone(),
            config: component.run.config.clone(),
            base_dir: context.base_dir(),
            data_dir: context.shared.data_dir.clone(),
        };
        let prepared = match driver.prepare(&spec).await {
            Ok(prepared) => prepared,
            Err(error) => return failed(format!("{name}: {}", driver_reason(&error))),
        };
        verified &= prepared.verified;
        identity.push_str(&format!(
            "{name} {} {}\n",
            prepared.digest, component.run.config
        ));
        components.insert(name.clone(), prepared.digest);
    }
    // The same content started in another way is another version.
    let digest = Digest::of(identity.as_bytes());
    if requested
        .stable
        .as_ref()
        .is_some_and(|stable| stable.digest == digest)
    {
        return failed(format!(
            "version {} is what is stable already, byte for byte and setting for setting",
            requested.version
        ));
    }
    let version = VersionRef {
        name: requested.version.clone(),
        digest,
        verified,
    };
    Completion::Prepared {
        version,
        components,
    }
}

/// Asked once more: a release that waited in line may find other flags.
fn may_turn(context: &TaskContext) -> Result<(), String> {
    let plane = &context.shared.flag_plane;
    let (requested, set) = (&context.release.requested, plane.set()?);
    let own = Some(&requested.release);
    admit(&requested.plan, own, &set, &plane.running())
        .and_then(|()| admit_reach(&requested.plan, &set, plane.as_ref()))
        .map_err(|refused| refused.to_string())
}

/// Starts all instances that a canary has, side by side, and waits for all.
pub(super) async fn deploy(context: &TaskContext) -> Completion {
    let Some(version) = Version::of_release(&context.release) else {
        return failed("the version is not stored");
    };
    let starts = version
        .all()
        .into_iter()
        .filter(|(name, component, id)| runs_as_canary(&version, name, component, id))
        .map(|(name, component, id)| {
            let track = canary_track(component.kind);
            let values = placeholders(context);
            let spec = version.spec(&context.shared, name, component, id, track, values);
            async move {
                let driver = driver(&context.shared, component)?;
                let running = driver
                    .start(&spec)
                    .await
                    .map_err(|error| driver_reason(&error))?;
                Ok(record(
                    name,
                    component,
                    spec.identity.instance.clone(),
                    &running,
                ))
            }
        });
    let outcomes: Vec<Result<InstanceRecord, String>> = join_all(starts).await;
    let mut instances = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(record) => instances.push(record),
            Err(reason) => return failed(reason),
        }
    }
    // A singleton that cannot stand by starts at the hand-over; it is planned already.
    for (name, component, id) in version.all() {
        if component.kind == ComponentKind::Singleton && !component.is_told_its_track() {
            let component_name = name.clone();
            let kind = component.kind;
            instances.push(InstanceRecord {
                id,
                component: component_name,
                kind,
                url: None,
                host_header: None,
                ca_file: None,
            });
        }
    }
    if let Some(record) = instances
        .iter()
        .find(|record| record.kind == ComponentKind::Web && record.url.is_none())
    {
        return failed(format!("{} does not say where it answers", record.id));
    }
    Completion::Deployed { instances }
}

/// Of workers a canary has one; singletons only where they can stand by.
pub(super) fn runs_as_canary(
    version: &Version<'_>,
    name: &ComponentName,
    component: &Component,
    id: &esclusa_model::InstanceId,
) -> bool {
    match component.kind {
        ComponentKind::Web => true,
        ComponentKind::Worker => version
            .all()
            .iter()
            .find(|(other, _, _)| *other == name)
            .is_some_and(|(_, _, first)| first == id),
        ComponentKind::Singleton => component.is_told_its_track(),
    }
}

pub(super) const fn canary_track(kind: ComponentKind) -> Track {
    match kind {
        ComponentKind::Web | ComponentKind::Worker => Track::Canary,
        ComponentKind::Singleton => Track::Standby,
    }
}

/// Drains and stops whatever the canary has running, however far its start came. Nobody
/// is sent to it any more; who was sent there before is waited for.
pub(super) async fn stop_canary(context: &TaskContext) -> Completion {
    let Some(version) = Version::of_release(&context.release) else {
        return done("nothing was started");
    };
    if context.release.was_exposed {
        let digest = &version.version.digest;
        until_quiet(&context.shared, version.service, version.plan, digest).await;
    }
    match stop_all(&context.shared, &version, |_| true).await {
        Ok(n) => done(format!("{n} stopped")),
        Err(reason) => failed(reason),
    }
}

/// Runs futures side by side within this task, so that dropping it cancels all.
pub(crate) async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    use std::task::Poll;
    let mut slots: Vec<_> = futures
        .map(|future| (Some(Box::pin(future)), None))
        .collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut slots {
            if let Some(running) = future {
                match running.as_mut().poll(context) {
                    Poll::Ready(value) => (*output, *future) = (Some(value), None),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    slots.into_iter().filter_map(|(_, output)| output).collect()
}
