//! Answers that are recorded: of whom, how often, and what when nobody takes them.

use crate::world::{World, document, flags, start_with, table};
use esclusa_model::Digest;
use esclusa_ofrep::{ExposureNote, Exposures, Limits, Shared, WAITING};
use esclusa_wire::{ExposureRecord, ExposureSource};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// A server whose answers are recorded as `rule` says, and where the records come.
fn recording(rule: &Value) -> (World, Receiver<ExposureNote>) {
    let mut set = flags();
    if !rule.is_null() {
        set["exposures"] = json!({ "environments": { "production": rule } });
    }
    let shared = Shared::new(table(&document(1, set, Vec::new())));
    let (exposures, inbox) = Exposures::new();
    shared.record_exposures(Arc::new(exposures));
    let limits = Limits {
        workers: 2,
        stream_threads: 1,
        ..Limits::default()
    };
    (start_with(shared, limits), inbox)
}

fn records(inbox: &Receiver<ExposureNote>) -> Vec<ExposureRecord> {
    let record = |note| match note {
        ExposureNote::Record(record) => Some(*record),
        ExposureNote::Reached(_) => None,
    };
    inbox.try_iter().filter_map(record).collect()
}

const HERE: (&str, &str) = ("x-esclusa-environment", "production");

async fn ask(world: &World, flag: &str, context: &Value) -> u16 {
    let body = json!({ "context": context }).to_string();
    let path = format!("/ofrep/v1/evaluate/flags/{flag}");
    world.call("POST", &path, &[HERE], &body).await.status
}

async fn ask_all(world: &World, unit: &str) {
    let body = json!({ "context": { "targetingKey": unit } }).to_string();
    let path = "/ofrep/v1/evaluate/flags";
    assert_eq!(world.call("POST", path, &[HERE], &body).await.status, 200);
}

async fn ask_guard(world: &World, tenant: &str) {
    let held = [
        ("x-original-uri", "/modules/7/execute"),
        ("x-original-method", "POST"),
        ("x-tenant-id", tenant),
    ];
    world.call("GET", "/guard/shop", &held, "").await;
}

// BLD-08: nothing unless it is asked for.
#[tokio::test]
async fn off_nothing_is_recorded() {
    for rule in [Value::Null, json!({ "basis-points": 0 })] {
        let (world, inbox) = recording(&rule);
        assert_eq!(
            ask(&world, "exec", &json!({ "targetingKey": "ana" })).await,
            200
        );
        ask_all(&world, "ana").await;
        ask_guard(&world, "acme").await;
        assert_eq!(records(&inbox), [], "{rule}");
        assert_eq!(world.shared.status(Vec::new()).exposures, None);
    }
}

// BLD-08: who, which flag, which variant, which revision; the id is in none of it.
#[tokio::test]
async fn on_each_answer_is_recorded_once_with_a_keyed_hash() {
    let (world, inbox) = recording(&json!({ "basis-points": 10_000 }));
    let ana = json!({ "targetingKey": "ana@example.com", "country": "es" });
    for _ in 0..3 {
        assert_eq!(ask(&world, "exec", &ana).await, 200);
    }
    assert_eq!(ask(&world, "half", &json!({})).await, 400, "needs a unit");
    assert_eq!(ask(&world, "plain", &json!({})).await, 200, "of nobody");
    assert_eq!(ask(&world, "nothing", &ana).await, 404);
    ask_all(&world, "ana@example.com").await;
    ask_guard(&world, "acme").await;
    ask_guard(&world, "other").await;
    let found = records(&inbox);
    let rows: Vec<(&str, &str, ExposureSource)> = found
        .iter()
        .map(|one| (&*one.flag, &*one.variant, one.source))
        .collect();
    assert_eq!(
        rows,
        [
            ("exec", "on", ExposureSource::Ofrep),
            ("exec", "on", ExposureSource::ForwardAuth),
            ("exec", "off", ExposureSource::ForwardAuth),
        ]
    );
    let first = &found[0];
    assert_eq!((&*first.environment, first.revision), ("production", 1));
    assert_eq!(first.unit.len(), 32);
    let text = format!("{found:?}");
    for plain in ["ana", "acme", &Digest::of(b"ana@example.com").hex()[..32]] {
        assert!(!text.contains(plain), "{plain}: {text}");
    }
    let status = world.shared.status(Vec::new()).exposures.expect("on");
    assert_eq!((status.repeated, status.dropped), (2, 0));
    assert_eq!(status.environments, ["production"]);
    // Another revision is another exposure.
    let mut set = flags();
    set["revision"] = json!(2);
    set["exposures"] = json!({ "environments": { "production": { "basis-points": 10_000 } } });
    world.shared.publish(table(&document(2, set, Vec::new())));
    ask(&world, "exec", &ana).await;
    let again = records(&inbox);
    assert_eq!((again.len(), again[0].revision), (1, 2));
    assert_eq!(again[0].unit, first.unit, "one unit has one hash");
}

