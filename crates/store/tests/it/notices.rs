//! What people are told: once, in order, counted, bounded; and read by each for himself.

use crate::world::{NOW, actor, event, folder, open, stream};
use esclusa_model::{Millis, Timestamp};
use esclusa_store::{
    IncidentKey, IncidentStep, Looked, NewNotice, NoticeRetention, Retried, Store,
};
use serde_json::json;

fn later(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1_000_000)
}

fn notice(number: u64, channels: &[&str], cause: Option<&str>) -> NewNotice {
    NewNotice {
        body: json!({ "number": number }),
        at: NOW,
        channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
        alarm: cause.map(|cause| IncidentKey {
            service: "shop".into(),
            event: "down".into(),
            cause: cause.into(),
        }),
    }
}

fn looked(position: u64) -> Looked {
    Looked {
        position,
        notice: Some(notice(position, &["a", "b"], None)),
    }
}

async fn first(store: &Store, channel: &str) -> Option<(String, u64)> {
    let waiting = store.first_waiting(channel).await.expect("read")?;
    Some((
        waiting.id,
        waiting.notice["number"].as_u64().expect("a number"),
    ))
}

#[tokio::test]
async fn a_stream_is_told_once_and_in_order_over_restarts() {
    let dir = folder();
    let release = stream("release/r1");
    {
        let store = open(dir.path()).await;
        // What was there before anybody listened is told to nobody.
        let before = stream("release/r0");
        store
            .append(&before, 0, NOW, &[event(1)])
            .await
            .expect("appended");
        assert!(store.begin_notices("release/", NOW).await.expect("begun"));
        assert!(!store.begin_notices("release/", NOW).await.expect("begun"));
        let events: Vec<_> = (1..=3).map(event).collect();
        store
            .append(&release, 0, NOW, &events)
            .await
            .expect("appended");
        store
            .append(&stream("service/s"), 0, NOW, &[event(1)])
            .await
            .expect("appended");
        let behind = store.streams_behind("release/").await.expect("read");
        let found: Vec<_> = behind
            .iter()
            .map(|b| (b.stream.as_str(), b.looked, b.last))
            .collect();
        assert_eq!(found, [("release/r1", 0, 3)]);
        store
            .note(&release, &[looked(1), looked(2)], NOW)
            .await
            .expect("noted");
        store.close().await;
    }
    let store = open(dir.path()).await;
    let behind = store.streams_behind("release/").await.expect("read");
    assert_eq!((behind.len(), behind[0].looked), (1, 2));
    // Told again from the beginning, as after a crash: nothing twice.
    let all = [looked(1), looked(2), looked(3)];
    store.note(&release, &all, NOW).await.expect("noted");
    assert_eq!(store.streams_behind("release/").await.expect("read"), []);
    for number in 1..=3 {
        let (id, found) = first(&store, "a").await.expect("waits");
        assert_eq!(found, number);
        store
            .put_off(&id, NOW, later(5), "busy")
            .await
            .expect("put off");
        let (again, _) = first(&store, "a").await.expect("nothing overtakes it");
        assert_eq!(again, id);
        store.delivered(&id, later(6)).await.expect("marked");
    }
    assert_eq!(first(&store, "a").await, None);
    let states = store.channel_states().await.expect("read");
    let lines: Vec<_> = states
        .iter()
        .map(|s| (s.channel.as_str(), s.waiting, s.delivered))
        .collect();
    assert_eq!(lines, [("a", 0, 3), ("b", 3, 0)]);
}

#[tokio::test]
async fn what_is_given_up_holds_up_nothing_and_goes_to_the_end_when_asked() {
    let dir = folder();
    let store = open(dir.path()).await;
    let release = stream("release/r1");
    store
        .note(&release, &[looked(1), looked(2)], NOW)
        .await
        .expect("noted");
    let (id, _) = first(&store, "a").await.expect("waits");
    assert_eq!(
        store.retry_letter(&id, NOW).await.expect("asked"),
        Retried::NotDead
    );
    let long = "ä".repeat(2_000);
    store.give_up(&id, later(1), &long).await.expect("given up");
    assert_eq!(first(&store, "a").await.expect("waits").1, 2);
    let dead = store.dead_letters(10).await.expect("read");
    assert_eq!((dead.len(), &dead[0].id, dead[0].attempts), (1, &id, 1));
    assert!(
        dead[0]
            .error
            .as_ref()
            .is_some_and(|error| error.len() <= 1_000)
    );
    let again = store.retry_letter(&id, later(2)).await.expect("asked");
    assert_eq!(again, Retried::Again("a".into()));
    assert_eq!(
        first(&store, "a").await.expect("waits").1,
        2,
        "behind what waits"
    );
    let unknown = store.retry_letter("msg_none", NOW).await.expect("asked");
    assert_eq!(unknown, Retried::Unknown);
    // A channel that is gone keeps nothing waiting.
    let given_up = store.give_up_others(&["b".into()], later(3), "gone").await;
    assert_eq!(given_up.expect("given up"), 2);
    assert_eq!(first(&store, "a").await, None);
    assert!(first(&store, "b").await.is_some());
}

