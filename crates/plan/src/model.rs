//! A plan that was parsed, checked and expanded: everything a release needs to know.
//!
//! Stored whole in the release's first event, so its shape is a contract.

use esclusa_judge::{JudgeConfig, SeriesName};
use esclusa_model::{
    BasisPoints, ComponentKind, ComponentName, Millis, Salt, ServiceName, VersionName,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How one service is released.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The service.
    pub service: ServiceName,
    /// How its traffic reaches it; absent for a service without a web component.
    pub route: Option<Route>,
    /// What turns the share: `proxy` unless the plan names another.
    pub traffic: DriverUse,
    /// What it is made of; nothing where the plan turns flags alone.
    pub components: BTreeMap<ComponentName, Component>,
    /// Flags that the release turns for whoever it exposes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<FlagTurns>,
    /// What already serves its users and becomes stable as it is.
    pub take_over: Option<TakeOver>,
    /// Segments by name, each an expression over a request.
    pub segments: BTreeMap<String, String>,
    /// All unit ids, when they are known.
    pub population: Vec<String>,
    /// Orders the units; the release's id when absent.
    pub salt: Option<Salt>,
    /// What must be so before anybody is exposed.
    pub requires: Vec<Requirement>,
    /// Steps before the canary is started, in order.
    pub before: Vec<Step>,
    /// Who decides, and how strictly.
    pub judge: JudgeConfig,
    /// Who is asked for the judge's series, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<SeriesName, DriverUse>,
    /// Levels of exposure in order; the last is 100 %.
    pub stages: Vec<Stage>,
    /// Steps after 100 % and its watch, in order.
    pub after: Vec<Step>,
    /// How long the version before stays ready to return to.
    pub keep_warm: Millis,
    /// How long a hold may last, and what ends it.
    pub hold: Hold,
    /// What happens to a second version while this one is on its way.
    pub on_conflict: OnConflict,
    /// Longest time for all instances of the canary to become ready.
    pub deploy_timeout: Millis,
    /// Longest time for the dial to show what was asked of it, either way.
    #[serde(default = "dial_limit")]
    pub dial_timeout: Millis,
}

/// The time of a dial unless a plan says otherwise. A DNS record with a minute's
/// time-to-live fits; with much more nobody could call the release under control.
pub const DIAL_LIMIT: Millis = Millis(120_000);

/// For plans that were stored before they could say it.
const fn dial_limit() -> Millis {
    DIAL_LIMIT
}

/// Flags that are turned as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagTurns {
    /// The flags in the plan's order, never none. Requests are told apart by the first.
    pub set: Vec<FlagTurn>,
    /// The environment in which they are turned.
    pub environment: String,
    /// The attribute that names the unit of a share; `targetingKey` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Whether they may be on for somebody already when the release begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_on: bool,
}

/// A flag and what it is turned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagTurn {
    /// The flag.
    pub flag: String,
    /// The variant that it serves to whoever is exposed.
    pub variant: String,
}

impl FlagTurns {
    /// A name for a release that turns these and nothing else, such as `exec-reports-on`.
    #[must_use]
    pub fn version_name(&self) -> Option<VersionName> {
        let first = self.set.first()?;
        let more = match self.set.len() - 1 {
            0 => String::new(),
            n => format!("+{n}"),
        };
        let room = 128usize.checked_sub(more.len())?;
        let name: String = format!("{}-{}", first.flag, first.variant);
        VersionName::new(format!(
            "{}{more}",
            name.chars().take(room).collect::<String>()
        ))
        .ok()
    }
}

impl fmt::Display for FlagTurns {
    /// Such as `exec-reports on, reports-api on`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, turn) in self.set.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", turn.flag, turn.variant)?;
        }
        Ok(())
    }
}

/// A driver and its checked, normalised configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverUse {
    /// The driver's name in its registry.
    pub driver: String,
    /// Its block, as the catalog's field kinds normalise it.
    pub config: serde_json::Value,
}

/// Where a service's requests arrive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Socket address to listen on.
    pub listen: String,
    /// Host name, lower case, without port; any when absent.
    pub host: Option<String>,
    /// Path prefix on segment borders; any when absent.
    pub path: Option<String>,
    /// Where a request's unit is read from, in order.
    pub sticky: Vec<Sticky>,
    /// What proxies do when nobody controls them.
    pub lost_control: LostControl,
    /// Named routes, `METHOD /pattern`.
    pub routes: Vec<NamedRoute>,
    /// Longest wait for a response's head.
    pub response_timeout: Millis,
    /// Largest request body in bytes.
    pub max_body_bytes: u64,
    /// Addresses (CIDR) whose forwarding headers are believed.
    pub trusted_proxies: Vec<String>,
}

/// Where a unit comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sticky {
    /// A request header, lower case.
    Header(String),
    /// The signed unit cookie.
    Cookie,
}

/// A route the judge tells apart by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRoute {
    /// Upper-case method; any when absent.
    pub method: Option<String>,
    /// `/orders/:id`, with an optional trailing `*`.
    pub path: String,
}

