//! Which instances a version has, and how the drivers are told of them.

use super::quiet::until_quiet;
use super::{TaskContext, driver_reason};
use crate::app::Shared;
use esclusa_drivers::run::{Drain, InstanceAddress, InstanceSpec, RunDriver, Running};
use esclusa_drivers::{Identity, Placeholders};
use esclusa_model::{
    ComponentKind, ComponentName, Digest, InstanceId, ReleaseId, ServiceName, Track, VersionRef,
};
use esclusa_plan::{Component, Plan};
use esclusa_release::{Deployed, DeployedComponent, InstanceRecord, Release, Service};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A version with everything that its instances depend on.
pub(crate) struct Version<'a> {
    pub service: &'a ServiceName,
    pub release: &'a ReleaseId,
    pub version: &'a VersionRef,
    pub plan: &'a Plan,
    pub base_dir: &'a str,
    pub components: BTreeMap<ComponentName, Digest>,
}

impl<'a> Version<'a> {
    /// The canary of a release whose version is stored.
    pub(crate) fn of_release(release: &'a Release) -> Option<Self> {
        Some(Self {
            service: &release.requested.service,
            release: &release.requested.release,
            version: release.version.as_ref()?,
            plan: &release.requested.plan,
            base_dir: &release.requested.base_dir,
            components: release.components.clone(),
        })
    }

    /// A version that some release brought; nothing for one that was taken over.
    pub(crate) fn of_deployed(service: &'a ServiceName, deployed: &'a Deployed) -> Option<Self> {
        Some(Self {
            service,
            release: deployed.release.as_ref()?,
            version: &deployed.version,
            plan: &deployed.plan,
            base_dir: &deployed.base_dir,
            components: deployed
                .components
                .iter()
                .map(|(name, component)| (name.clone(), component.digest))
                .collect(),
        })
    }

