//! `kill`: whatever goes on with a service, everybody is back at its stable version.
//!
//! It is an abort by the way that every abort takes; what is added here is which releases
//! are meant, and to wait until their users are back. Both are read from the actors and
//! not from the store, which may be what has failed.

use crate::app::{App, Ask};
use crate::error::ApiError;
use crate::view::{ReleaseView, ServiceView};
use esclusa_model::{Actor, Outcome, ReleaseId, ServiceName};
use esclusa_release::Phase;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// How long an answer waits for users to be back. One that is not there yet goes on.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);

/// What the reason of an abort begins with that came by this way, so that the record tells
/// it from any other.
const MARK: &str = "kill";
/// What stands before a person's own words in a recorded reason.
const BY_A_PERSON: &str = "aborted by a person";

fn marked(reason: &str) -> String {
    match reason {
        "" => MARK.to_owned(),
        said => format!("{MARK}: {said}"),
    }
}

/// Whether a recorded reason is that of a kill.
pub(crate) fn is_marked(recorded: &str) -> bool {
    let words = recorded
        .strip_prefix(BY_A_PERSON)
        .and_then(|rest| rest.strip_prefix(": "));
    words.is_some_and(|words| words == MARK || words.starts_with("kill: "))
}

/// A recorded reason without what every kill says.
pub(crate) fn without_mark(recorded: &str) -> &str {
    if !is_marked(recorded) {
        return recorded;
    }
    recorded
        .split_once("kill: ")
        .map_or(recorded, |(_, said)| said)
}

/// What became of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Killed {
    /// The service.
    pub service: String,
    /// The release that was under way; absent when there was none.
    pub release: Option<String>,
    /// Whom it was shown to, such as `25%`.
    pub share: Option<String>,
    /// Whether everybody is at the stable version now, as was read back.
    pub at_stable: bool,
    /// Why not, or what else there is to know.
    pub note: Option<String>,
    /// Releases in line, which begin when this one has ended.
    pub in_line: Vec<String>,
}

/// The control socket of the proxy that belongs to a data folder.
#[must_use]
pub fn proxy_socket_path(data: &Path) -> PathBuf {
    data.join("proxy").join("proxy.sock")
}

impl App {
    /// Aborts what is under way, of one service or of all, each without waiting for the
    /// others, and says where everybody is then.
    ///
    /// # Errors
    /// When nobody has heard of the service. What else goes wrong is part of the answer.
    pub async fn kill(
        self: &Arc<Self>,
        service: Option<&ServiceName>,
        reason: &str,
        by: &Actor,
    ) -> Result<Vec<Killed>, ApiError> {
        let views = match service {
            Some(name) => vec![self.service(name).await?],
            None => self.services().await,
        };
        let mut under_way = Vec::new();
        for view in views {
            let killed = Killed::before(&view);
            let (app, reason, by) = (Arc::clone(self), reason.to_owned(), by.clone());
            // On its own: who asked may be gone before the answer.
            let task = tokio::spawn(app.kill_one(view, reason, by));
            under_way.push((killed, task));
        }
        let mut all = Vec::new();
        for (killed, task) in under_way {
            all.push(task.await.unwrap_or_else(|error| Killed {
                at_stable: false,
                note: Some(format!("a fault of the server: {error}")),
                ..killed
            }));
        }
        Ok(all)
    }

    async fn kill_one(self: Arc<Self>, view: ServiceView, reason: String, by: Actor) -> Killed {
        let mut killed = Killed::before(&view);
        let Some(release) = &killed.release else {
            return killed;
        };
        let (standing, note) = match tokio::time::timeout(
            PATIENCE,
            self.abort_and_look(&view.service, release, reason, &by),
        )
        .await
        {
            Ok(standing) => standing,
            Err(_) => (
                Standing::OnTheWay,
                Some("it was not read back yet that nobody is sent to it".into()),
            ),
        };
        killed.at_stable = standing == Standing::Back;
        killed.note = note;
        killed
    }

