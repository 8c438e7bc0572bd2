//! `command`: the user's own scripts turn a router and read it back.
//!
//! A script that hangs is ended with its process group before the next call begins;
//! until a reading says otherwise its effect is unknown.

use super::{Adapter, DialReading, DialRequest, DialState, DialVersion, TrafficDial};
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::proc::{Ended, Finished, Leftover, Order, run};
use crate::template::{fill_map, fill_words};
use async_trait::async_trait;
use esclusa_model::{BasisPoints, Millis, ServiceName};
use esclusa_plan::{DriverEntry, FieldKind, Placeholders};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

const NAME: &str = "command";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: Some(|config| Ok(Arc::new(Scripts(Arc::new(read(NAME, config)?))))),
};

const TIMEOUT: Millis = Millis::from_secs(30);
const GRACE: Millis = Millis::from_secs(1);

fn describe() -> DriverEntry {
    entry(
        NAME,
        "Your scripts turn a router's share and read it back.",
        vec![
            required(
                "set",
                FieldKind::Command,
                "Turns the share to ESCLUSA_SHARE percent (ESCLUSA_SHARE_BP hundredths of a percent); repeating it must be harmless.",
            ),
            required(
                "read",
                FieldKind::Command,
                "Prints the share that is achieved as one line, such as 5%.",
            ),
            optional(
                "env",
                FieldKind::TemplateMap,
                "More variables for the scripts.",
            ),
            optional(
                "timeout",
                FieldKind::Duration,
                "Longest run of one script; 30s when absent.",
            ),
            optional(
                "tolerance",
                FieldKind::Share,
                "How far the router's steps may be off; never at 0% and 100%. 0% when absent.",
            ),
        ],
        &[],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    set: Vec<String>,
    read: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    timeout: Option<Millis>,
    #[serde(default)]
    tolerance: BasisPoints,
}

struct Scripts(Arc<Config>);

/// One turn a service, shared by all dials that were ever built for it.
fn turn(service: &ServiceName) -> Arc<AsyncMutex<()>> {
    static TURNS: OnceLock<Mutex<BTreeMap<ServiceName, Arc<AsyncMutex<()>>>>> = OnceLock::new();
    let mut turns = TURNS
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    turns.entry(service.clone()).or_default().clone()
}

#[async_trait]
impl TrafficDial for Scripts {
    async fn set(
        &self,
        request: &DialRequest,
        share: BasisPoints,
    ) -> Result<DialReading, DriverError> {
        let (config, request) = (self.0.clone(), request.clone());
        let turn = turn(&request.service);
        in_turn(turn, async move {
            let done = config.script(&config.set, &request, share).await?;
            if let Ended::TimedOut { leftover } = done.ended {
                return Ok(unsettled("set", config.timeout(), leftover));
            }
            if let Some(why) = done.complaint(config.timeout()) {
                let error = DriverError::target(format!("set: {why}"));
                return Err(error.with_output(done.output));
            }
            config.read_back(&request, share).await
        })
        .await
    }

    async fn read(
        &self,
        request: &DialRequest,
        asked: BasisPoints,
    ) -> Result<DialReading, DriverError> {
        let (config, request) = (self.0.clone(), request.clone());
        let turn = turn(&request.service);
        in_turn(turn, async move { config.read_back(&request, asked).await }).await
    }
}

/// Runs a call to its end in its turn, also when the caller stops waiting: a script
/// that was begun is never left to overlap with the next.
async fn in_turn(
    turn: Arc<AsyncMutex<()>>,
    call: impl Future<Output = Result<DialReading, DriverError>> + Send + 'static,
) -> Result<DialReading, DriverError> {
    let task = tokio::spawn(async move {
        let _turn = turn.lock_owned().await;
        call.await
    });
    task.await
        .unwrap_or_else(|e| Err(DriverError::us(format!("the call failed: {e}")).unsettled()))
}

fn unsettled(what: &str, limit: Millis, leftover: Leftover) -> DialReading {
    let detail = match leftover {
        Leftover::Gone => format!("{what}: no end within {limit}; it was killed"),
        Leftover::StillThere => {
            format!("{what}: no end within {limit}, and it could not be killed")
        }
    };
    DialReading {
        achieved: None,
        state: DialState::Unknown,
        detail,
    }
}

impl Config {
    fn timeout(&self) -> Millis {
        self.timeout.unwrap_or(TIMEOUT)
    }

    async fn script(
        &self,
        words: &[String],
        request: &DialRequest,
        share: BasisPoints,
    ) -> Result<Finished, DriverError> {
        let url = |side: &DialVersion| side.urls.first().cloned().unwrap_or_default();
        let values = Placeholders::new()
            .with("version", request.canary.version.name.as_str())
            .with("release", request.release.as_str())
            .with("canary", url(&request.canary))
            .with("stable", url(&request.stable));
        let mut env = fill_map(&self.env, &values)?;
        env.extend(environment(request, share));
        Ok(run(Order {
            words: fill_words(words, &values)?,
            env,
            cwd: request.base_dir.clone(),
            timeout: self.timeout(),
            grace: GRACE,
            log: None,
        })
        .await)
    }

    async fn read_back(
        &self,
        request: &DialRequest,
        asked: BasisPoints,
    ) -> Result<DialReading, DriverError> {
        let done = self.script(&self.read, request, asked).await?;
        if let Ended::TimedOut { leftover } = done.ended {
            return Ok(unsettled("read", self.timeout(), leftover));
        }
        if let Some(why) = done.complaint(self.timeout()) {
            let error = DriverError::target(format!("read: {why}"));
            return Err(error.with_output(done.output));
        }
        let Some(achieved) = printed_share(&done.stdout) else {
            let error = DriverError::target(
                "read: expected one line with a percentage from 0% to 100%, such as 5%",
            );
            return Err(error.with_output(done.stdout));
        };
        Ok(compared(achieved, asked, self.tolerance))
    }
}

fn compared(achieved: BasisPoints, asked: BasisPoints, tolerance: BasisPoints) -> DialReading {
    // Nobody and everybody are exact or they are not so.
    let allowed = if asked.is_partial() && achieved.is_partial() {
        tolerance.get()
    } else {
        0
    };
    let state = if achieved.get().abs_diff(asked.get()) <= allowed {
        DialState::Converged
    } else if achieved < asked {
        DialState::Pending
    } else {
        DialState::Overshoot
    };
    DialReading {
        achieved: Some(achieved),
        state,
        detail: format!("asked for {asked}, reads {achieved}"),
    }
}

/// The one line with a percentage; finer steps than 0.01 % count as the next higher
/// one, so that no exposure is understated.
fn printed_share(stdout: &str) -> Option<BasisPoints> {
    let mut lines = stdout
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let number = line.strip_suffix('%').unwrap_or(line).trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || whole.len() > 3 {
        return None;
    }
    let (kept, rest) = decimals.split_at(decimals.len().min(2));
    let hundredths: u16 = format!("{kept:0<2}").parse().ok()?;
    let up = u16::from(rest.bytes().any(|b| b != b'0'));
    let whole: u16 = whole.parse().ok()?;
    BasisPoints::new(whole * 100 + hundredths + up).ok()
}

fn environment(request: &DialRequest, share: BasisPoints) -> BTreeMap<String, String> {
    let percent = share.to_string();
    [
        ("ESCLUSA_SERVICE", request.service.to_string()),
        ("ESCLUSA_RELEASE", request.release.to_string()),
        ("ESCLUSA_STEP", request.step.clone()),
        ("ESCLUSA_SHARE", percent.trim_end_matches('%').to_owned()),
        ("ESCLUSA_SHARE_BP", share.get().to_string()),
        ("ESCLUSA_STABLE", request.stable.version.name.to_string()),
        (
            "ESCLUSA_STABLE_DIGEST",
            request.stable.version.digest.to_string(),
        ),
        ("ESCLUSA_STABLE_URLS", request.stable.urls.join(" ")),
        ("ESCLUSA_CANARY", request.canary.version.name.to_string()),
        (
            "ESCLUSA_CANARY_DIGEST",
            request.canary.version.digest.to_string(),
        ),
        ("ESCLUSA_CANARY_URLS", request.canary.urls.join(" ")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bp(value: u16) -> BasisPoints {
        BasisPoints::new(value).expect("in range")
    }

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Config>(&describe());
    }

    #[test]
    fn printed_shares_are_read_strictly() {
        for (text, expected) in [
            ("5%\n", Some(500)),
            ("5", Some(500)),
            (" 12.5 % \n\n", Some(1250)),
            ("4.6875", Some(469)),
            ("0.000001", Some(1)),
            ("100.00%", Some(10_000)),
            ("100.001", None),
            ("", None),
            ("5%\n6%", None),
            ("weight is 5%", None),
            ("-5", None),
            ("5,5", None),
            (".5", None),
            ("1e1", None),
        ] {
            assert_eq!(printed_share(text), expected.map(bp), "{text:?}");
        }
    }

    #[test]
    fn a_tolerance_never_hides_that_somebody_is_exposed() {
        let state = |achieved, asked| compared(bp(achieved), bp(asked), bp(50)).state;
        assert_eq!(state(469, 500), DialState::Converged);
        assert_eq!(state(449, 500), DialState::Pending);
        assert_eq!(state(551, 500), DialState::Overshoot);
        assert_eq!(state(20, 0), DialState::Overshoot);
        assert_eq!(state(0, 20), DialState::Pending);
        assert_eq!(state(9_980, 10_000), DialState::Pending);
        assert_eq!(state(10_000, 9_980), DialState::Overshoot);
    }
}
