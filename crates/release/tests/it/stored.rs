//! What is stored stays readable: a changed line in a golden file is a broken contract.
//! A kind whose shape must change becomes a new kind.

use crate::samples::{ended, events, requested, service_events};
use esclusa_release::{Event, Phase, ServiceEvent, TaskEnd};
use serde_json::{Value, json};

fn kinds_of_event() -> Vec<(String, Value)> {
    events()
        .iter()
        .map(|e| e.to_stored().expect("JSON"))
        .collect()
}

/// Plans are the plan crate's contract; here they are only named.
fn without_plan(mut payload: Value) -> Value {
    for path in ["/plan", "/stable/plan"] {
        if let Some(plan) = payload.pointer_mut(path).filter(|plan| plan.is_object()) {
            *plan = json!("(the plan, whole)");
        }
    }
    payload
}

fn lines(stored: Vec<(String, Value)>) -> Vec<Value> {
    stored
        .into_iter()
        .map(|(kind, payload)| json!({ "kind": kind, "payload": without_plan(payload) }))
        .collect()
}

#[test]
fn events_of_a_release_are_stored_like_this() {
    insta::assert_json_snapshot!(lines(kinds_of_event()));
}

#[test]
fn events_of_a_service_are_stored_like_this() {
    let stored = service_events()
        .iter()
        .map(|e| e.to_stored().expect("JSON"))
        .collect();
    insta::assert_json_snapshot!(lines(stored));
}

/// The samples cover every kind: a new one without a golden line does not compile here.
#[test]
fn every_kind_has_a_sample() {
    let mut seen = [false; 20];
    for event in events() {
        seen[match event {
            Event::Requested(_) => 0,
            Event::Prepared { .. } => 1,
            Event::TaskStarted { .. } => 2,
            Event::TaskEnded { .. } => 3,
            Event::Deployed { .. } => 4,
            Event::SignedOff(_) => 5,
            Event::Advanced { .. } => 6,
            Event::DialConfirmed(_) => 7,
            Event::Judged(_) => 8,
            Event::HoldBegan { .. } => 9,
            Event::HoldEnded => 10,
            Event::ReturnedByProxy { .. } => 11,
            Event::OverBudget { .. } => 12,
            Event::Paused(_) => 13,
            Event::Resumed(_) => 14,
            Event::Skipped(_) => 15,
            Event::PromoteAsked(_) => 16,
            Event::ReturnDecided(_) => 17,
            Event::Ended { .. } => 18,
            Event::FlagsChange { .. } => 19,
        }] = true;
    }
    assert_eq!(seen, [true; 20]);
    let mut seen = [false; 8];
    for event in service_events() {
        seen[match event {
            ServiceEvent::TakenOver(_) => 0,
            ServiceEvent::ReleaseAdmitted { .. } => 1,
            ServiceEvent::ReleaseQueued { .. } => 2,
            ServiceEvent::ReleaseEnded { .. } => 3,
            ServiceEvent::StableChanged { .. } => 4,
            ServiceEvent::StableRestored { .. } => 5,
            ServiceEvent::StableWithdrawn { .. } => 6,
            ServiceEvent::WarmRetired { .. } => 7,
        }] = true;
    }
    assert_eq!(seen, [true; 8]);
}

#[test]
fn what_is_stored_is_read_back() {
    let text = |payload: &Value| -> Value {
        serde_json::from_str(&payload.to_string()).expect("JSON is read back")
    };
    for event in events() {
        let (kind, payload) = event.to_stored().expect("JSON");
        assert_eq!(
            Event::from_stored(&kind, &text(&payload)).expect(&kind),
            event
        );
    }
    for event in service_events() {
        let (kind, payload) = event.to_stored().expect("JSON");
        assert_eq!(
            ServiceEvent::from_stored(&kind, &text(&payload)).expect(&kind),
            event
        );
    }
}

/// What was recorded before people could say why is read as before.
#[test]
fn a_reason_is_optional_and_never_empty() {
    for (kind, event) in [
        ("paused", Event::Paused(None)),
        ("resumed", Event::Resumed(None)),
        ("skipped", Event::Skipped(None)),
        ("promote_asked", Event::PromoteAsked(None)),
    ] {
        let stored = (kind.to_owned(), Value::Null);
        assert_eq!(event.to_stored().expect("JSON"), stored);
        assert_eq!(Event::from_stored(kind, &Value::Null).expect(kind), event);
        assert_eq!(event.clone().because(""), event);
        let (_, payload) = event.because("lunch").to_stored().expect("JSON");
        assert_eq!(payload, json!({ "reason": "lunch" }));
    }
    assert_eq!(Event::HoldEnded.because("lunch"), Event::HoldEnded);
}

#[test]
fn what_is_not_understood_is_refused() {
    assert!(Event::from_stored("exploded", &Value::Null).is_err());
    assert!(Event::from_stored("ended", &Value::Null).is_err());
    assert!(Event::from_stored("hold_began", &json!({})).is_err());
    assert!(Event::from_stored("paused", &json!({ "surprise": 1 })).is_err());
    for event in events() {
        let (kind, payload) = event.to_stored().expect("JSON");
        let Value::Object(mut fields) = payload else {
            continue;
        };
        fields.insert("surprise".into(), json!(1));
        assert!(
            Event::from_stored(&kind, &Value::Object(fields)).is_err(),
            "{kind}"
        );
    }
    for event in service_events() {
        let (kind, payload) = event.to_stored().expect("JSON");
        let Value::Object(mut fields) = payload else {
            continue;
        };
        fields.insert("surprise".into(), json!(1));
        assert!(
            ServiceEvent::from_stored(&kind, &Value::Object(fields)).is_err(),
            "{kind}"
        );
    }
    let (kind, mut payload) = ended(TaskEnd::TimedOut).to_stored().expect("JSON");
    payload["end"]["result"] = json!("vanished");
    assert!(Event::from_stored(&kind, &payload).is_err());
    let (kind, mut payload) = ended(TaskEnd::Failed { reason: "x".into() })
        .to_stored()
        .expect("JSON");
    payload["end"]["surprise"] = json!(1);
    assert!(Event::from_stored(&kind, &payload).is_err());
}

#[test]
fn phases_have_a_stored_form() {
    for (phase, stored) in [
        (Phase::Preflight, json!("preflight")),
        (Phase::CanaryChecks, json!("canary_checks")),
        (Phase::Stage(4), json!({ "stage": 4 })),
        (Phase::HandingBack, json!("handing_back")),
    ] {
        assert_eq!(serde_json::to_value(phase).expect("JSON"), stored);
        assert_eq!(
            serde_json::from_value::<Phase>(stored).expect("a phase"),
            phase
        );
    }
}

#[test]
fn the_whole_plan_is_stored() {
    let event = Event::Requested(Box::new(requested()));
    let (_, payload) = event.to_stored().expect("JSON");
    let plan: esclusa_plan::Plan =
        serde_json::from_value(payload["plan"].clone()).expect("the plan is read back");
    assert_eq!(plan, requested().plan);
}
