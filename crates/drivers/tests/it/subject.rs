//! What is started by the tests and, in the same way, by the controller that they kill.

use esclusa_drivers::run::{InstanceSpec, PrepareSpec, RunDriver, RunSettings, driver};
use esclusa_drivers::{Identity, LastingStep, Placeholders};
use esclusa_model::{
    ComponentKind, ComponentName, Digest, InstanceId, Millis, ReleaseId, ServiceName, Track,
    VersionName, VersionRef,
};
use esclusa_shim::ShimCommand;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) const PATIENCE: Millis = Millis(30_000);

pub(crate) fn driver_called(name: &str, shim: ShimCommand) -> Arc<dyn RunDriver> {
    driver(name, &RunSettings { shim }).expect("registered")
}

/// The block that runs the service in Python.
pub(crate) fn app() -> Value {
    json!({
        "command": ["python3", "app.py", "${port}"],
        "ready": {"http": "/health", "within": 20_000},
        "drain": 5_000,
    })
}

/// The first instance of version 1.0, its artifact kept.
pub(crate) async fn spec(process: &Arc<dyn RunDriver>, root: &Path, config: Value) -> InstanceSpec {
    let version = VersionName::new("1.0").expect("valid");
    let prepare = PrepareSpec {
        service: ServiceName::new("shop").expect("valid"),
        component: ComponentName::new("web").expect("valid"),
        version: version.clone(),
        release: ReleaseId::new("r1").expect("valid"),
        artifact: Some("dist/${version}".into()),
        config: config.clone(),
        base_dir: root.to_owned(),
        data_dir: root.join("data"),
    };
    let prepared = process.prepare(&prepare).await.expect("kept");
    InstanceSpec {
        dir: prepared.dir,
        ..named_spec(root, config, prepared.digest)
    }
}

/// An instance of a version that is only named.
pub(crate) fn named_spec(root: &Path, config: Value, digest: Digest) -> InstanceSpec {
    InstanceSpec {
        identity: Identity {
            service: ServiceName::new("shop").expect("valid"),
            component: ComponentName::new("web").expect("valid"),
            kind: ComponentKind::Web,
            version: VersionRef {
                name: VersionName::new("1.0").expect("valid"),
                digest,
                verified: true,
            },
            release: ReleaseId::new("r1").expect("valid"),
            instance: InstanceId::new("web-1").expect("valid"),
            track: Track::Canary,
        },
        dir: None,
        config,
        base_dir: root.to_owned(),
        data_dir: root.join("data"),
        placeholders: Placeholders::new(),
    }
}

pub(crate) fn step(root: &Path, script: &str, timeout: Millis) -> LastingStep {
    LastingStep {
        words: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::new(),
        cwd: root.to_owned(),
        timeout,
        dir: root.join("steps/migrate-1"),
    }
}

/// Waits until it may go on, and says that it ran.
pub(crate) const MIGRATION: &str =
    "echo run >> runs; until test -e go-on; do sleep 0.02; done; echo migrated; exit 4";
