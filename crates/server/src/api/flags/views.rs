//! The bodies of requests and answers about flags.

use super::GuardTroubleView;
use super::measured::MeasuredView;
use crate::flags::SinkView;
use esclusa_flags::Change;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// All flags in short.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FlagsView {
    /// Counts changes of the set.
    pub revision: u64,
    /// The environments there are.
    pub environments: Vec<String>,
    /// Whether every flag is killed.
    pub all_killed: bool,
    /// The flags, by key.
    pub flags: Vec<FlagRow>,
}

/// A flag in short.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FlagRow {
    /// Its key.
    pub key: String,
    /// `boolean`, `string`, `integer`, `float` or `object`.
    #[serde(rename = "type")]
    pub ty: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The project it belongs to.
    pub project: Option<String>,
    /// Whether a kill holds for it.
    pub killed: bool,
    /// Whether its last day is over.
    pub stale: bool,
    /// Its last day.
    pub expires: Option<String>,
    /// How it stands in each environment.
    pub environments: BTreeMap<String, FlagHere>,
}

/// A flag in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlagHere {
    /// Whether it is in use here.
    pub enabled: bool,
    /// The variant where no rule decides.
    pub default: String,
    /// How many rules it has.
    pub rules: usize,
    /// How many single users have a variant of their own.
    pub users: usize,
    /// How many single tenants have.
    pub tenants: usize,
    /// What a release turns here right now, before these rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turned: Option<TurnedHere>,
}

/// What a release turns of a flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnedHere {
    /// The release.
    pub release: String,
    /// The variant.
    pub variant: String,
    /// For which share, hundredths of a percent.
    pub share_bp: u16,
    /// For which segments.
    pub segments: Vec<String>,
}

/// One flag.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FlagView {
    /// The revision of the set.
    pub revision: u64,
    /// In short.
    pub flag: FlagRow,
    /// Its definition as it is written in a set.
    pub definition: Value,
    /// Flags that need it, the nearest first.
    pub dependents: Vec<FlagNeeds>,
}

/// A flag that another one's answer changes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FlagNeeds {
    /// The flag.
    pub flag: String,
    /// The flags from it to the one it needs.
    pub path: Vec<String>,
}

/// Which tenants of the directory get what.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WhoView {
    /// The environment.
    pub environment: String,
    /// The revision.
    pub revision: u64,
    /// The tenants by variant.
    pub variants: Vec<VariantWho>,
}

/// The tenants that a flag gives one variant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VariantWho {
    /// The variant.
    pub variant: String,
    /// The tenants.
    pub tenants: Vec<String>,
}

/// For whom an answer is to be explained.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainFlag {
    /// The environment; the only one there is when absent.
    #[serde(default)]
    pub environment: Option<String>,
    /// The context: `targetingKey`, `tenant`, `user` and what else is known.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub context: Map<String, Value>,
    /// A tester's token that the request would carry; one in the context counts as well.
    #[serde(default)]
    pub tester: Option<String>,
}

/// An answer with everything that led to it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ExplainedView {
    /// The steps as data.
    pub explanation: Value,
    /// The same for people.
    pub text: String,
}

/// Seconds since 1970 in microseconds.
pub(super) fn micros(seconds: u64) -> i64 {
    i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000)
}

/// The change of one field.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema of `Change`, which knows no schemas")]
pub(crate) struct FieldChange {
    /// The field, as a JSON pointer.
    path: String,
    /// What it was; absent or null for a field that was not there.
    before: Option<Value>,
    /// What it is to be, or became; absent or null for a field that is not there.
    after: Option<Value>,
}

/// Fields to change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeFlags {
    /// The revision that was read. Others' changes of other fields since stay.
    pub revision: u64,
    /// The fields as JSON pointers, each with what it was (`before`) and is to be (`after`);
    /// absent for a field that is not there.
    #[schema(value_type = Vec<FieldChange>)]
    pub changes: Vec<Change>,
    /// Why; recorded with the change.
    #[serde(default)]
    pub reason: String,
}

/// A change that was made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangedView {
    /// The revision now.
    pub revision: u64,
    /// What became different.
    #[schema(value_type = Vec<FieldChange>)]
    pub changes: Vec<Change>,
    /// Whether the proxy has it in force.
    pub in_force: bool,
    /// Why not. It is sent again until it has.
    pub note: Option<String>,
}