/// The dead-man rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostControl {
    /// Silence that counts as lost.
    pub after: Millis,
    /// Keep the share, or send everybody to stable.
    pub then: HoldOrReturn,
}

/// What a proxy does alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldOrReturn {
    /// Keep the share.
    Hold,
    /// Everybody to stable.
    Return,
}

/// One part of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// How it is exposed.
    pub kind: ComponentKind,
    /// How many copies run.
    pub instances: u16,
    /// Which of the service's requests a web component answers beside another; absent
    /// for the one that answers the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<PartRoute>,
    /// File, folder or tar that is the version, as a template; `None` for drivers
    /// that only name it.
    pub artifact: Option<String>,
    /// What starts and stops it.
    pub run: DriverUse,
}

/// Requests that one of several web components answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRoute {
    /// Host name, lower case, without port; any when absent.
    pub host: Option<String>,
    /// Path prefix on segment borders; any when absent.
    pub path: Option<String>,
}

/// A version that runs already, to be taken over as stable without touching it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeOver {
    /// Its name.
    pub version: VersionName,
    /// Where its web component answers.
    pub url: String,
    /// Sent to it as `Host` instead of the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_header: Option<String>,
    /// PEM file of the private certificate authority that vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// A condition for the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Requirement {
    /// A check by a driver.
    Check {
        /// Name for people and evidence, unique within the plan.
        name: String,
        /// The check.
        check: DriverUse,
        /// Longest time for one answer.
        timeout: Millis,
        /// Whether it names the canary and is therefore asked once that runs.
        needs_canary: bool,
    },
    /// People who must agree, one of each role.
    SignOff {
        /// The roles.
        roles: Vec<String>,
        /// Longest wait for all of them.
        within: Millis,
        /// Whether whoever asked for the release is not among those who may agree.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        not_by_author: bool,
        /// What each of them has to confirm as done; possibly nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<String>,
    },
}

/// A command of the plan, with what takes it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Name for people and evidence, unique within its list.
    pub name: String,
    /// Words of the command, as templates.
    pub command: Vec<String>,
    /// Longest run.
    pub timeout: Millis,
    /// What takes it back; run in reverse order once all shares are back.
    pub undo: Option<Undo>,
}

/// What takes a step back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// Words of the command, as templates.
    pub command: Vec<String>,
    /// Longest run.
    pub timeout: Millis,
}

/// One level of exposure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Stage {
    /// Synthetic requests to the canary alone, before any user.
    WarmUp(WarmUp),
    /// Real users.
    Expose(Expose),
}

/// Synthetic GET requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// Paths, asked in turn.
    pub get: Vec<String>,
    /// Requests per second over all paths, in thousandths.
    pub rate_per_1000s: u64,
    /// How long.
    pub for_: Millis,
}

/// A share or segment of real users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expose {
    /// Who.
    pub to: Audience,
    /// Least time to watch before going on; at 100 %, `watch`.
    pub for_: Millis,
    /// May go on sooner once harmlessness is proved.
    pub early: bool,
    /// Time this stage should need at most; a longer one is reported (PRE-24).
    pub budget: Option<Millis>,
}

/// Who is exposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Audience {
    /// A segment of the plan; not drawn at random, so not comparable.
    Segment(String),
    /// A share of all units.
    Share(BasisPoints),
}

/// The deadline of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// How long a release may wait for proof or a person in one stage.
    pub for_: Millis,
    /// What then.
    pub then: HoldThen,
}

/// What ends a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldThen {
    /// Everybody back to stable.
    Rollback,
    /// Go on waiting; `release start --wait` reports `held`.
    Hold,
}

/// What a second version does while one is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The second is refused.
    #[default]
    Refuse,
    /// The second waits for the end of the first.
    Queue,
    /// The first is aborted for the second.
    Supersede,
}

impl Component {
    /// Whether a running instance is told that its track has changed, by hook or by
    /// signal, and can therefore stand by before it acts.
    #[must_use]
    pub fn is_told_its_track(&self) -> bool {
        let says = |key: &&str| {
            let value = self.run.config.get(key);
            value.is_some_and(|value| !value.is_null())
        };
        ["track-hook", "track-signal"].iter().any(says)
    }
}

impl Plan {
    /// The flags of a plan that turns nothing else: no version comes and none goes.
    #[must_use]
    pub fn flags_alone(&self) -> Option<&FlagTurns> {
        self.flags.as_ref().filter(|_| self.components.is_empty())
    }

    /// The web component that answers whatever no other one does, if there is any.
    #[must_use]
    pub fn web(&self) -> Option<(&ComponentName, &Component)> {
        self.webs().min_by_key(|(_, c)| c.route.is_some())
    }

    /// All web components.
    pub fn webs(&self) -> impl Iterator<Item = (&ComponentName, &Component)> {
        self.components
            .iter()
            .filter(|(_, c)| c.kind == ComponentKind::Web)
    }
}
