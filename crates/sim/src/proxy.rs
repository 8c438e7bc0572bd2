//! One proxy: the generation in force, the dead-man rule, and who may tell it what.

use esclusa_model::{BasisPoints, Millis, ReleaseId, Timestamp};
use esclusa_plan::{HoldOrReturn, LostControl};
use esclusa_release::Exposure;

/// What a generation says of the service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    pub release: ReleaseId,
    pub exposure: Exposure,
    pub lost_control: LostControl,
}

/// When a return by itself is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgets {
    /// By a generation in which nobody is exposed: its sender knows.
    WhenNobodyIsExposed,
    /// By any generation once a controller was shown the return; only a mutant does it,
    /// because who was shown it and who sends may not have spoken yet.
    WhenTold,
}

/// What a controller is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Status {
    pub boot: u32,
    pub name: (u64, u64),
    pub returned: Option<ReleaseId>,
}

/// The proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub boot: u32,
    /// Epoch and number of what is in force.
    pub name: (u64, u64),
    pub route: Option<Route>,
    pub returned: Option<ReleaseId>,
    told: bool,
    /// Whether a controller can reach it.
    pub linked: bool,
    /// Since when it has heard nobody.
    pub silent_since: Option<Timestamp>,
    /// Without its fence it obeys everybody; only mutants switch it off.
    pub fenced: bool,
    pub forgets: Forgets,
}

impl Proxy {
    pub(crate) const fn new() -> Self {
        Self {
            boot: 1,
            name: (0, 0),
            route: None,
            returned: None,
            told: false,
            linked: true,
            silent_since: None,
            fenced: true,
            forgets: Forgets::WhenNobodyIsExposed,
        }
    }

    /// Puts a generation in force, or says why not.
    pub(crate) fn publish(&mut self, name: (u64, u64), route: Option<Route>) -> Result<(), String> {
        if !self.linked {
            return Err("the proxy did not answer in time".into());
        }
        if self.fenced && name < self.name {
            return Err(format!(
                "refused, epoch {} is over: epoch {} is in charge",
                name.0, self.name.0
            ));
        }
        self.name = name;
        let forgets = match self.forgets {
            Forgets::WhenTold => self.told,
            Forgets::WhenNobodyIsExposed => route.as_ref().is_none_or(|r| r.exposure.is_nobody()),
        };
        let other = route.as_ref().map(|r| &r.release) != self.returned.as_ref();
        if forgets || other {
            self.returned = None;
        }
        self.route = route;
        self.silent_since = None;
        Ok(())
    }

    /// A heartbeat and its answer.
    pub(crate) fn heartbeat(&mut self, epoch: u64) -> Option<Status> {
        if !self.linked || self.fenced && epoch < self.name.0 {
            return None;
        }
        self.silent_since = None;
        self.told = true;
        Some(Status {
            boot: self.boot,
            name: self.name,
            returned: self.returned.clone(),
        })
    }

    /// The share that users see of the canary.
    pub(crate) fn shows(&self) -> Exposure {
        match &self.route {
            Some(route) if self.returned.as_ref() != Some(&route.release) => route.exposure.clone(),
            _ => Exposure::default(),
        }
    }

    /// How long it waits for a controller before it acts alone, if it would.
    pub(crate) fn patience(&self) -> Option<Millis> {
        let route = self.route.as_ref()?;
        let partial = self.shows().share.is_partial();
        (partial && route.lost_control.then == HoldOrReturn::Return)
            .then_some(route.lost_control.after)
    }

    /// Looks whether anybody still controls it; whether it took the share back.
    pub(crate) fn look(&mut self, now: Timestamp) -> Option<ReleaseId> {
        let silent_since = self.silent_since?;
        if now.since(silent_since) < self.patience()? {
            return None;
        }
        let release = self.route.as_ref()?.release.clone();
        self.returned = Some(release.clone());
        self.told = false;
        Some(release)
    }

    /// Dies and begins again from its state file; its silence goes on.
    pub(crate) const fn restart(&mut self) {
        self.boot += 1;
        self.told = false;
    }
}

/// Nobody sees anything.
pub(crate) const NOBODY: BasisPoints = BasisPoints::ZERO;
