//! What a release's steps and its two versions have printed.

use super::instances::{Version, driver};
use super::steps;
use crate::app::Shared;
use esclusa_drivers::{KeptLog, Placeholders};
use esclusa_model::{ComponentName, InstanceId, Track, VersionName};
use esclusa_release::{Deployed, Release, Service, Task};

/// How many tries of one step are listed, the newest.
const TRIES: u32 = 20;

/// Who printed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Writer {
    /// A step of the plan.
    Step {
        task: Task,
        attempt: u32,
        title: String,
    },
    /// An instance of a version.
    Version {
        component: ComponentName,
        instance: InstanceId,
        version: VersionName,
        /// Whether it is the version that is released.
        is_canary: bool,
    },
}

/// A log and its name, which is unique within the release and no path.
pub(crate) struct Log {
    pub name: String,
    pub writer: Writer,
    pub kept: KeptLog,
}

/// All logs of a release, whether anything stands in them or not.
pub(crate) fn logs(shared: &Shared, release: &Release, service: &Service) -> Vec<Log> {
    let mut all = of_steps(shared, release);
    if let Some(version) = Version::of_release(release) {
        all.extend(of_version(shared, &version, true));
    }
    if let Some(before) = version_before(release, service)
        && let Some(version) = Version::of_deployed(&service.name, before)
    {
        all.extend(of_version(shared, &version, false));
    }
    all
}

fn of_steps(shared: &Shared, release: &Release) -> Vec<Log> {
    let mut all = Vec::new();
    for (task, state) in &release.tasks {
        let first = state.attempt.saturating_sub(TRIES - 1).max(1);
        for attempt in first..=state.attempt {
            let Some(kept) = steps::log(&shared.data_dir, release, *task, attempt) else {
                continue;
            };
            all.push(Log {
                name: format!("step-{}", steps::attempt_name(*task, attempt)),
                writer: Writer::Step {
                    task: *task,
                    attempt,
                    title: esclusa_engine::describe_task(release, *task),
                },
                kept,
            });
        }
    }
    all
}

fn of_version(shared: &Shared, version: &Version<'_>, is_canary: bool) -> Vec<Log> {
    let one = |(name, component, id): (&ComponentName, &esclusa_plan::Component, InstanceId)| {
        let writer = Writer::Version {
            component: name.clone(),
            instance: id.clone(),
            version: version.version.name.clone(),
            is_canary,
        };
        let unique = format!("instance-{id}");
        let values = Placeholders::default();
        let spec = version.spec(shared, name, component, id, Track::Standby, values);
        let kept = driver(shared, component).ok()?.log(&spec)?;
        Some(Log {
            name: unique,
            writer,
            kept,
        })
    };
    version.all().into_iter().filter_map(one).collect()
}

/// The version that served when the release began, while it is still recorded how it runs.
fn version_before<'a>(release: &Release, service: &'a Service) -> Option<&'a Deployed> {
    let before = release.requested.stable.as_ref()?;
    let warm = service.warm.as_ref().map(|warm| &warm.deployed);
    let mut known = service.stable.iter().chain(warm);
    known.find(|deployed| deployed.version.digest == before.digest)
}
