//! What an instance is, and how its process and its hooks are told.

use esclusa_model::{
    ComponentKind, ComponentName, InstanceId, ReleaseId, ServiceName, Track, VersionRef,
};
use std::collections::BTreeMap;

/// What an instance is, in the release's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The service.
    pub service: ServiceName,
    /// The component.
    pub component: ComponentName,
    /// How the component is exposed.
    pub kind: ComponentKind,
    /// The version.
    pub version: VersionRef,
    /// The release that started it.
    pub release: ReleaseId,
    /// The copy.
    pub instance: InstanceId,
    /// What it is told it is.
    pub track: Track,
}

impl Identity {
    /// The environment of the instance's process and of all commands about it.
    #[must_use]
    pub fn env(&self) -> BTreeMap<String, String> {
        [
            ("ESCLUSA_SERVICE", self.service.to_string()),
            ("ESCLUSA_COMPONENT", self.component.to_string()),
            ("ESCLUSA_VERSION", self.version.name.to_string()),
            ("ESCLUSA_DIGEST", self.version.digest.to_string()),
            ("ESCLUSA_RELEASE", self.release.to_string()),
            ("ESCLUSA_INSTANCE", self.instance.to_string()),
            ("ESCLUSA_TRACK", self.track.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
