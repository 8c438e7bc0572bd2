//! Flags that people turn down by hand: at once, whatever runs and whatever is stored.

use super::admission::{unknown_environment, unknown_turn};
use crate::app::{App, Ask};
use crate::error::{ApiError, ErrorKind};
use esclusa_flags::{FlagSet, Rollout, ShareOrder};
use esclusa_model::{Actor, BasisPoints, ReleaseId};
use esclusa_plan::Plan;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// One flag's side in one environment.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfFlag {
    /// The variant that is turned to.
    pub variant: String,
    /// The environment.
    pub environment: String,
}

/// How far a flag is turned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutState {
    /// The release that turns it right now.
    pub running: Option<RunningRollout>,
    /// The share that the flag set gives it by itself, hundredths of a percent.
    pub kept_bp: u16,
    /// Whom the flag set gives it to by itself, in words.
    pub kept_for: Vec<String>,
    /// The attribute that names the unit of the share that it has now; absent where it has
    /// none.
    pub of: Option<String>,
}

/// A rollout by hand that is to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRollout {
    /// Its plan.
    pub plan: String,
    /// The release that would be ended at its share before.
    #[serde(default)]
    pub after: Option<String>,
}

/// What a running release turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningRollout {
    /// The release.
    pub release: String,
    /// Its share now, hundredths of a percent.
    pub share_bp: u16,
    /// Its segments now.
    pub segments: Vec<String>,
}

/// A flag that is to reach fewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LowerRollout {
    /// The flag.
    pub flag: String,
    /// The variant that fewer are to get.
    pub variant: String,
    /// The environment.
    pub environment: String,
    /// The share that keeps it, hundredths of a percent; 0 for nobody.
    pub to_bp: u16,
    /// The attribute that names the unit of the share, where no release says it.
    #[serde(default)]
    pub of: Option<String>,
    /// Why, in words; possibly empty.
    #[serde(default)]
    pub reason: String,
}

/// What was done, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lowered {
    /// One line each.
    pub done: Vec<String>,
}

impl App {
    fn flag_set(&self) -> Result<Arc<FlagSet>, ApiError> {
        self.shared.flag_plane.set().map_err(|why| {
            let help = "run `esclusa audit verify`, then restore the state from a backup";
            ApiError::new(ErrorKind::Unavailable, "ESC-0909", why, help)
        })
    }

    fn running_rollout(&self, flag: &str, of: &OfFlag) -> Option<Rollout> {
        let running = self.shared.flag_plane.running();
        running.into_iter().find(|rollout| {
            rollout.environment == of.environment && rollout.flags.get(flag) == Some(&of.variant)
        })
    }

    /// How far a flag is turned.
    ///
    /// # Errors
    /// When there is no such flag, or the flags cannot be read.
    pub(crate) fn rollout_of(&self, flag: &str, of: &OfFlag) -> Result<RolloutState, ApiError> {
        let set = self.flag_set()?;
        known(&set, flag, of)?;
        let kept = set.on_for(flag, &of.variant, &of.environment);
        let running = self.running_rollout(flag, of);
        let order = match &running {
            Some(rollout) => Some(ShareOrder::new(&rollout.salt, rollout.of.as_deref())),
            None => set.kept_order(flag, &of.variant, &of.environment),
        };
        Ok(RolloutState {
            of: order.map(|order| order.unit().to_owned()),
            running: running.map(|rollout| RunningRollout {
                release: rollout.release.to_string(),
                share_bp: rollout.share.get(),
                segments: rollout.segments,
            }),
            kept_bp: set.kept_share(flag, &of.variant, &of.environment).get(),
            kept_for: kept.iter().map(ToString::to_string).collect(),
        })
    }