/// A set of flags, or some of one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyFlags {
    /// The set as JSON, or some of it. Its `revision`, if it names one, is the one that it
    /// was read at: fields that were changed since are not set back unseen.
    #[serde(deserialize_with = "esclusa_flags::unambiguous")]
    pub set: Value,
    /// Whether what the file does not name goes. Otherwise it stays: flags are merged field
    /// by field, their environments and overrides one by one, and `null` takes a field away;
    /// lists of rules, variants, segments, tenants, attributes and guards are taken over
    /// whole.
    #[serde(default)]
    pub replace: bool,
    /// Sets back fields that were changed since the set's own revision.
    #[serde(default)]
    pub force: bool,
    /// The revision that it was made for; any when absent.
    #[serde(default)]
    pub revision: Option<u64>,
    /// Only says what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Why; recorded with the change.
    #[serde(default)]
    pub reason: String,
}

/// What a set changes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AppliedView {
    /// Whether it was changed.
    pub applied: bool,
    /// The revision now.
    pub revision: u64,
    /// The fields that differ.
    #[schema(value_type = Vec<FieldChange>)]
    pub changes: Vec<Change>,
    /// Whether the proxy has it in force.
    pub in_force: bool,
    /// Why not. It is sent again until it has.
    pub note: Option<String>,
    /// Guards of the set that do not do what they seem to. Before it is applied only those of
    /// services that are not known: keys are the proxy's to read.
    #[serde(default)]
    pub guards: Vec<GuardTroubleView>,
}

/// A flag to be deleted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteFlag {
    /// Why; recorded with the change.
    #[serde(default)]
    pub reason: String,
}

/// A change to be taken back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertFlags {
    /// The revision that the change led to.
    pub revision: u64,
    /// Goes back to how everything was at that revision, in place of taking back that one
    /// change.
    #[serde(default)]
    pub everything: bool,
    /// The revision at which that was decided; any when absent.
    #[serde(default)]
    pub expected: Option<u64>,
    /// Only says what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Why; recorded with the change.
    #[serde(default)]
    pub reason: String,
}

/// Environment variables to take over as defaults of an environment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportEnv {
    /// The environment; the only one there is when absent.
    #[serde(default)]
    pub environment: Option<String>,
    /// The variables: `FEATURE_*` and `ESCLUSA_FLAGS`; others are left alone.
    pub variables: BTreeMap<String, String>,
    /// Whether a `FEATURE_*` of an unknown flag makes a boolean flag.
    #[serde(default)]
    pub create: bool,
    /// Only says where they differ from what is stored.
    #[serde(default)]
    pub dry_run: bool,
    /// Why; recorded with the change.
    #[serde(default)]
    pub reason: String,
}

/// What variables change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ImportedView {
    /// Flags that are new.
    pub created: Vec<String>,
    /// The change.
    #[serde(flatten)]
    pub applied: AppliedView,
}

/// What is to be compared before it is changed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoWouldChange {
    /// The environment; the only one there is when absent.
    #[serde(default)]
    pub environment: Option<String>,
    /// The fields that would change.
    #[schema(value_type = Vec<FieldChange>)]
    pub changes: Vec<Change>,
    /// Ask about the contexts that applications asked with lately, as the proxy knows them.
    /// For operators: they name people.
    #[serde(default)]
    pub recent: bool,
    /// The contexts to ask about; each tenant of the directory when absent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub contexts: Option<Vec<Map<String, Value>>>,
}

/// Whose answers would change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WouldChangeView {
    /// How many contexts were asked about.
    pub asked: usize,
    /// How many of them would get another answer of some flag.
    pub contexts: usize,
    /// Each answer that would change, with the context's place in the list; at most 1,000.
    #[schema(value_type = Vec<Object>)]
    pub changed: Vec<Value>,
    /// Why it is not known who asked lately.
    #[serde(default)]
    pub unknown: Option<String>,
}

/// An entry of the record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FlagEntryView {
    /// Its place in the stream; the last one of an entry that is several events.
    pub position: u64,
    /// When it was recorded, microseconds since 1970.
    pub at_us: i64,
    /// When it was decided, where that was before.
    pub decided_at_us: Option<i64>,
    /// Who decided it.
    pub actor: String,
    /// `changed`, `killed`, `lifted` or `tester-granted`.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// The revision that a change led to.
    pub revision: Option<u64>,
    /// The fields, with what they were and what they became. Of a kill and of its lifting
    /// `killed` of its flags, which is no field of a set.
    #[schema(value_type = Vec<FieldChange>)]
    pub changes: Vec<Change>,
    /// The flags that were killed, lifted or granted; absent for all of them.
    pub flags: Option<Vec<String>>,
    /// To whom they were granted.
    #[serde(default)]
    pub to: Option<String>,
    /// What exactly was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<TesterGrantView>,
}

/// What a tester's token shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TesterGrantView {
    /// The variant of each flag.
    pub variants: BTreeMap<String, String>,
    /// The environment in which it counts.
    pub environment: String,
    /// Until when, microseconds since 1970.
    pub until_us: i64,
}

