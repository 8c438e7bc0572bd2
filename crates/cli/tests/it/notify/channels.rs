//! What becomes of a channel that is down, slow or wrong, and of alarms that repeat.

use super::{
    OLD_SECRET, SECRET, SIGNED_OFF, channel_until, hook, ids, notify, plane, status, taken,
    waiting_for_people,
};
use crate::peers::Peer;
use crate::run;
use crate::world::{BY_HAND, FIRST, LONG, Shop, ask, ends, phase, version};
use esclusa_testkit::{ports, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

// NOT-06: an independent library verifies what is signed, and nothing else.
#[tokio::test]
async fn a_webhook_is_verified_by_others_and_refused_when_a_byte_is_changed() {
    let sink = Peer::start("webhook.mjs", &["0", SECRET, OLD_SECRET]).await;
    let both = hook(sink.port, "").replace(
        "['file:DATA/secret']",
        "['file:DATA/old-secret', 'file:DATA/secret']",
    );
    let plane = plane(&both);
    let release = waiting_for_people(&plane, "2.4.1").await;
    ask(&plane, &release, "abort").await;
    let got = sink.until(|got| got.len() == 3).await;
    for line in &got {
        // Whoever has either key believes it: keys can be changed without a gap.
        assert_eq!(line["verified"], json!([true, true]), "{line:#}");
        assert_eq!(line["changed_verified"], json!([false, false]), "{line:#}");
        let event = &line["event"];
        assert_eq!(
            line["content_type"],
            "application/cloudevents+json; charset=utf-8"
        );
        assert_eq!(
            (&event["specversion"], &event["id"]),
            (&json!("1.0"), &line["id"])
        );
        assert_eq!(event["subject"], format!("shop/{release}"));
    }
    let kinds = ["requested", "sign-off-wanted", "aborted"];
    let kinds = kinds.map(|kind| format!("dev.esclusa.release.{kind}"));
    assert_eq!(taken(&got), kinds);

    channel_until(&plane, |channel| channel["delivered"] == 3).await;

    // NOT-08: the same is in the inbox.
    let (_, inbox) = plane.get("/api/v1/inbox?limit=2").await;
    assert_eq!(inbox["unread"], 3, "{inbox:#}");
    assert_eq!(inbox["entries"][0]["event"], "release.aborted", "{inbox:#}");
    let id = inbox["entries"][0]["id"].as_u64().expect("an id");
    let read = format!("/api/v1/inbox/{id}/read");
    assert_eq!(plane.post(&read, json!({})).await.0, 204);
    assert_eq!(plane.post("/api/v1/inbox/999/read", json!({})).await.0, 404);
    let (_, inbox) = plane.get("/api/v1/inbox?unread=true&lang=es").await;
    assert_eq!(inbox["unread"], 2, "{inbox:#}");
    assert_eq!(
        inbox["entries"][0]["title"],
        "shop 2.4.1 espera una aprobación"
    );
    assert_eq!(plane.post("/api/v1/inbox/read", json!({})).await.0, 204);
    let (_, inbox) = plane.get("/api/v1/inbox").await;
    assert_eq!(inbox["unread"], 0, "{inbox:#}");

    let (_, metrics) = plane.get("/metrics").await;
    let metrics = metrics.as_str().expect("text");
    let line = "esclusa_notifications_total{channel=\"hook\",result=\"delivered\"} 3";
    assert!(metrics.contains(line), "{metrics}");
    assert!(
        metrics.contains("esclusa_notifications_waiting{channel=\"hook\"} 0"),
        "{metrics}"
    );
}

// ALR-11: 200 identical alarms are one incident: one message, one count, one end.
#[tokio::test]
async fn two_hundred_identical_alarms_are_one_incident() {
    let sink = Peer::start("webhook.mjs", &["0", SECRET]).await;
    let more = "incidents: { over-after: 30s }\n";
    let file =
        hook(sink.port, more).replace("{ channels:", "{ events: [release.refused], channels:");
    let plane = plane(&file);
    let closed = ports::free_port().expect("a port");
    let plan = format!(
        "esclusa: 1
service: shop
route: {{ listen: 127.0.0.1:0 }}
address: {{ url: 'http://127.0.0.1:9/${{version}}' }}
requires: [ {{ tcp: {{ address: '127.0.0.1:{closed}' }}, timeout: 100ms }} ]
stages: [ {{ to: 100%, watch: 1s }} ]
on-conflict: queue
"
    );
    for _ in 0..200 {
        let release = plane.release(&plan, "2.4.1").await;
        ends(&plane, &release, "refused").await;
    }
    let counted = wait_until("all alarms", LONG, async || {
        let unread = "/api/v1/inbox?unread=true&limit=200";
        let (_, inbox) = plane.get(unread).await;
        let entries = inbox["entries"].as_array()?.clone();
        let (all, others): (Vec<Value>, Vec<Value>) = entries
            .into_iter()
            .partition(|entry| entry["event"] == "release.refused");
        // What else was told, such as of a slow disk, can leave no room for it.
        for other in others {
            let read = format!("/api/v1/inbox/{}/read", other["id"]);
            assert_eq!(plane.post(&read, Value::Null).await.0, 204);
        }
        (all.first()?["count"] == 200).then_some(all)
    });
    let entries = counted.await.expect("200 alarms are counted");
    assert_eq!(entries.len(), 1, "{entries:#?}");
    // One that tells of it, one that tells of its end.
    let got = sink.until(|got| got.len() == 2).await;
    let titles: Vec<&str> = got
        .iter()
        .filter_map(|l| l["event"]["data"]["title"].as_str())
        .collect();
    assert_eq!(
        titles,
        ["shop 2.4.1 was refused", "Over: shop 2.4.1 was refused"]
    );
    let text = got[1]["event"]["data"]["text"].as_str().expect("text");
    assert!(text.contains("It was seen 200 times"), "{text}");
}

// NOT-06: a channel that was down gets everything once it is up, once and in order.
#[tokio::test]
async fn a_channel_that_was_down_gets_everything_once_and_in_order() {
    let port = ports::free_port().expect("a port");
    let plane = plane(&hook(port, ""));
    let mut expected = Vec::new();
    for version in ["1", "2", "3"] {
        let release = waiting_for_people(&plane, version).await;
        ask(&plane, &release, "abort").await;
        ends(&plane, &release, "aborted").await;
        let kinds = ["requested", "sign-off-wanted", "aborted"];
        expected.extend(kinds.map(|kind| format!("dev.esclusa.release.{kind}")));
    }
    // Nobody listens, then somebody who is ill, then one who says nothing.
    let waits = |channel: &Value| channel["waiting"] == 9 && channel["last_error"].is_string();
    channel_until(&plane, waits).await;
    let sink = Peer::start("webhook.mjs", &[&port.to_string(), SECRET]).await;
    sink.answer(r#"{ "status": 500 }"#).await;
    let tries = |mode: Value, least: usize| {
        move |got: &[Value]| got.iter().filter(|line| line["answered"] == mode).count() >= least
    };
    sink.until(tries(json!(500), 2)).await;
    sink.answer(r#"{ "hang": true }"#).await;
    sink.until(tries(Value::Null, 2)).await;
    sink.answer(r#"{ "status": 200 }"#).await;
    let channel = channel_until(&plane, |channel| channel["waiting"] == 0).await;
    assert_eq!(
        (&channel["delivered"], &channel["dead"]),
        (&json!(9), &json!(0))
    );
    let got = sink.until(|got| taken(got).len() == 9).await;
    assert_eq!(taken(&got), expected);
    // All tries before were of the first, under one id.
    let before: BTreeSet<String> = ids(&got)
        .into_iter()
        .take_while(|id| *id == ids(&got)[0])
        .collect();
    assert_eq!(before.len(), 1);
    let accepted: Vec<Value> = got
        .iter()
        .filter(|l| l["answered"] == 200)
        .cloned()
        .collect();
    let unique: BTreeSet<String> = ids(&accepted).into_iter().collect();
    assert_eq!(unique.len(), 9, "each once");
}

// A server that dies between the sending and its mark sends again, under the same id.
#[tokio::test]
async fn a_server_that_is_killed_while_it_sends_loses_none_and_repeats_ids() {
    let sink = Peer::start("webhook.mjs", &["0", SECRET]).await;
    sink.answer(r#"{ "hang": true }"#).await;
    let mut plane = plane(&hook(sink.port, "").replace("700ms", "30s"));
    let release = plane.release(SIGNED_OFF, "2.4.1").await;
    // It has the first one, and nobody was told that it has.
    sink.until(|got| got.len() == 1).await;
    channel_until(&plane, |channel| channel["waiting"] == 2).await;
    plane.kill();
    sink.answer(r#"{ "status": 200 }"#).await;
    plane.restart();
    ask(&plane, &release, "abort").await;
    ends(&plane, &release, "aborted").await;
    channel_until(&plane, |channel| channel["delivered"] == 3).await;
    let got = sink.got();
    assert_eq!(got.len(), 4, "{got:#?}");
    let all = ids(&got);
    assert_eq!(all[0], all[1], "the same message under the same id");
    let unique: BTreeSet<&String> = all.iter().collect();
    assert_eq!(unique.len(), 3);
    // Once more: what is delivered stays delivered.
    plane.restart();
    let second = plane.release(SIGNED_OFF, "2.4.2").await;
    let got = sink.until(|got| got.len() >= 6).await;
    assert_eq!(got.len(), 6, "{got:#?}");
    let of_second = |line: &&Value| line["event"]["data"]["release"] == second.as_str();
    assert_eq!(got.iter().filter(of_second).count(), 2);
}

// Nobody waits for a notifier: neither what raises nor what lowers.
#[tokio::test]
async fn a_channel_that_hangs_delays_no_release() {
    let sink = Peer::start("webhook.mjs", &["0", SECRET]).await;
    sink.answer(r#"{ "hang": true }"#).await;
    let plane = plane(&hook(sink.port, "").replace("700ms", "60s"));
    let shop = Shop::new("shop");
    for name in ["v1", "v2"] {
        version(&plane, name, "");
    }
    let first = plane.release(&shop.plan(FIRST), "v1").await;
    ends(&plane, &first, "promoted").await;
    let second = plane.release(&shop.plan(BY_HAND), "v2").await;
    phase(&plane, &second, "stage 1").await;
    ask(&plane, &second, "abort").await;
    ends(&plane, &second, "aborted").await;
    // All the while one try was under way and nothing was delivered.
    let channel = channel_until(&plane, |channel| channel["waiting"].as_u64() >= Some(7)).await;
    assert_eq!(channel["delivered"], 0, "{channel:#}");
    let unique: BTreeSet<String> = ids(&sink.got()).into_iter().collect();
    assert_eq!(unique.len(), 1, "one at a time: {unique:?}");
}

// NOT-09: what cannot be delivered is set aside, holds up nothing, and can be sent again.
#[tokio::test]
async fn a_dead_letter_holds_up_nothing_and_is_sent_again() {
    let sink = Peer::start("webhook.mjs", &["0", SECRET]).await;
    sink.answer(r#"{ "status": 400 }"#).await;
    let plane = plane(&hook(sink.port, ""));
    let release = plane.release(SIGNED_OFF, "2.4.1").await;
    channel_until(&plane, |channel| channel["dead"] == 2).await;
    sink.answer(r#"{ "status": 200 }"#).await;
    ask(&plane, &release, "abort").await;
    channel_until(&plane, |channel| channel["delivered"] == 1).await;
    let (code, data, talk) = notify(&plane, &["status"]);
    assert_eq!(code, 0, "{talk}");
    assert!(
        data.contains("it answered 400: said by the receiver"),
        "{data}"
    );
    assert!(data.contains("33 %"), "{data}");
    let dead = status(&plane).await["dead"].clone();
    let id = dead[1]["id"].as_str().expect("an id");
    let (code, _, talk) = notify(&plane, &["retry", id]);
    assert_eq!(code, 0, "{talk}");
    channel_until(&plane, |channel| channel["delivered"] == 2).await;
    let got = sink.got();
    assert_eq!(
        taken(&got),
        [
            "dev.esclusa.release.aborted",
            "dev.esclusa.release.requested"
        ]
    );
    assert_eq!(ids(&got)[0], id, "the same id as before");
    let (code, _, talk) = notify(&plane, &["retry", id]);
    assert!(code == 2 && talk.contains("ESC-0708"), "{talk}");
    let (code, _, talk) = notify(&plane, &["test", "nobody"]);
    assert!(code == 2 && talk.contains("ESC-0706"), "{talk}");

    // A file that is wrong is told of and changes nothing; one that is right is taken.
    let place = plane.data().join("notify.yaml");
    let good = std::fs::read_to_string(&place).expect("read");
    std::fs::write(&place, "channels: [ { nam: x } ]\n").expect("written");
    plane.hang_up();
    let told = wait_until("the trouble", LONG, async || {
        let found = status(&plane).await;
        found["trouble"].as_str().map(str::to_owned)
    });
    let told = told.await.expect("told");
    assert!(told.contains("did you mean `name`?"), "{told}");
    assert_eq!(notify(&plane, &["test"]).0, 0, "the one before is in force");
    let renamed = good.replace("name: hook", "name: renamed");
    let renamed = renamed.replace("[hook]", "[renamed]");
    std::fs::write(&place, renamed).expect("written");
    plane.hang_up();
    channel_until(&plane, |channel| channel["channel"] == "renamed").await;
    assert_eq!(status(&plane).await["trouble"], Value::Null);
}

#[test]
fn the_example_is_accepted_and_a_wrong_file_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/notify.yaml");
    let example = example.display().to_string();
    let (code, _, talk) = run(dir.path(), &["notify", "lint", &example]);
    assert_eq!(code, 0, "{talk}");
    assert!(talk.contains("accepted"), "{talk}");
    let bad = dir.path().join("bad.yaml");
    std::fs::write(&bad, "channels:\n  - { name: a, slak: { url: 'env:A' } }\n").expect("written");
    let (code, _, talk) = run(dir.path(), &["notify", "lint", "bad.yaml"]);
    assert_eq!(code, 2, "{talk}");
    assert!(
        talk.contains("bad.yaml:2:") && talk.contains("did you mean `slack`?"),
        "{talk}"
    );
    let (code, data, _) = run(dir.path(), &["notify", "lint", "bad.yaml", "--json"]);
    let found: Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!((code, &found["accepted"]), (2, &json!(false)), "{data}");
}
