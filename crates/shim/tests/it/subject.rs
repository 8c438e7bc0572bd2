//! What is started by the tests and, in the same way, by the controller that they kill.

use esclusa_model::Millis;
use esclusa_shim::{LogLimits, Spec};
use std::collections::BTreeMap;

pub(crate) const TERM: i32 = 15;
pub(crate) const PATIENCE: Millis = Millis(20_000);

pub(crate) fn spec(script: &str) -> Spec {
    Spec {
        identity: "test".into(),
        words: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("GIVEN".into(), "a secret value".into())]),
        cwd: "/".into(),
        log: LogLimits::default(),
        stop_signal: TERM,
        stop_grace: Millis(500),
    }
}