/// A tester, and what is to be shown.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantTester {
    /// Who is given the token, for people.
    pub who: String,
    /// The environment; the only one there is when absent.
    #[serde(default)]
    pub environment: Option<String>,
    /// The variant of each flag.
    pub variants: BTreeMap<String, String>,
    /// For how many seconds it counts, at most 30 days.
    pub for_s: u64,
    /// Why; recorded with the decision.
    #[serde(default)]
    pub reason: String,
}

/// A tester's token, shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GrantedView {
    /// The token.
    pub token: String,
    /// The header, cookie or value of the context that carries it.
    pub name: String,
    /// Until when it counts, microseconds since 1970.
    pub until_us: i64,
}

/// Features to turn off for everybody, or to open again.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillFlags {
    /// Keys or aliases of flags.
    #[serde(default)]
    pub names: Vec<String>,
    /// Every flag, in place of names.
    #[serde(default)]
    pub all: bool,
    /// Why; recorded with the decision.
    #[serde(default)]
    pub reason: String,
}

/// What became of a kill.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FlagsKilledView {
    /// The flags; absent for all.
    pub flags: Option<Vec<String>>,
    /// Flags that are off with them, because they need them.
    #[serde(default)]
    pub off_with_it: Vec<String>,
    /// Its epoch.
    pub epoch: u64,
    /// Whether the proxy has it in force.
    pub in_force: bool,
    /// Why not. It is sent again until it has.
    pub note: Option<String>,
    /// Whether the record has it; it is recorded as soon as that can be.
    pub recorded: bool,
    /// How many open event streams have asked again since.
    pub confirmed: usize,
    /// Those that have not, by name.
    pub unconfirmed: Vec<String>,
    /// Tables that do not have it yet, each with why. Each gets it when its database answers.
    #[serde(default)]
    pub sinks_behind: Vec<String>,
}

/// What became of lifting kills.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FlagsLiftedView {
    /// The flags that were lifted, possibly none; absent for the kill of all.
    pub flags: Option<Vec<String>>,
    /// Its epoch; the one before where nothing was lifted.
    pub epoch: u64,
    /// Whether the proxy has it in force.
    pub in_force: bool,
    /// Why not. It is sent again until it has.
    pub note: Option<String>,
    /// What was asked for and was not killed; `all` for the kill of all.
    #[serde(default)]
    pub not_killed: Vec<String>,
    /// Whether all flags are killed still.
    #[serde(default)]
    pub all_killed: bool,
    /// Flags that are killed still, each by a kill of its own.
    #[serde(default)]
    pub still_killed: Vec<String>,
}

/// How far the flags have come.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PropagationView {
    /// The revision of the set here.
    pub revision: u64,
    /// The kill epoch here.
    pub kill_epoch: u64,
    /// Kills that are in force and not recorded yet.
    pub unrecorded: usize,
    /// What the proxy has in force, as epoch and number; absent when it has not said.
    pub in_force: Option<String>,
    /// Whether that is everything.
    pub current: bool,
    /// What went wrong last, if it still does.
    pub trouble: Option<String>,
    /// How many event streams are open at the proxy.
    pub streams: usize,
    /// How many of them have been told of this revision and kill epoch.
    pub told: usize,
    /// How many have asked for it since.
    pub fetched: usize,
    /// Those that have not; at most 100.
    pub behind: Vec<FlagStreamView>,
    /// What became of exposures at the proxy; absent where none are recorded, or where it
    /// does not say.
    #[serde(default)]
    pub exposures: Option<ExposuresView>,
    /// How long changes took to reach a subscriber of this server, for each proxy; empty
    /// when this server was not told where flags are answered.
    #[serde(default)]
    pub measured: Vec<MeasuredView>,
    /// The tables that follow the flags.
    #[serde(default)]
    pub sinks: Vec<SinkView>,
    /// Why the file that names these tables is not in force, if it is not.
    #[serde(default)]
    pub sinks_trouble: Option<String>,
    /// Guards that do not do what they seem to.
    #[serde(default)]
    pub guards: Vec<GuardTroubleView>,
}

/// What became of exposures since the proxy's start.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ExposuresView {
    /// Environments in which answers are recorded.
    pub environments: Vec<String>,
    /// Written.
    pub recorded: u64,
    /// Left out because the same was recorded shortly before.
    pub repeated: u64,
    /// Lost because too many waited for the disk.
    pub dropped: u64,
    /// Lost because the disk did not take them.
    pub unwritten: u64,
    /// What went wrong with the disk last, if it still does.
    pub trouble: Option<String>,
}

/// An open event stream.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FlagStreamView {
    /// The token's name, and what the client says of itself.
    pub who: String,
    /// Since when, microseconds since 1970.
    pub since_us: i64,
    /// The revision and kill epoch that it was told last.
    pub told: (u64, u64),
    /// The same of what it asked for last.
    pub fetched: Option<(u64, u64)>,
}
