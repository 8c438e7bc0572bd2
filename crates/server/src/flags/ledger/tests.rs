//! What is replayed is what was accepted.

use super::*;
use esclusa_flags::{FlagDefinition, FlagSettings, Tenant};
use esclusa_model::{GENESIS_HASH, Timestamp};
use proptest::prelude::*;

fn actor() -> Actor {
    Actor::new("ana").expect("a name")
}

/// The record of a history, sealed as the store does it.
#[derive(Default)]
struct Record(Vec<Envelope>);

impl Record {
    fn append(&mut self, events: &[FlagEvent]) {
        for event in events {
            let new = event.write(&actor()).expect("JSON");
            assert!(new.payload.to_string().len() <= esclusa_store::MAX_PAYLOAD_BYTES);
            let prev = self.0.last().map_or(GENESIS_HASH, |last| last.hash);
            let position = self.0.len() as u64 + 1;
            self.0.push(Envelope::seal(
                stream(),
                position,
                Timestamp(1),
                new.actor,
                new.kind,
                new.payload,
                prev,
            ));
        }
    }

    fn replayed(&self) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.take(&self.0).expect("it fits");
        ledger
    }
}

#[derive(Debug, Clone)]
enum Act {
    Set(u8, bool),
    Rules(u8, u16),
    Tenant(u8),
    Remove(u8),
    Kill(Option<u8>),
    Lift(Option<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..6_u8, any::<bool>()).prop_map(|(flag, on)| Act::Set(flag, on)),
        (0..6_u8, 0..=10_000_u16).prop_map(|(flag, share)| Act::Rules(flag, share)),
        (0..4_u8).prop_map(Act::Tenant),
        (0..6_u8).prop_map(Act::Remove),
        prop::option::of(0..6_u8).prop_map(Act::Kill),
        prop::option::of(0..6_u8).prop_map(Act::Lift),
    ]
}

fn key(flag: u8) -> String {
    format!("flag/{flag}~")
}

/// The set that somebody wants after this act.
fn wanted(set: &FlagSet, act: &Act) -> FlagSet {
    let mut set = set.clone();
    set.environments.insert("production".into());
    match act {
        Act::Set(flag, on) => {
            let flag = set
                .flags
                .entry(key(*flag))
                .or_insert_with(FlagDefinition::boolean);
            let settings = flag.environments.entry("production".into()).or_default();
            settings.default = Some(if *on { "on" } else { "off" }.into());
        }
        Act::Rules(flag, share) => {
            let flag = set
                .flags
                .entry(key(*flag))
                .or_insert_with(FlagDefinition::boolean);
            let rule =
                json!([{ "share": { "basis-points": share, "of": "tenant" }, "variant": "on" }]);
            let settings = FlagSettings {
                rules: serde_json::from_value(rule).expect("rules"),
                ..FlagSettings::default()
            };
            flag.environments.insert("production".into(), settings);
        }
        Act::Tenant(tenant) => {
            set.tenants.insert(format!("t{tenant}"), Tenant::default());
        }
        Act::Remove(flag) => {
            set.flags.remove(&key(*flag));
        }
        Act::Kill(_) | Act::Lift(_) => {}
    }
    set
}

proptest! {
    // FLAG-05, FLAG-15: any sequence of accepted changes and kills replays to the same.
    #[test]
    fn every_accepted_history_replays_to_the_same(acts in prop::collection::vec(act(), 0..40)) {
        let mut record = Record::default();
        let mut now = Ledger::default();
        for act in acts {
            let events = match &act {
                Act::Kill(flag) | Act::Lift(flag) => vec![FlagEvent::Killed(FlagKill {
                    flags: flag.map(|flag| vec![key(flag)]),
                    killed: matches!(act, Act::Kill(_)),
                    epoch: now.kills.epoch() + 1,
                    by: actor(),
                    reason: String::new(),
                    at: Timestamp(1),
                })],
                change => {
                    let patch = now.set.patch_to(&wanted(&now.set, change));
                    let Ok(next) = now.set.patched(&patch) else {
                        continue;
                    };
                    now.events_to(&next, "").expect("small")
                }
            };
            let known = record.0.len();
            record.append(&events);
            now.take(&record.0[known..]).expect("it fits");
            let replayed = record.replayed();
            prop_assert_eq!(&replayed.set, &now.set);
            prop_assert_eq!(&replayed.kills, &now.kills);
            prop_assert_eq!(&replayed.json, &now.set.to_json());
        }
    }
}

// A set that is larger than an event may be is recorded, and taken away again, whole.
#[test]
fn a_large_change_is_several_events() {
    let mut now = Ledger::default();
    let mut large = FlagSet::default();
    for i in 0..3_000 {
        let mut flag = FlagDefinition::boolean();
        flag.description = Some("x".repeat(600));
        large.flags.insert(format!("flag-{i}"), flag);
    }
    large.revision = 1;
    let mut record = Record::default();
    let events = now.events_to(&large, "import").expect("it can be divided");
    assert!(events.len() > 3, "{}", events.len());
    record.append(&events);
    assert_eq!(*record.replayed().set, large);
    // Of a change whose last part is missing nothing counts.
    let mut cut = Ledger::default();
    cut.take(&record.0[..events.len() - 1]).expect("it fits");
    assert_eq!(*cut.set, FlagSet::default());

    now.take(&record.0).expect("it fits");
    let empty = FlagSet {
        revision: 2,
        ..FlagSet::default()
    };
    let known = record.0.len();
    record.append(&now.events_to(&empty, "").expect("it can be divided"));
    assert!(record.0.len() > known + 3);
    assert_eq!(*record.replayed().set, empty);
}

#[test]
fn what_cannot_be_divided_is_refused_by_name() {
    let mut large = FlagSet::default();
    let mut flag = FlagDefinition::boolean();
    flag.description = Some("x".repeat(PART_BYTES));
    large.flags.insert("a/b".into(), flag);
    let refused = Ledger::default().events_to(&large, "");
    assert_eq!(refused, Err("/flags/a~1b/description".into()));
}

#[test]
fn a_record_that_does_not_fit_is_told_apart() {
    let mut record = Record::default();
    let changed = Changed {
        revision: 1,
        part: 1,
        parts: 1,
        reason: String::new(),
        changes: vec![Change {
            path: "/flags/a".into(),
            before: Some(json!({ "type": "boolean" })),
            after: None,
        }],
    };
    record.append(&[FlagEvent::Changed(changed.clone())]);
    let refused = Ledger::default().take(&record.0).expect_err("no such flag");
    assert_eq!(refused.0, 1);
    assert!(refused.1.contains("/flags"), "{}", refused.1);
    let mut record = Record::default();
    record.append(&[FlagEvent::Changed(Changed {
        part: 2,
        parts: 2,
        ..changed
    })]);
    assert!(Ledger::default().take(&record.0).is_err());
}