#[tokio::test]
async fn chosen_flags_and_bulk_answers_only_where_that_is_said() {
    let (world, inbox) = recording(&json!({
        "basis-points": 10_000, "flags": ["exec", "ten", "unused"], "bulk": true }));
    ask(&world, "plain", &json!({ "targetingKey": "ana" })).await;
    ask_all(&world, "ana").await;
    let found = records(&inbox);
    let rows: Vec<(&str, ExposureSource)> =
        found.iter().map(|one| (&*one.flag, one.source)).collect();
    let bulk = ExposureSource::OfrepBulk;
    assert_eq!(rows, [("exec", bulk), ("ten", bulk), ("unused", bulk)]);
    // The control plane, which measures, is no reader.
    let secret = esclusa_ofrep::watcher_secret(&"07".repeat(32)).expect("a key");
    let bearer = format!("Bearer {secret}");
    let body = "{\"context\":{\"targetingKey\":\"eve\"}}";
    let headers = [("authorization", bearer.as_str())];
    let path = "/ofrep/v1/evaluate/flags";
    assert_eq!(world.call("POST", path, &headers, body).await.status, 200);
    assert_eq!(records(&inbox), []);
}

#[tokio::test]
async fn a_sampled_person_is_sampled_for_all_flags() {
    let (world, inbox) = recording(&json!({ "basis-points": 3_000 }));
    for n in 0..60 {
        for flag in ["exec", "ten", "plain"] {
            ask(
                &world,
                flag,
                &json!({ "targetingKey": format!("user-{n}") }),
            )
            .await;
        }
    }
    let mut by_unit = std::collections::BTreeMap::<String, usize>::new();
    for record in records(&inbox) {
        *by_unit.entry(record.unit).or_default() += 1;
    }
    assert!((5..35).contains(&by_unit.len()), "{}", by_unit.len());
    assert!(by_unit.values().all(|flags| *flags == 3), "{by_unit:?}");
}

// The hot path never waits: what nobody takes is dropped, counted, and tried again.
#[tokio::test]
async fn a_full_queue_is_counted_and_answers_go_on() {
    let (world, inbox) = recording(&json!({ "basis-points": 10_000 }));
    let over = 40;
    for n in 0..WAITING + over {
        let context = json!({ "targetingKey": format!("user-{n}") });
        assert_eq!(ask(&world, "plain", &context).await, 200, "{n}");
    }
    let status = world.shared.status(Vec::new()).exposures.expect("on");
    assert_eq!(status.dropped, over as u64);
    assert_eq!(records(&inbox).len(), WAITING);
    let last = format!("user-{}", WAITING + over - 1);
    ask(&world, "plain", &json!({ "targetingKey": last })).await;
    assert_eq!(
        records(&inbox).len(),
        1,
        "what was dropped is no repetition"
    );
}
