//! How each table stands, for people, machines and kills.

use super::keep::Looked;
use crate::clock;
use esclusa_drivers::sink::{Place, SinksConfig};
use esclusa_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use utoipa::ToSchema;

/// Most things that are named in one place.
const NAMED: usize = 20;

/// A state of everything about flags. It only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::flags) struct Mark {
    /// The revision of the set.
    pub revision: u64,
    /// Counts kills, rollouts and what else is published.
    pub version: u64,
}

impl Mark {
    fn has(self, wanted: Self) -> bool {
        self.revision >= wanted.revision && self.version >= wanted.version
    }
}

/// How a table stands that follows the flags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SinkView {
    /// Its name.
    pub name: String,
    /// Its kind, such as `postgres`.
    pub kind: String,
    /// The table.
    pub table: String,
    /// `reached`, `behind`, or `unknown` before the first look.
    pub state: String,
    /// Since when it is behind, microseconds since 1970.
    pub behind_since_us: Option<i64>,
    /// When it was looked at last.
    pub looked_at_us: Option<i64>,
    /// Why it is behind, if that is known.
    pub error: Option<String>,
    /// Rows that it has to hold.
    pub rows: usize,
    /// Rows written since the server began.
    pub written: u64,
    /// Values found changed by somebody else since the server began.
    pub drift: u64,
    /// Values that somebody else changed and that are left so: by key and column, at most 20.
    pub left: Vec<String>,
    /// How many rows are missing.
    pub missing: usize,
    /// Their keys, at most 20.
    pub missing_keys: Vec<String>,
    /// Flags that it names and nobody has defined.
    pub unknown_flags: Vec<String>,
    /// What else is not as the file says, at most 20.
    pub notes: Vec<String>,
}

/// One table.
#[derive(Debug, Default)]
struct Standing {
    kind: &'static str,
    table: String,
    reached: Option<Mark>,
    behind_since: Option<Timestamp>,
    looked_at: Option<Timestamp>,
    error: Option<String>,
    rows: usize,
    written: u64,
    drift: u64,
    failures: u64,
    left: BTreeSet<Place>,
    missing: Vec<String>,
    unknown: Vec<String>,
    notes: Vec<String>,
}

/// All tables.
#[derive(Debug)]
pub(in crate::flags) struct Board {
    all: Mutex<BTreeMap<String, Standing>>,
    /// Why the file is not in force.
    trouble: Mutex<Option<String>>,
    /// Counts looks.
    looks: watch::Sender<u64>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            trouble: Mutex::default(),
            looks: watch::channel(0).0,
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// Takes up the tables of a file. Those that were there before keep their counts.
    pub(super) fn begin(&self, config: &SinksConfig) {
        *lock(&self.trouble) = None;
        let mut all = lock(&self.all);
        let mut before = std::mem::take(&mut *all);
        for sink in &config.sinks {
            let old = before.remove(&sink.name).unwrap_or_default();
            let standing = Standing {
                kind: sink.kind,
                table: sink.layout.table().to_string(),
                written: old.written,
                drift: old.drift,
                failures: old.failures,
                ..Standing::default()
            };
            all.insert(sink.name.clone(), standing);
        }
    }

    /// The file is wrong.
    pub(super) fn in_trouble(&self, why: String) {
        *lock(&self.trouble) = Some(why);
    }

    /// Why the file is not in force.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// A table is about to be looked at.
    pub(super) fn begins(&self, name: &str, mark: Mark) {
        if let Some(one) = lock(&self.all).get_mut(name)
            && one.reached != Some(mark)
        {
            one.behind_since.get_or_insert(clock::now());
        }
    }

    /// Takes down what became of a look at a table, and tells of what is news.
    pub(super) fn looked(&self, name: &str, looked: Looked) {
        {
            let mut all = lock(&self.all);
            let Some(one) = all.get_mut(name) else { return };
            one.looked(name, looked);
        }
        self.looks
            .send_modify(|looks| *looks = looks.wrapping_add(1));
    }

    /// The tables that do not have what `mark` stands for, with what is known of why. Those
    /// that are well are waited for so long; those that are not are named at once.
    pub(in crate::flags) async fn behind(&self, mark: Mark, patience: Duration) -> Vec<String> {
        let mut looks = self.looks.subscribe();
        let until = tokio::time::Instant::now() + patience;
        loop {
            looks.mark_unchanged();
            let (behind, hope) = self.without(mark);
            let timeout = tokio::time::timeout_at(until, looks.changed());
            if !hope || !matches!(timeout.await, Ok(Ok(()))) {
                return behind;
            }
        }
    }

    /// Who does not have it, and whether one of them may have it in a moment.
    fn without(&self, mark: Mark) -> (Vec<String>, bool) {
        let all = lock(&self.all);
        let behind = all
            .iter()
            .filter(|(_, one)| !(one.error.is_none() && one.reached.is_some_and(|r| r.has(mark))));
        let hope = behind.clone().any(|(_, one)| one.error.is_none());
        let words = behind.map(|(name, one)| match &one.error {
            Some(error) => format!("{name}: {error}"),
            None => format!("{name}: it has not answered yet"),
        });
        (words.collect(), hope)
    }

    /// How all stand; `mark` is how flags are now.
    pub(in crate::flags) fn views(&self, mark: Mark) -> Vec<SinkView> {
        let all = lock(&self.all);
        let views = all.iter().map(|(name, one)| one.view(name, mark));
        views.collect()
    }

