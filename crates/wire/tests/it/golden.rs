//! The files in `golden/` are a contract with programs of other ages: a proxy and a
//! controller from different releases talk, and a state file outlives the program that
//! wrote it. A red test here asks for a new version of the shape, not for a new file.

use crate::samples;
use esclusa_flags::FlagReason;
use esclusa_model::Timestamp;
use esclusa_wire::{EXPOSURE_VERSION, ExposureRecord, ExposureSource};
use esclusa_wire::{FromLeader, Heartbeat, Published, Refusal, SliceAck, ToLeader};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::fmt::Debug;

/// The value is written as the file says, and the file is read as the value.
pub(crate) fn holds<T>(file: &str, value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let text = serde_json::to_string_pretty(value).expect("JSON");
    assert_eq!(format!("{text}\n"), file, "written otherwise than agreed");
    let read: T = serde_json::from_str(file).expect("reads what was agreed");
    assert_eq!(&read, value, "read otherwise than agreed");
    refuses_more::<T>(&serde_json::from_str(file).expect("JSON"));
}

/// No object of the shape, however deep, takes a key that this program does not know. What
/// a journal's entry holds is an event's own shape, which this protocol only carries.
fn refuses_more<T: DeserializeOwned + Debug>(whole: &Value) {
    let mut places = Vec::new();
    objects(whole, String::new(), &mut places);
    assert!(!places.is_empty(), "a shape is an object");
    for place in places {
        let mut more = whole.clone();
        let object = more.pointer_mut(&place).and_then(Value::as_object_mut);
        object
            .expect("found above")
            .insert("novelty".into(), 1.into());
        let read = serde_json::from_value::<T>(more);
        assert!(read.is_err(), "a new key at {place:?} was read over");
    }
}

fn objects(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields.iter().filter(|(key, _)| *key != "payload") {
                objects(inner, format!("{at}/{key}"), places);
            }
            places.push(at);
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                objects(inner, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
}

#[test]
fn hello() {
    holds(
        include_str!("../../golden/hello-v1.json"),
        &samples::hello(),
    );
}

#[test]
fn a_generation() {
    let file = include_str!("../../golden/generation-v1.json");
    // Written before there was a journal, and still without one.
    holds(file, &samples::generation());
    let file = include_str!("../../golden/generation-journal-v1.json");
    holds(file, &samples::generation_with_journal());
}

#[test]
fn what_is_taken_back() {
    let file = include_str!("../../golden/take-back-v1.json");
    holds(file, &samples::take_back());
    let file = include_str!("../../golden/took-back-v1.json");
    holds(file, &samples::took_back());
}

#[test]
fn published() {
    let published = Published {
        generation: samples::NAME,
        persisted: false,
    };
    holds(include_str!("../../golden/published-v1.json"), &published);
}

// Lines that were written stay readable for as long as they are kept.
#[test]
fn an_exposure() {
    let record = ExposureRecord {
        v: EXPOSURE_VERSION,
        at: Timestamp(1_795_975_494_031_549),
        environment: "production".into(),
        flag: "exec-reports".into(),
        variant: "on".into(),
        reason: FlagReason::Split,
        revision: 12,
        unit: "0123456789abcdef0123456789abcdef".into(),
        source: ExposureSource::ForwardAuth,
    };
    let file = include_str!("../../golden/exposure-v1.json");
    holds(file, &record);
}

#[test]
fn a_refusal() {
    let refusal = Refusal {
        current: samples::NAME,
        reason: "2.9 is not higher than 3.17".into(),
    };
    holds(include_str!("../../golden/refusal-v1.json"), &refusal);
}

#[test]
fn a_heartbeat() {
    let heartbeat = Heartbeat {
        generation: samples::NAME,
    };
    holds(include_str!("../../golden/heartbeat-v1.json"), &heartbeat);
}

#[test]
fn a_proxys_status() {
    let file = include_str!("../../golden/proxy-status-v1.json");
    holds(file, &samples::status());
    let file = include_str!("../../golden/proxy-status-quiet-v1.json");
    holds(file, &samples::quiet_status());
    let file = include_str!("../../golden/proxy-status-taken-back-v1.json");
    holds(file, &samples::status_taken_back());
}

#[test]
fn a_batch_of_slices() {
    let file = include_str!("../../golden/slice-batch-v1.json");
    holds(file, &samples::batch());
}

#[test]
fn an_acknowledgement() {
    let ack = SliceAck {
        boot: samples::boot(),
        sequence: 42,
    };
    holds(include_str!("../../golden/slice-ack-v1.json"), &ack);
}

#[test]
fn a_hand_over() {
    let file = include_str!("../../golden/hand-over-to-leader-v1.json");
    holds::<Vec<ToLeader>>(file, &samples::to_leader());
    let file = include_str!("../../golden/hand-over-from-leader-v1.json");
    holds::<Vec<FromLeader>>(file, &samples::from_leader());
}