    /// Whether a rollout by hand could begin, were the one before it ended: told before
    /// that one is.
    ///
    /// # Errors
    /// Everything that stands against it.
    pub(crate) fn check_rollout(&self, asked: &CheckRollout) -> Result<(), ApiError> {
        let parsed = self.check_plan("rollout.yaml", &asked.plan)?;
        let mut set = FlagSet::clone(&*self.flag_set()?);
        let mut running = self.shared.flag_plane.running();
        let before = |rollout: &Rollout| Some(rollout.release.as_str()) == asked.after.as_deref();
        if let Some(rollout) = running.iter().find(|rollout| before(rollout)) {
            set = set.recording(rollout);
        }
        running.retain(|rollout| !before(rollout));
        let (plan, plane) = (&parsed.plan, self.shared.flag_plane.as_ref());
        super::admit(plan, None, &set, &running)?;
        if let Some(flags) = &plan.flags {
            super::admit_kills(flags, plane)?;
        }
        super::admit_reach(plan, &set, plane)
    }

    /// Lets a flag reach fewer: what runs goes back, and the set keeps no more than asked.
    ///
    /// # Errors
    /// When there is no such flag, or it could not be lowered whole; what could be is.
    pub(crate) async fn lower_rollout(
        &self,
        asked: &LowerRollout,
        by: &Actor,
    ) -> Result<Lowered, ApiError> {
        let of = OfFlag {
            variant: asked.variant.clone(),
            environment: asked.environment.clone(),
        };
        let to = BasisPoints::new(asked.to_bp).map_err(|error| {
            let help = "write hundredths of a percent, 0 to 9999";
            ApiError::new(ErrorKind::BadInput, "ESC-0408", error.to_string(), help)
        })?;
        let set = self.flag_set()?;
        known(&set, &asked.flag, &of)?;
        let running = self.running_rollout(&asked.flag, &of);
        let mut done = Vec::new();
        let shown = running.as_ref().map_or(BasisPoints::ZERO, |r| r.share);
        let kept = set.kept_share(&asked.flag, &of.variant, &of.environment);
        if to > BasisPoints::ZERO && to >= shown.max(kept) {
            done.push(format!("{} reaches no more than that already", asked.flag));
            return Ok(Lowered { done });
        }
        let order = kept_order(&set, asked, running.as_ref())?;
        // With nobody left there is nothing to wait for; else those who stay have it from
        // the set before the release lets go of them.
        let kept = match to {
            BasisPoints::ZERO => {
                self.take_back(running.as_ref(), &asked.reason, by, &mut done)
                    .await?;
                self.keep_less(asked, (to, order), running.as_ref(), by, &mut done)
                    .await
            }
            to => {
                let kept = self
                    .keep_less(asked, (to, order), running.as_ref(), by, &mut done)
                    .await;
                self.take_back(running.as_ref(), &asked.reason, by, &mut done)
                    .await?;
                kept
            }
        };
        kept?;
        if to == BasisPoints::ZERO {
            // Those that expose nobody yet, and would by themselves.
            self.end_those_to_come(asked, by, &mut done).await?;
        }
        if done.is_empty() {
            done.push(format!("{} reaches no more than that already", asked.flag));
        }
        Ok(Lowered { done })
    }

    async fn take_back(
        &self,
        running: Option<&Rollout>,
        reason: &str,
        by: &Actor,
        done: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let Some(rollout) = running else {
            return Ok(());
        };
        let id: &ReleaseId = &rollout.release;
        let abort = Ask::Abort {
            reason: reason.to_owned(),
        };
        self.ask(id, abort, by).await?;
        done.push(format!("release {id} goes back from {}", rollout.share));
        Ok(())
    }