    /// Appends what there is to count as Prometheus text.
    pub(in crate::flags) fn metrics(&self, mark: Mark, out: &mut String) {
        type Value<'a> = &'a dyn Fn(&Standing) -> u64;
        let now = clock::now();
        let reached = |one: &Standing| u64::from(one.is_reached(mark));
        let behind = |one: &Standing| one.behind_since.map_or(0, |at| now.since(at).as_secs());
        let lines: [(&str, &str, &str, Value<'_>); 7] = [
            (
                "reached",
                "gauge",
                "Whether a table holds what flags are.",
                &reached,
            ),
            (
                "behind_seconds",
                "gauge",
                "How long a table has not held what flags are.",
                &behind,
            ),
            (
                "rows_written_total",
                "counter",
                "Rows written into a table.",
                &|one| one.written,
            ),
            (
                "drift_total",
                "counter",
                "Values of a table that somebody else changed.",
                &|one| one.drift,
            ),
            (
                "failures_total",
                "counter",
                "Looks at a table that failed.",
                &|one| one.failures,
            ),
            (
                "left",
                "gauge",
                "Values of a table that somebody else changed and that are left so.",
                &|one| one.left.len() as u64,
            ),
            (
                "missing_rows",
                "gauge",
                "Rows that a table lacks.",
                &|one| one.missing.len() as u64,
            ),
        ];
        let all = lock(&self.all);
        // Writing to a string cannot fail. Names of sinks need no quoting.
        for (name, kind, help, value) in lines {
            let name = format!("esclusa_flag_sink_{name}");
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (sink, one) in all.iter() {
                let _ = writeln!(out, "{name}{{sink=\"{sink}\"}} {}", value(one));
            }
        }
        let good = u8::from(lock(&self.trouble).is_none());
        let name = "esclusa_flag_sinks_in_force";
        let help = "Whether the file that names tables is in force as it is.";
        let _ = writeln!(
            out,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {good}"
        );
    }
}

impl Standing {
    fn is_reached(&self, mark: Mark) -> bool {
        self.error.is_none() && self.reached.is_some_and(|reached| reached.has(mark))
    }

    fn looked(&mut self, name: &str, looked: Looked) {
        self.looked_at = Some(clock::now());
        self.unknown = looked.unknown;
        self.notes = looked.notes;
        let error = match looked.mirrored {
            Ok(mirrored) => {
                self.rows = looked.rows;
                self.reached = Some(looked.mark);
                self.written += mirrored.written as u64;
                if !mirrored.missing.is_empty() && mirrored.missing != self.missing {
                    let (count, keys) = (mirrored.missing.len(), named(&mirrored.missing));
                    tracing::warn!(sink = name, count, keys, "A table lacks rows");
                }
                self.missing = mirrored.missing;
                self.drifted(name, &mirrored.drifted, mirrored.left);
                (!mirrored.doubled.is_empty()).then(|| {
                    let (table, keys) = (&self.table, named(&mirrored.doubled));
                    format!("{table} has more than one row for {keys}; none of these is written")
                })
            }
            Err(error) => Some(error),
        };
        match (&self.error, &error) {
            (None, None) => {}
            (Some(_), None) => tracing::info!(sink = name, "A table follows the flags again"),
            (before, Some(now)) => {
                self.failures += 1;
                if before.as_ref() != Some(now) {
                    tracing::warn!(
                        sink = name,
                        error = now,
                        "A table does not follow the flags"
                    );
                }
            }
        }
        self.behind_since = match &error {
            Some(_) => self.behind_since.or(self.looked_at),
            None => None,
        };
        self.error = error;
    }

    /// Counts what others changed, each change once.
    fn drifted(&mut self, name: &str, drifted: &[Place], left: Vec<Place>) {
        let fresh: Vec<String> = drifted
            .iter()
            .filter(|place| !self.left.contains(place))
            .map(ToString::to_string)
            .collect();
        if !fresh.is_empty() {
            self.drift += fresh.len() as u64;
            let (count, places) = (fresh.len(), named(&fresh));
            let left = left.len();
            let words = "Somebody else changed flags in a table";
            tracing::warn!(sink = name, count, left, places, "{words}");
        }
        self.left = left.into_iter().collect();
    }

    fn view(&self, name: &str, mark: Mark) -> SinkView {
        let state = match (self.is_reached(mark), self.looked_at) {
            (true, _) => "reached",
            (false, Some(_)) => "behind",
            (false, None) => "unknown",
        };
        let first = |all: &[String]| all.iter().take(NAMED).cloned().collect();
        SinkView {
            name: name.to_owned(),
            kind: self.kind.to_owned(),
            table: self.table.clone(),
            state: state.to_owned(),
            behind_since_us: self.behind_since.map(|at| at.0),
            looked_at_us: self.looked_at.map(|at| at.0),
            error: self.error.clone(),
            rows: self.rows,
            written: self.written,
            drift: self.drift,
            left: self
                .left
                .iter()
                .take(NAMED)
                .map(ToString::to_string)
                .collect(),
            missing: self.missing.len(),
            missing_keys: first(&self.missing),
            unknown_flags: self.unknown.clone(),
            notes: first(&self.notes),
        }
    }
}

/// The first of these, and how many more there are.
fn named(all: &[String]) -> String {
    let first: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    match all.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
