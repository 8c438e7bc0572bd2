//! What tables have to hold, and who waits for them: nobody. FLAG-08

use super::keep::keep;
use super::wanted::{Desired, desired};
use super::{check, sink_by_hand};
use crate::flags::tests::{World, ana, until};
use async_trait::async_trait;
use esclusa_drivers::sink::{Known, Mirrored, Sink, SinkConfig, SinkError, SinksConfig, Wanted};
use esclusa_flags::{FlagSet, KillMark, Kills, Snapshot};
use esclusa_model::{GenerationId, Millis};
use esclusa_plan::SourceFile;
use esclusa_wire::{FlagDocument, FlagsFile};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn sinks(layout: &str) -> SinksConfig {
    let text = format!("sinks:\n  - name: crm\n    postgres: {{ url: 'env:CRM' }}\n{layout}");
    check(&SourceFile::new("sinks.yaml", text)).expect("good")
}

fn sink(layout: &str) -> SinkConfig {
    sinks(layout).sinks.remove(0)
}

fn set(more: &Value) -> FlagSet {
    let mut set = json!({
        "environments": ["production"],
        "tenants": {
            "a": { "attributes": { "nr": 1 } }, "b": { "attributes": { "nr": 2 } },
            "c": { "attributes": { "nr": "03" } }, "d": { "attributes": { "nr": 4 } },
        },
        "flags": {
            "half": { "type": "boolean", "environments": { "production": { "rules": [
                { "share": { "of": "tenant", "basis-points": 5000 }, "variant": "on" }] } } },
            "needs": { "type": "boolean", "default": "on",
                       "prerequisites": [{ "flag": "half", "variant": "on" }] },
            "colour": { "type": "string", "default": "red", "off": "grey",
                        "variants": { "red": "#f00", "grey": "#888" } },
            "users": { "type": "boolean", "environments": { "production": { "rules": [
                { "share": { "basis-points": 5000 }, "variant": "on" }] } } },
        }
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        set["tenants"][key] = value.clone();
    }
    FlagSet::from_json(set).expect("a set")
}

fn rows(found: &Desired) -> Vec<String> {
    let row = |row: &esclusa_drivers::sink::WantedRow| {
        let cells: Vec<&str> = row.cells.iter().map(|cell| cell.value.as_str()).collect();
        format!("{}: {}", row.name(), cells.join(" "))
    };
    found.wanted.rows.iter().map(row).collect()
}

fn killed(flag: &str) -> Kills {
    let mark = KillMark {
        epoch: 1,
        killed: true,
    };
    Kills {
        flags: [(flag.to_owned(), mark)].into(),
        ..Kills::default()
    }
}

const COLUMNS: &str = "
    columns:
      table: features
      tenant: { column: id, attribute: nr, as: integer }
      flags: { half: a, needs: b, colour: c, later: d }
";

#[test]
fn a_tenants_row_is_what_the_evaluator_answers() {
    let config = sink(COLUMNS);
    let set = set(&Value::Null);
    let live = Snapshot::compile(&set, "production").expect("compiles");
    let found = desired(&config, &set, &live);
    assert_eq!(found.unknown, ["later"]);
    assert_eq!(found.notes.len(), 1);
    assert!(
        found.notes[0].contains("its variant grey has no value here"),
        "{:?}",
        found.notes
    );
    assert_eq!(found.wanted.columns, ["a", "b"]);
    let on: Vec<String> = esclusa_flags::tenants_by_variant(&live, "half")
        .into_iter()
        .find(|(variant, _)| variant == "on")
        .map(|(_, tenants)| tenants)
        .expect("two of four");
    assert_eq!(on.len(), 2);
    let expected: Vec<String> = ["a", "b", "c", "d"]
        .iter()
        .zip(1..)
        .map(|(id, number)| {
            let is = on.iter().any(|known| known == id);
            format!("{number}: {is} {is}")
        })
        .collect();
    assert_eq!(rows(&found), expected);
    // Killed, and what needs it with it: both are written whatever others did there.
    let dead = Snapshot::compile_with(&set, "production", &killed("half")).expect("compiles");
    let found = desired(&config, &set, &dead);
    let off = ["1", "2", "3", "4"].map(|key| format!("{key}: false false"));
    assert_eq!(rows(&found), off);
    let mut cells = found.wanted.rows.iter().flat_map(|row| &row.cells);
    assert!(cells.all(|cell| cell.always));
}

// The next step is that of what is missing.
#[test]
fn a_statement_that_cannot_be_made_says_what_is_missing() {
    let config = sink(COLUMNS);
    let made = |set: Option<FlagSet>| {
        let saved = FlagsFile {
            document: set.map(|set| FlagDocument {
                v: esclusa_wire::WIRE_VERSION,
                id: GenerationId::default(),
                set,
                kills: Kills::default(),
                rollouts: Vec::new(),
                tokens: Vec::new(),
                key: String::new(),
                journal: Vec::new(),
            }),
            ..FlagsFile::default()
        };
        sink_by_hand(&config, &saved)
    };
    assert!(made(Some(set(&Value::Null))).is_ok());
    let mut several = set(&Value::Null);
    several.environments.insert("staging".into());
    let none = made(Some(several)).expect_err("which one?");
    assert!(none.why.contains("several environments"), "{none:?}");
    assert!(none.help.contains("`environment` of this sink"), "{none:?}");
    assert!(none.help.ends_with("production, staging"), "{none:?}");
    let empty = made(None).expect_err("no flags");
    assert!(empty.help.contains("--data"), "{empty:?}");
}

#[test]
fn tenants_without_a_key_of_their_own_are_named_and_left_out() {
    let set = set(&json!({
        "e": { "attributes": { "nr": 1 } }, "f": { "attributes": { "nr": "x" } }, "g": {},
    }));
    let live = Snapshot::compile(&set, "production").expect("compiles");
    let found = desired(&sink(COLUMNS), &set, &live);
    let keys: Vec<String> = found.wanted.rows.iter().map(|row| row.name()).collect();
    assert_eq!(keys, ["2", "3", "4"]);
    for words in [
        "tenants a, e are left out",
        "tenant f is left out",
        "tenant g is left out",
    ] {
        assert!(
            found.notes.iter().any(|note| note.contains(words)),
            "{words}: {:?}",
            found.notes
        );
    }
}

#[test]
fn a_row_a_flag_holds_what_nobody_in_particular_gets() {
    let text = "
    rows: { table: flags, name: name, value: v, names: { half: HALF } }
    values: { as: text, variants: { on: 'yes', off: 'no' } }
";
    let set = set(&Value::Null);
    let live = Snapshot::compile(&set, "production").expect("compiles");
    let found = desired(&sink(text), &set, &live);
    assert_eq!(
        rows(&found),
        ["colour: #f00", "HALF: no", "needs: no", "users: no"]
    );
    // A share is no answer for everybody.
    assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
    let tenants = "
    rows: { table: flags, name: name, value: v, tenant: { column: t }, flags: [users, half] }
    values: { as: smallint }
";
    let found = desired(&sink(tenants), &set, &live);
    assert_eq!(found.wanted.rows.len(), 8);
    assert!(
        rows(&found).contains(&"users a: 0".to_owned()),
        "{:?}",
        rows(&found)
    );
    assert!(
        found.notes.iter().all(|note| note.starts_with("users ")),
        "{:?}",
        found.notes
    );
    let twice = "
    rows: { table: flags, name: name, value: v, flags: [half, needs], names: { half: needs } }
";
    let found = desired(&sink(twice), &set, &live);
    assert_eq!((found.wanted.rows.len(), found.notes.len()), (0, 2));
}

/// A database that does as it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Works,
    Fails,
    Hangs,
}