    /// Ends releases that turn the flag and expose nobody yet, and takes those out of the line
    /// that wait.
    async fn end_those_to_come(
        &self,
        asked: &LowerRollout,
        by: &Actor,
        done: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let turns = |plan: &Plan| {
            let flags = plan.flags.as_ref();
            let here = flags.filter(|flags| flags.environment == asked.environment);
            here.is_some_and(|flags| {
                let ours = (asked.flag.as_str(), asked.variant.as_str());
                flags.turned().any(|turned| turned == ours)
            })
        };
        let abort = || Ask::Abort {
            reason: asked.reason.clone(),
        };
        for service in self.services().await {
            for id in &service.queue {
                let Ok(id) = ReleaseId::new(id.as_str()) else {
                    continue;
                };
                if self.asked_for(&id).await?.is_some_and(|plan| turns(&plan)) {
                    self.ask(&id, abort(), by).await?;
                    done.push(format!("release {id} leaves the line"));
                }
            }
            let present = service.release.filter(|view| view.outcome.is_none());
            let Some(Ok(id)) = present.map(|view| ReleaseId::new(view.release)) else {
                continue;
            };
            let release = self.release(&id).await?;
            let goes_on = release.ended.is_none() && !release.phase.is_returning();
            if goes_on && turns(&release.requested.plan) {
                self.ask(&id, abort(), by).await?;
                done.push(format!("release {id} ends before it exposes anybody"));
            }
        }
        Ok(())
    }

    async fn keep_less(
        &self,
        asked: &LowerRollout,
        (to, order): (BasisPoints, ShareOrder),
        running: Option<&Rollout>,
        by: &Actor,
        done: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let flags = running.map_or_else(
            || [(asked.flag.clone(), asked.variant.clone())].into(),
            |running| running.flags.clone(),
        );
        let set = self.flag_set()?;
        let by_hand = ReleaseId::new("by-hand").map_err(|error| {
            ApiError::new(
                ErrorKind::Internal,
                "ESC-0900",
                error.to_string(),
                "report this",
            )
        })?;
        let rollout = Rollout {
            release: running.map_or(by_hand, |running| running.release.clone()),
            environment: asked.environment.clone(),
            flags,
            segments: Vec::new(),
            share: to,
            of: order.of,
            salt: order.salt,
        };
        let patch = set.patch_to(&set.lowered_to(&rollout));
        if patch.changes.is_empty() {
            return Ok(());
        }
        let reason = match asked.reason.as_str() {
            "" => format!("{} down to {to} by hand", asked.flag),
            why => why.to_owned(),
        };
        let plane = &self.shared.flag_plane;
        plane
            .change(patch, reason, by.clone())
            .await
            .map_err(|why| {
                ApiError::new(
                    ErrorKind::Unavailable,
                    "ESC-0786",
                    format!("the flag set could not be changed: {why}"),
                    "what a release had turned is taken back; ask again, or kill the flag",
                )
            })?;
        done.push(format!("the flag set gives {} to {to}", asked.flag));
        Ok(())
    }
}

/// The order of those who keep a flag: of those who have it now. Another unit would give it to
/// others.
fn kept_order(
    set: &FlagSet,
    asked: &LowerRollout,
    running: Option<&Rollout>,
) -> Result<ShareOrder, ApiError> {
    let kept = match running {
        Some(running) => Some(ShareOrder::new(&running.salt, running.of.as_deref())),
        None => set.kept_order(&asked.flag, &asked.variant, &asked.environment),
    };
    let Some(kept) = kept else {
        let salt = set.own_salt(&asked.flag);
        return Ok(ShareOrder::new(salt, asked.of.as_deref()));
    };
    let unit = asked.of.as_deref().unwrap_or(kept.unit());
    if asked.to_bp > 0 && unit != kept.unit() {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            "ESC-0791",
            format!(
                "{} reaches a share of {}: of {unit} it would reach others",
                asked.flag,
                kept.unit()
            ),
            "leave the unit out, or turn it off first: `--to off`",
        ));
    }
    Ok(kept)
}

fn known(set: &FlagSet, flag: &str, of: &OfFlag) -> Result<(), ApiError> {
    let turn = unknown_turn(set, flag, &of.variant).into_iter();
    let missing: Vec<String> = turn
        .chain(unknown_environment(set, &of.environment))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ApiError::new(
            ErrorKind::NotFound,
            "ESC-0782",
            format!("the flag set has no {}", missing.join(", and no ")),
            "`esclusa flag list` shows what there is",
        )),
    }
}
