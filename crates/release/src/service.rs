//! A service as the fold of its own stream: what is stable, what is kept warm.

use crate::event::{stored_form, stored_parts};
use esclusa_model::{
    ComponentKind, ComponentName, Digest, InstanceId, Millis, Outcome, ReleaseId, ServiceName,
    Timestamp, VersionRef,
};
use esclusa_plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One running copy of a component and where it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceRecord {
    /// Its id.
    pub id: InstanceId,
    /// The component.
    pub component: ComponentName,
    /// How the component is exposed.
    pub kind: ComponentKind,
    /// Base URL where it answers requests; absent for workers.
    pub url: Option<String>,
    /// Sent to it as `Host` instead of the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_header: Option<String>,
    /// PEM file of the private certificate authority that vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// A version as it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    /// The version.
    pub version: VersionRef,
    /// The release that brought it; absent for one that was taken over.
    pub release: Option<ReleaseId>,
    /// The plan by which it was started, and by which it is stopped.
    pub plan: Plan,
    /// Folder that the plan's relative paths start from.
    pub base_dir: String,
    /// Its components by digest.
    pub components: BTreeMap<ComponentName, DeployedComponent>,
    /// Its running copies.
    pub instances: Vec<InstanceRecord>,
}

/// A component of a version as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployedComponent {
    /// Digest of its artifact.
    pub digest: Digest,
}

/// The version before, ready to be returned to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warm {
    /// The version.
    pub deployed: Deployed,
    /// The release whose promotion made it the version before.
    pub release: ReleaseId,
    /// When it may be stopped.
    pub until: Timestamp,
}

/// An event of a service's stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    content = "payload",
    rename_all = "snake_case",
    deny_unknown_fields
)]
pub enum ServiceEvent {
    /// A version that ran already is stable from now on, as it is.
    TakenOver(Box<Deployed>),
    /// A release is on its way.
    ReleaseAdmitted {
        /// The release.
        release: ReleaseId,
    },
    /// A release waits for the one that is on its way.
    ReleaseQueued {
        /// The release.
        release: ReleaseId,
    },
    /// A release is over, or promoted.
    ReleaseEnded {
        /// The release.
        release: ReleaseId,
        /// How.
        outcome: Outcome,
    },
    /// A release's version is stable from now on.
    StableChanged {
        /// The release that did it.
        release: ReleaseId,
        /// The new stable version.
        stable: Box<Deployed>,
        /// How long the version before stays ready.
        keep_warm: Millis,
    },
    /// A release was undone after its promotion: the warm version is stable again.
    StableRestored {
        /// The release that was undone.
        release: ReleaseId,
    },
    /// A first deployment was undone after its version was recorded as stable: there
    /// is no stable version, as before it.
    StableWithdrawn {
        /// The release that was undone.
        release: ReleaseId,
    },
    /// A version before was stopped for good.
    WarmRetired {
        /// Its digest.
        version: Digest,
    },
}

/// Why an event cannot follow in a service's stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} for service {service}")]
pub struct ServiceIllegal {
    /// The service.
    pub service: ServiceName,
    /// What does not fit.
    pub what: &'static str,
}

/// What is known of one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// What serves everybody whom no release exposes to something else.
    pub stable: Option<Deployed>,
    /// What can be returned to at once.
    pub warm: Option<Warm>,
    /// Versions that still run though nothing returns to them: to be stopped.
    pub retiring: Vec<Deployed>,
    /// The release on its way.
    pub active: Option<ReleaseId>,
    /// Releases that wait, first in line first.
    pub queue: Vec<ReleaseId>,
    /// The release that began last, over or not.
    pub last: Option<ReleaseId>,
}

impl Service {
    /// A service nobody has heard of.
    #[must_use]
    pub const fn new(name: ServiceName) -> Self {
        Self {
            name,
            stable: None,
            warm: None,
            retiring: Vec::new(),
            active: None,
            queue: Vec::new(),
            last: None,
        }
    }

