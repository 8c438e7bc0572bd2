//! The `process` block.

use super::NAME;
use crate::fields::{choice, entry, optional, required};
use crate::probe::{Otherwise, Readiness, ReadyConfig, ready_fields};
use esclusa_model::{ComponentKind, Millis};
use esclusa_plan::{Capability, DriverEntry, FieldKind};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Names and numbers of the signals that a block may use, the same on every Linux
/// machine of the kinds we run on.
const SIGNALS: [(&str, i32); 6] = [
    ("term", 15),
    ("int", 2),
    ("quit", 3),
    ("hup", 1),
    ("usr1", 10),
    ("usr2", 12),
];

pub(super) fn describe() -> DriverEntry {
    let signals = || choice(&SIGNALS.map(|(name, _)| name));
    entry(
        NAME,
        "Keeps the artifact by its digest and runs it as a process that outlives esclusa itself.",
        vec![
            required(
                "command",
                FieldKind::Command,
                "What runs, in the foreground; ${dir} is the kept artifact, ${port} a free port.",
            ),
            optional("env", FieldKind::TemplateMap, "More variables for it."),
            optional(
                "cwd",
                FieldKind::Template,
                "Its working folder; ${dir} when absent.",
            ),
            optional(
                "ready",
                FieldKind::Block(ready_fields()),
                "What makes it ready; that its port accepts a connection when absent, for workers that it runs for 2s.",
            ),
            optional(
                "drain",
                FieldKind::Duration,
                "Longest time from the stop signal to the end; then it is killed. 30s when absent.",
            ),
            optional(
                "stop-signal",
                signals(),
                "Asks it to end; term when absent.",
            ),
            optional(
                "track-hook",
                FieldKind::Command,
                "Tells it its new track, which is in ESCLUSA_TRACK; exit code 0 means that it took it.",
            ),
            optional(
                "track-timeout",
                FieldKind::Duration,
                "Longest run of the hook; 10s when absent.",
            ),
            optional(
                "track-signal",
                signals(),
                "Sent to it, without a hook, when its track in ESCLUSA_TRACK_FILE has changed.",
            ),
        ],
        &[
            Capability::Lifecycle,
            Capability::Tracks,
            Capability::VerifiedDigest,
        ],
    )
}

/// The block as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Config {
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    ready: Option<ReadyConfig>,
    drain: Option<Millis>,
    stop_signal: Option<SignalName>,
    pub(super) track_hook: Option<Vec<String>>,
    track_timeout: Option<Millis>,
    track_signal: Option<SignalName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct SignalName(i32);

impl TryFrom<String> for SignalName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let found = SIGNALS.iter().find(|(name, _)| *name == text);
        let (_, number) = found.ok_or_else(|| format!("{text:?} is not a known signal"))?;
        Ok(Self(*number))
    }
}

impl Config {
    pub(super) fn readiness(&self, kind: ComponentKind) -> Readiness {
        let otherwise = match kind {
            ComponentKind::Web => Otherwise::Tcp,
            ComponentKind::Worker | ComponentKind::Singleton => Otherwise::RunningFor,
        };
        Readiness::of(self.ready.clone(), otherwise)
    }

    pub(super) fn drain(&self) -> Millis {
        self.drain.unwrap_or(Millis::from_secs(30))
    }

    pub(super) fn stop_signal(&self) -> i32 {
        self.stop_signal.map_or(15, |signal| signal.0)
    }

    pub(super) fn track_timeout(&self) -> Millis {
        self.track_timeout.unwrap_or(Millis::from_secs(10))
    }

    pub(super) fn track_signal(&self) -> Option<i32> {
        self.track_signal.map(|signal| signal.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Config>(&describe());
    }

    #[test]
    fn signal_numbers_are_those_of_this_machine() {
        for (name, number) in SIGNALS {
            let signal = nix::sys::signal::Signal::try_from(number).expect("known");
            assert_eq!(signal.as_str(), format!("SIG{}", name.to_uppercase()));
        }
    }
}