struct Fake {
    mood: Mutex<Mood>,
    wrote: Mutex<Vec<Wanted>>,
}

#[async_trait]
impl Sink for Fake {
    async fn mirror(&self, wanted: &Wanted, known: &Known) -> Result<Mirrored, SinkError> {
        let mood = *self.mood.lock().expect("whole");
        match mood {
            Mood::Works => {
                self.wrote.lock().expect("whole").push(wanted.clone());
                Ok(Mirrored {
                    known: known.clone(),
                    written: 1,
                    ..Mirrored::default()
                })
            }
            Mood::Fails => Err(SinkError::Unreachable("it is down".into())),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

const HOUR: Millis = Millis::from_secs(3_600);

const TWO: &str = "
    columns: { table: features, tenant: { column: id }, flags: { exec: exec } }
";

fn on_for_all() -> FlagSet {
    let set = json!({ "environments": ["production"], "tenants": { "acme": {} },
        "flags": { "exec": { "type": "boolean", "default": "on" } } });
    FlagSet::from_json(set).expect("a set")
}

fn keep_by(world: &World, mood: Mood, every: Millis) -> Arc<Fake> {
    let fake = Arc::new(Fake {
        mood: Mutex::new(mood),
        wrote: Mutex::default(),
    });
    let mut config = sinks(TWO);
    config.sinks[0].sink = fake.clone();
    config.sinks[0].every = every;
    world.flags.sinks.begin(&config);
    tokio::spawn(keep(Arc::clone(&world.flags), config.sinks.remove(0)));
    fake
}

async fn kept(mood: Mood, every: Millis) -> (World, Arc<Fake>) {
    let world = World::start().await;
    let set = serde_json::to_value(on_for_all()).expect("written");
    world.define(set).await;
    let fake = keep_by(&world, mood, every);
    (world, fake)
}

fn state(world: &World) -> String {
    world.flags.sinks()[0].state.clone()
}

// EMG-01: a kill is in force and answered, whatever databases do.
#[tokio::test]
async fn a_kill_names_a_table_that_hangs_and_does_not_wait_for_it() {
    let (world, _) = kept(Mood::Hangs, HOUR).await;
    until("a look", || {
        world.flags.sinks()[0].behind_since_us.is_some()
    })
    .await;
    let begun = Instant::now();
    let done = world.flags.kill(None, "errors", &ana()).await;
    assert_eq!((done.in_force, done.recorded), (Ok(()), true));
    assert_eq!(done.sinks_behind, ["crm: it has not answered yet"]);
    assert!(world.at_proxy(|now| now.kills.all.killed));
    // A second for those who follow, the record's two beside it; the table may take 55.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(state(&world), "unknown");
}

#[tokio::test]
async fn a_table_that_is_down_is_named_at_once_and_follows_when_it_is_back() {
    let (world, fake) = kept(Mood::Fails, HOUR).await;
    until("a failure", || world.flags.sinks()[0].error.is_some()).await;
    assert_eq!(state(&world), "behind");
    let done = world.flags.kill(None, "errors", &ana()).await;
    assert_eq!(
        done.sinks_behind,
        ["crm: the database cannot be reached: it is down"]
    );
    assert!(fake.wrote.lock().expect("whole").is_empty());
    *fake.mood.lock().expect("whole") = Mood::Works;
    until("it follows", || state(&world) == "reached").await;
    {
        let wrote = fake.wrote.lock().expect("whole");
        let cell = &wrote.last().expect("a look").rows[0].cells[0];
        assert_eq!((cell.value.as_str(), cell.always), ("false", true));
    }
    let view = world.flags.sinks().remove(0);
    assert_eq!((view.error, view.behind_since_us), (None, None));
    let mut text = String::new();
    world.flags.sink_metrics(&mut text);
    assert!(
        text.contains("esclusa_flag_sink_reached{sink=\"crm\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_table_that_works_has_a_kill_when_it_is_answered() {
    let (world, fake) = kept(Mood::Works, HOUR).await;
    until("it follows", || state(&world) == "reached").await;
    let done = world.flags.kill(None, "errors", &ana()).await;
    assert_eq!(done.sinks_behind, Vec::<String>::new());
    let wrote = fake.wrote.lock().expect("whole");
    assert!(wrote.last().expect("a look").rows[0].cells[0].always);
}

#[tokio::test]
async fn a_table_is_looked_at_though_nothing_changes() {
    let (_world, fake) = kept(Mood::Works, Millis(200)).await;
    until("more looks", || fake.wrote.lock().expect("whole").len() > 5).await;
}

// EMG-04: the proxy may know of a kill that the record lacks; no table is raised before.
#[tokio::test]
async fn nothing_is_written_before_the_proxy_has_said_what_it_knows() {
    let mut world = World::without_proxy().await;
    let patch = world.flags.set().expect("whole").patch_to(&on_for_all());
    let made = world.flags.change(patch, "define", &ana()).await;
    made.expect("recorded");
    let fake = keep_by(&world, Mood::Works, HOUR);
    tokio::task::yield_now().await;
    world.begin_proxy(killed("exec"));
    until("a look", || !fake.wrote.lock().expect("whole").is_empty()).await;
    let wrote = fake.wrote.lock().expect("whole");
    assert_eq!(wrote[0].rows[0].cells[0].value, "false");
}