    /// The state after `event`, recorded at `at`.
    ///
    /// # Errors
    /// [`ServiceIllegal`] when the event cannot follow; the state is then unchanged.
    pub fn apply(&mut self, event: &ServiceEvent, at: Timestamp) -> Result<(), ServiceIllegal> {
        let illegal = |what| {
            Err(ServiceIllegal {
                service: self.name.clone(),
                what,
            })
        };
        match event {
            ServiceEvent::TakenOver(deployed) => {
                if self.stable.is_some() {
                    return illegal("a stable version is there already");
                }
                self.stable = Some(Deployed::clone(deployed));
            }
            ServiceEvent::ReleaseAdmitted { release } => {
                if self.active.is_some() {
                    return illegal("another release is on its way");
                }
                self.queue.retain(|waiting| waiting != release);
                self.active = Some(release.clone());
                self.last = Some(release.clone());
            }
            ServiceEvent::ReleaseQueued { release } => {
                if self.queue.contains(release) || self.active.as_ref() == Some(release) {
                    return illegal("the release waits or is on its way already");
                }
                self.queue.push(release.clone());
            }
            ServiceEvent::ReleaseEnded { release, .. } => {
                self.queue.retain(|waiting| waiting != release);
                if self.active.as_ref() == Some(release) {
                    self.active = None;
                }
            }
            ServiceEvent::StableChanged {
                release,
                stable,
                keep_warm,
            } => {
                if self.stable_is_of(release) {
                    return illegal("that release's version is stable already");
                }
                // One way back is kept; what stood before it is still running.
                let replaced = self.warm.take().map(|warm| warm.deployed);
                self.retiring.extend(replaced);
                let before = self.stable.replace(Deployed::clone(stable));
                self.warm = before.map(|deployed| Warm {
                    deployed,
                    release: release.clone(),
                    until: at.plus(*keep_warm),
                });
            }
            ServiceEvent::StableRestored { release } => {
                if self.warm.as_ref().is_none_or(|w| w.release != *release) {
                    return illegal("no warm version of that release is there");
                }
                self.stable = self.warm.take().map(|warm| warm.deployed);
            }
            ServiceEvent::StableWithdrawn { release } => {
                if self.warm.is_some() || !self.stable_is_of(release) {
                    return illegal("the stable version is not that of a first deployment");
                }
                self.stable = None;
            }
            ServiceEvent::WarmRetired { version } => {
                self.retiring.retain(|d| d.version.digest != *version);
                if self
                    .warm
                    .as_ref()
                    .is_some_and(|w| w.deployed.version.digest == *version)
                {
                    self.warm = None;
                }
            }
        }
        Ok(())
    }

    /// Whether `release` brought the version that is stable now.
    #[must_use]
    pub fn stable_is_of(&self, release: &ReleaseId) -> bool {
        self.stable
            .as_ref()
            .is_some_and(|stable| stable.release.as_ref() == Some(release))
    }
}

impl ServiceEvent {
    /// The event's kind and payload as the envelope stores them.
    ///
    /// # Errors
    /// Never for values made by this program; JSON's own error otherwise.
    pub fn to_stored(&self) -> Result<(String, serde_json::Value), serde_json::Error> {
        stored_parts(serde_json::to_value(self)?)
    }

    /// Reads an event from an envelope's kind and payload.
    ///
    /// # Errors
    /// When the kind is unknown or the payload does not fit it.
    pub fn from_stored(kind: &str, payload: &serde_json::Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(stored_form(kind, payload))
    }
}

/// `host:port`, path prefix and whether TLS is spoken, of an `http(s)://` base URL.
#[must_use]
pub fn upstream_address(url: &str) -> Option<(String, String, bool)> {
    let (rest, tls) = match url.strip_prefix("https://") {
        Some(rest) => (rest, true),
        None => (url.strip_prefix("http://")?, false),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(host, port)| {
        !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) && !host.is_empty()
    });
    let address = match (has_port, tls) {
        (true, _) => authority.to_owned(),
        (false, true) => format!("{authority}:443"),
        (false, false) => format!("{authority}:80"),
    };
    Some((address, path.trim_end_matches('/').to_owned(), tls))
}

#[cfg(test)]
mod tests {
    use super::upstream_address;

    #[test]
    fn urls_become_addresses() {
        let address = |url| upstream_address(url).map(|(a, p, t)| format!("{a}|{p}|{t}"));
        assert_eq!(
            address("http://127.0.0.1:80/v2/").as_deref(),
            Some("127.0.0.1:80|/v2|false")
        );
        assert_eq!(
            address("https://shop.example").as_deref(),
            Some("shop.example:443||true")
        );
        assert_eq!(
            address("http://[::1]:8080").as_deref(),
            Some("[::1]:8080||false")
        );
        for bad in ["ftp://x", "http://", "shop.example", "http://user@host"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