#[tokio::test]
async fn identical_alarms_are_one_incident_until_it_is_over() {
    let dir = folder();
    let store = open(dir.path()).await;
    let alarm = |n| notice(n, &["a"], Some("web-0"));
    for n in 0..200 {
        let none = IncidentStep::None;
        store
            .note_own("own", &alarm(n), &none, NOW)
            .await
            .expect("noted");
    }
    let other = notice(7, &["a"], Some("web-1"));
    store
        .note_own("own", &other, &IncidentStep::None, NOW)
        .await
        .expect("noted");
    let open_now = store.incidents().await.expect("read");
    let counts: Vec<_> = open_now
        .iter()
        .map(|i| (i.key.cause.as_str(), i.seen, i.said))
        .collect();
    assert_eq!(counts, [("web-0", 200, 1), ("web-1", 1, 1)]);
    assert_eq!(store.channel_states().await.expect("read")[0].waiting, 2);
    let key = open_now[0].key.clone();
    let remind = IncidentStep::Remind(key.clone());
    let plain = notice(9, &["a"], None);
    store
        .note_own("own", &plain, &remind, later(9))
        .await
        .expect("noted");
    let reminded = store.incidents().await.expect("read");
    assert_eq!((reminded[0].said, reminded[0].told), (200, later(9)));
    store
        .note_own("own", &plain, &IncidentStep::End(key), NOW)
        .await
        .expect("noted");
    store
        .forget_incident(&open_now[1].key)
        .await
        .expect("forgotten");
    assert_eq!(store.incidents().await.expect("read"), []);
    assert_eq!(store.channel_states().await.expect("read")[0].waiting, 4);
    let inbox = store.inbox(&actor("ana"), false, 10).await.expect("read");
    let seen: Vec<u64> = inbox.entries.iter().map(|entry| entry.seen).collect();
    assert_eq!(seen, [1, 1, 1, 200]);
}

// NOT-08
#[tokio::test]
async fn everybody_reads_for_himself() {
    let dir = folder();
    let store = open(dir.path()).await;
    let release = stream("release/r1");
    store
        .note(&release, &[looked(1), looked(2), looked(3)], NOW)
        .await
        .expect("noted");
    let (ana, bo) = (actor("ana"), actor("bo"));
    let ids = async |who, unread| {
        let inbox = store.inbox(who, unread, 10).await.expect("read");
        let ids: Vec<u64> = inbox.entries.iter().map(|entry| entry.id).collect();
        (inbox.unread, ids)
    };
    assert_eq!(ids(&ana, false).await, (3, vec![3, 2, 1]));
    assert!(store.read_entry(&ana, 2).await.expect("marked"));
    assert!(store.remove_entry(&ana, 3).await.expect("marked"));
    assert!(
        store.read_entry(&ana, 3).await.expect("marked"),
        "it stays removed"
    );
    assert!(!store.read_entry(&ana, 9).await.expect("looked"));
    assert_eq!(ids(&ana, false).await, (1, vec![2, 1]));
    assert_eq!(ids(&ana, true).await, (1, vec![1]));
    assert_eq!(ids(&bo, true).await, (3, vec![3, 2, 1]));
    store.read_all_entries(&bo).await.expect("marked");
    assert_eq!(ids(&bo, true).await, (0, vec![]));
    assert_eq!(ids(&bo, false).await, (0, vec![3, 2, 1]));
}

#[tokio::test]
async fn nothing_is_remembered_for_ever() {
    let dir = folder();
    let store = open(dir.path()).await;
    let release = stream("release/r1");
    let all: Vec<Looked> = (1..=20).map(looked).collect();
    store.note(&release, &all, NOW).await.expect("noted");
    store.read_all_entries(&actor("ana")).await.expect("marked");
    let keep = NoticeRetention {
        waiting: 5,
        delivered: Millis(1_000),
        dead: Millis(10_000),
        inbox: 8,
        inbox_age: Millis(3_600_000),
    };
    let done = store.tidy_notices(&keep, later(1)).await.expect("tidied");
    assert_eq!((done.given_up, done.forgotten), (30, 12));
    // The newest wait on.
    assert_eq!(first(&store, "a").await.expect("waits").1, 16);
    let inbox = store.inbox(&actor("ana"), false, 100).await.expect("read");
    assert_eq!((inbox.unread, inbox.entries.len()), (0, 8));
    let (id, _) = first(&store, "a").await.expect("waits");
    store.delivered(&id, later(2)).await.expect("marked");
    let done = store.tidy_notices(&keep, later(100)).await.expect("tidied");
    assert_eq!((done.given_up, done.forgotten), (0, 31));
    let old = store
        .tidy_notices(&keep, later(9_000))
        .await
        .expect("tidied");
    assert_eq!(old.forgotten, 7, "the newest entry stays, for its number");
}