    /// Waits, as long as it takes, until its users are back, or cannot be.
    async fn abort_and_look(
        &self,
        service: &str,
        release: &str,
        reason: String,
        by: &Actor,
    ) -> (Standing, Option<String>) {
        let (service, id) = match (ServiceName::new(service), ReleaseId::new(release)) {
            (Ok(service), Ok(id)) => (service, id),
            (Err(error), _) | (_, Err(error)) => {
                return (Standing::OnTheWay, Some(error.to_string()));
            }
        };
        let reason = marked(&reason);
        let asked = self.ask(&id, Ask::Abort { reason }, by).await;
        loop {
            let now = match self.service(&service).await {
                Ok(view) => view.release,
                Err(error) => return (Standing::OnTheWay, Some(error.to_string())),
            };
            let now = now.filter(|now| now.release == release);
            let standing = now.as_ref().map_or(Standing::Back, standing);
            match (standing, &asked) {
                (Standing::Back, _) => return (standing, now.and_then(|now| passed(&now))),
                (Standing::Stuck, _) => return (standing, now.and_then(|now| now.reason)),
                // Refused, and still under way: it will not go back by itself.
                (Standing::OnTheWay, Err(error)) => return (standing, Some(error.to_string())),
                (Standing::OnTheWay, Ok(())) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl Killed {
    /// As it is before anything is asked: right where nothing is under way.
    fn before(view: &ServiceView) -> Self {
        let under_way = view.release.as_ref().filter(|r| r.outcome.is_none());
        Self {
            service: view.service.clone(),
            release: under_way.map(|release| release.release.clone()),
            share: under_way.map(|release| release.share.clone()),
            at_stable: under_way.is_none(),
            note: None,
            in_line: view.queue.clone(),
        }
    }
}

/// Where the users of a release are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// At the stable version.
    Back,
    /// Not yet, as far as is known.
    OnTheWay,
    /// They could not be brought back.
    Stuck,
}

fn standing(release: &ReleaseView) -> Standing {
    if let Some(outcome) = &release.outcome {
        return if *outcome == Outcome::RollbackFailed.to_string() {
            Standing::Stuck
        } else {
            Standing::Back
        };
    }
    let past_lowering = [Phase::HandingBack, Phase::Stopping, Phase::Undoing]
        .iter()
        .any(|phase| phase.to_string() == release.phase);
    let lowered = release.phase == Phase::Lowering.to_string() && release.share_confirmed;
    if past_lowering || lowered {
        Standing::Back
    } else {
        Standing::OnTheWay
    }
}

/// What there is to say of one that arrived before it could be taken back.
fn passed(release: &ReleaseView) -> Option<String> {
    let outcome = release.outcome.as_ref()?;
    let promoted = [Outcome::Promoted, Outcome::PromotedEarly];
    promoted
        .iter()
        .any(|promoted| promoted.to_string() == *outcome)
        .then(|| {
            "it had reached 100 %, so its version is the stable one now; `esclusa release \
             rollback` returns to the one before"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(phase: &str, outcome: Option<&str>, confirmed: bool) -> ReleaseView {
        let text = |part: &str| serde_json::Value::from(part);
        serde_json::from_value(serde_json::json!({
            "release": "r1", "service": "shop", "version": "2", "digest": null, "stable": null,
            "requested_by": "ana", "requested_at_us": 0, "plan_digest": "", "phase": phase,
            "place_in_line": null, "share": "0%", "share_confirmed": confirmed, "stages": [],
            "tasks": [], "missing_sign_offs": [], "paused_by": null, "paused_because": null,
            "hold": null, "hold_until_us": null, "needs_person_at_us": null, "judged": null,
            "returning_because": null, "outcome": outcome.map(text), "reason": null,
            "ended_at_us": null,
        }))
        .expect("a view")
    }

    // RBK-14: the record tells a kill from an abort.
    #[test]
    fn a_kill_is_told_from_an_abort() {
        for (said, shown) in [("", "aborted by a person: kill"), ("it hurts", "it hurts")] {
            let recorded = format!("aborted by a person: {}", marked(said));
            assert!(is_marked(&recorded), "{recorded}");
            assert_eq!(without_mark(&recorded), shown);
        }
        for other in [
            "aborted by a person",
            "aborted by a person: killer whale",
            "kill",
        ] {
            assert!(!is_marked(other), "{other}");
            assert_eq!(without_mark(other), other);
        }
    }

    // RBK-14: nothing counts as back that was not read back.
    #[test]
    fn only_what_was_read_back_is_back() {
        for (phase, outcome, confirmed, expected) in [
            ("stage 1", None, true, Standing::OnTheWay),
            ("returning users", None, false, Standing::OnTheWay),
            ("returning users", None, true, Standing::Back),
            ("stopping the canary", None, false, Standing::Back),
            ("ended", Some("aborted"), true, Standing::Back),
            ("ended", Some("rollback_failed"), false, Standing::Stuck),
        ] {
            let view = view(phase, outcome, confirmed);
            assert_eq!(standing(&view), expected, "{phase} {outcome:?}");
        }
        let late = passed(&view("promoted", Some("promoted_early"), true));
        assert!(late.is_some_and(|note| note.contains("rollback")));
        assert_eq!(passed(&view("ended", Some("aborted"), true)), None);
    }
}