    /// All instances that this version has when it is stable.
    pub(crate) fn all(&self) -> Vec<(&'a ComponentName, &'a Component, InstanceId)> {
        self.plan
            .components
            .iter()
            .flat_map(|(name, component)| {
                let count = match component.kind {
                    ComponentKind::Singleton => 1,
                    ComponentKind::Web | ComponentKind::Worker => component.instances,
                };
                (0..count)
                    .filter_map(|n| Some((name, component, instance_id(self.release, name, n)?)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// What a driver needs to know of one instance.
    pub(crate) fn spec(
        &self,
        shared: &Shared,
        name: &ComponentName,
        component: &Component,
        id: InstanceId,
        track: Track,
        placeholders: Placeholders,
    ) -> InstanceSpec {
        let dir = component
            .artifact
            .as_ref()
            .and_then(|_| self.components.get(name))
            .map(|digest| version_dir(&shared.data_dir, digest));
        InstanceSpec {
            identity: Identity {
                service: self.service.clone(),
                component: name.clone(),
                kind: component.kind,
                version: self.version.clone(),
                release: self.release.clone(),
                instance: id,
                track,
            },
            dir,
            config: component.run.config.clone(),
            base_dir: PathBuf::from(self.base_dir),
            data_dir: shared.data_dir.clone(),
            placeholders,
        }
    }
}

/// Where the process driver keeps a version's content.
fn version_dir(data_dir: &Path, digest: &Digest) -> PathBuf {
    data_dir.join("versions").join(digest.hex())
}

/// The same id whenever it is computed: what a crash left behind is found again. The
/// last digits of a time-ordered id are the random ones.
fn instance_id(release: &ReleaseId, component: &ComponentName, n: u16) -> Option<InstanceId> {
    let text = release.as_str();
    let tail = text.get(text.len().saturating_sub(12)..).unwrap_or(text);
    InstanceId::new(format!("{component}-{n}-{tail}")).ok()
}

/// The driver of a component.
pub(crate) fn driver(shared: &Shared, component: &Component) -> Result<Arc<dyn RunDriver>, String> {
    let name = &component.run.driver;
    shared
        .drivers
        .run(name)
        .cloned()
        .ok_or_else(|| format!("this program has no run driver named {name}"))
}

/// Whether `${canary}` and `${stable}` mean this instance: of several web components, the
/// one without requests of its own.
fn answers_the_rest(plan: &Plan, record: &InstanceRecord) -> bool {
    record.kind == ComponentKind::Web
        && plan
            .components
            .get(&record.component)
            .is_none_or(|component| component.route.is_none())
}

/// Values that plan templates may use about the two versions.
pub(crate) fn placeholders(context: &TaskContext) -> Placeholders {
    placeholders_of(&context.release, &context.service)
}

/// The same for a release and its service.
pub(super) fn placeholders_of(release: &Release, service: &Service) -> Placeholders {
    let requested = &release.requested;
    let mut values = Placeholders::default()
        .with("version", requested.version.as_str())
        .with("release", requested.release.as_str());
    for record in &release.instances {
        if let Some(url) = &record.url {
            values = values.with(format!("canary.{}", record.component), url);
            if answers_the_rest(&requested.plan, record) {
                values = values.with("canary", url);
            }
        }
    }
    if let Some(stable) = &service.stable {
        for record in &stable.instances {
            if let Some(url) = &record.url
                && answers_the_rest(&stable.plan, record)
            {
                values = values.with("stable", url);
            }
        }
    }
    values
}

pub(crate) fn record(
    name: &ComponentName,
    component: &Component,
    id: InstanceId,
    running: &Running,
) -> InstanceRecord {
    let address = running.address.as_ref();
    InstanceRecord {
        id,
        component: name.clone(),
        kind: component.kind,
        url: address.map(InstanceAddress::url),
        host_header: address.and_then(|address| address.host_header.clone()),
        ca_file: address.and_then(|address| address.ca_file.clone()),
    }
}

/// A release's version as it runs once it is stable.
pub(crate) fn deployed(release: &Release) -> Option<Deployed> {
    let version = Version::of_release(release)?;
    let mut instances = release.instances.clone();
    for (name, component, id) in version.all() {
        if !instances.iter().any(|known| known.id == id) {
            let component_name = name.clone();
            instances.push(InstanceRecord {
                id,
                component: component_name,
                kind: component.kind,
                url: None,
                host_header: None,
                ca_file: None,
            });
        }
    }
    Some(Deployed {
        version: version.version.clone(),
        release: Some(version.release.clone()),
        plan: version.plan.clone(),
        base_dir: version.base_dir.to_owned(),
        components: version
            .components
            .into_iter()
            .map(|(name, digest)| (name, DeployedComponent { digest }))
            .collect(),
        instances,
    })
}

/// Stops every instance of a version that nobody is sent to any more, once nobody waits
/// for it; all are tried before the first failure counts.
pub(crate) async fn stop_deployed(
    shared: &Shared,
    service: &ServiceName,
    deployed: &Deployed,
) -> Result<(), String> {
    match Version::of_deployed(service, deployed) {
        Some(version) => {
            let digest = &version.version.digest;
            until_quiet(shared, version.service, version.plan, digest).await;
            stop_all(shared, &version, |_| true).await.map(|_| ())
        }
        // What was taken over was started by others and is theirs to stop.
        None => Ok(()),
    }
}

/// Stops the instances of the kinds that `wanted` picks; gives how many there were.
pub(crate) async fn stop_all(
    shared: &Shared,
    version: &Version<'_>,
    wanted: impl Fn(ComponentKind) -> bool,
) -> Result<usize, String> {
    let mut failures = Vec::new();
    let mut stopped = 0;
    for (name, component, id) in version.all() {
        if !wanted(component.kind) {
            continue;
        }
        let label = id.to_string();
        let spec = version.spec(
            shared,
            name,
            component,
            id,
            Track::Standby,
            Placeholders::default(),
        );
        let outcome = match driver(shared, component) {
            Ok(driver) => driver
                .stop(&spec, Drain::AsConfigured)
                .await
                .map_err(|e| driver_reason(&e)),
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(_) => stopped += 1,
            Err(reason) => failures.push(format!("{label}: {reason}")),
        }
    }
    if failures.is_empty() {
        Ok(stopped)
    } else {
        Err(failures.join("; "))
    }
}
