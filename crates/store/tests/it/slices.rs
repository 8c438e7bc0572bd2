//! Slices: once each, in order, bounded.

use crate::world::{NOW, folder, open};
use esclusa_judge::{Cell, Histogram, SLICE_VERSION, Slice};
use esclusa_model::{BootId, Digest, Epoch, GenerationId, Millis, ProxyId, ServiceName, Timestamp};
use esclusa_store::{SliceGap, SliceRetention, Store, StoreError};
use esclusa_wire::{SliceAck, SliceBatch, StampedSlice, WIRE_VERSION};

const KEEP_ALL: SliceRetention = SliceRetention {
    age: Millis(u64::MAX),
    bytes: u64::MAX,
};

fn proxy(name: &str) -> ProxyId {
    ProxyId::new(name).expect("valid")
}

fn boot(name: &str) -> BootId {
    BootId::new(name).expect("valid")
}

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).expect("valid")
}

fn slice(boot_name: &str, sequence: u64, service_name: &str, second: i64) -> StampedSlice {
    let mut latency = Histogram::default();
    latency.record(1_000 * sequence);
    StampedSlice {
        boot: boot(boot_name),
        sequence,
        slice: Slice {
            v: SLICE_VERSION,
            service: service(service_name),
            second,
            uptime_s: sequence,
            generation: GenerationId {
                epoch: Epoch(1),
                number: 1,
            },
            cells: vec![Cell {
                intended: Digest::of(b"v1"),
                served: Some(Digest::of(b"v1")),
                route: "GET /".into(),
                instance: None,
                synthetic: false,
                requests: 10,
                events: [].into(),
                latency,
                pending: Histogram::default(),
                units: Vec::new(),
            }],
            client_faults: 0,
            proxy_faults: 0,
        },
    }
}

fn batch(name: &str, slices: Vec<StampedSlice>) -> SliceBatch {
    SliceBatch {
        v: WIRE_VERSION,
        proxy: proxy(name),
        slices,
        lost: 0,
    }
}

async fn put(store: &Store, name: &str, slices: Vec<StampedSlice>) -> (u64, u64) {
    let stored = store
        .put_slices(&proxy(name), &batch(name, slices), NOW)
        .await
        .expect("stored");
    (stored.stored, stored.repeated)
}

fn sequences(found: &[(ProxyId, StampedSlice)]) -> Vec<u64> {
    found.iter().map(|(_, slice)| slice.sequence).collect()
}

#[tokio::test]
async fn a_repeated_batch_is_stored_once_also_after_a_restart() {
    let dir = folder();
    let store = open(dir.path()).await;
    let two = vec![slice("b1", 1, "shop", 100), slice("b1", 2, "shop", 101)];
    assert_eq!(put(&store, "p1", two.clone()).await, (2, 0));
    assert_eq!(put(&store, "p1", two.clone()).await, (0, 2));
    store.close().await;
    let store = open(dir.path()).await;
    let more = vec![two[0].clone(), two[1].clone(), slice("b1", 3, "shop", 102)];
    assert_eq!(put(&store, "p1", more.clone()).await, (1, 2));
    // The same numbers of another boot or another proxy are other slices.
    assert_eq!(
        put(&store, "p1", vec![slice("b2", 1, "shop", 103)]).await,
        (1, 0)
    );
    assert_eq!(
        put(&store, "p2", vec![slice("b1", 1, "shop", 100)]).await,
        (1, 0)
    );

    let found = store
        .slices(&service("shop"), 0, 1_000)
        .await
        .expect("read");
    let of_p1: Vec<_> = found
        .iter()
        .filter(|(name, found)| *name == proxy("p1") && found.boot == boot("b1"))
        .map(|(_, slice)| slice.clone())
        .collect();
    assert_eq!(of_p1, more);
    assert_eq!(found.len(), 5);
    let acks = store.acked(&proxy("p1")).await.expect("read");
    assert_eq!(
        acks,
        [
            SliceAck {
                boot: boot("b1"),
                sequence: 3
            },
            SliceAck {
                boot: boot("b2"),
                sequence: 1
            },
        ]
    );
    assert_eq!(store.acked(&proxy("nobody")).await.expect("read"), []);
}

#[tokio::test]
async fn slices_come_back_by_time_of_their_service_only() {
    let dir = folder();
    let store = open(dir.path()).await;
    put(
        &store,
        "p2",
        vec![
            slice("b", 1, "shop", 100),
            slice("b", 2, "other", 100),
            slice("b", 3, "shop", 102),
        ],
    )
    .await;
    put(
        &store,
        "p1",
        vec![slice("b", 1, "shop", 101), slice("b", 2, "shop", 102)],
    )
    .await;
    let found = store
        .slices(&service("shop"), 101, 103)
        .await
        .expect("read");
    let order: Vec<_> = found
        .iter()
        .map(|(proxy, slice)| (slice.slice.second, proxy.as_str()))
        .collect();
    assert_eq!(order, [(101, "p1"), (102, "p1"), (102, "p2")]);
    assert_eq!(
        store
            .slices(&service("shop"), 103, 101)
            .await
            .expect("read"),
        []
    );
}

#[tokio::test]
async fn what_is_missing_is_shown_until_it_comes() {
    let dir = folder();
    let store = open(dir.path()).await;
    let name = proxy("p");
    put(
        &store,
        "p",
        vec![slice("b", 2, "shop", 2), slice("b", 7, "shop", 7)],
    )
    .await;
    let gap = |first, last| SliceGap {
        boot: boot("b"),
        first,
        last,
    };
    let gaps = store.slice_gaps(&name).await.expect("read");
    assert_eq!(gaps, [gap(1, 1), gap(3, 6)]);
    // A late one is no repeat, and closes its part of the gap.
    assert_eq!(
        put(&store, "p", vec![slice("b", 4, "shop", 4)]).await,
        (1, 0)
    );
    assert_eq!(
        put(&store, "p", vec![slice("b", 4, "shop", 4)]).await,
        (0, 1)
    );
    let gaps = store.slice_gaps(&name).await.expect("read");
    assert_eq!(gaps, [gap(1, 1), gap(3, 3), gap(5, 6)]);
    let found = store.slices(&service("shop"), 0, 10).await.expect("read");
    assert_eq!(sequences(&found), [2, 4, 7]);
}

#[tokio::test]
async fn losses_reported_are_kept_at_their_highest() {
    let dir = folder();
    let store = open(dir.path()).await;
    for lost in [3, 5, 0] {
        let batch = SliceBatch {
            lost,
            ..batch("p", Vec::new())
        };
        store
            .put_slices(&proxy("p"), &batch, NOW)
            .await
            .expect("stored");
    }
    assert_eq!(store.slices_lost(&proxy("p")).await.expect("read"), 5);
}

#[tokio::test]
async fn a_batch_that_contradicts_itself_is_refused() {
    let dir = folder();
    let store = open(dir.path()).await;
    let good = batch("p", vec![slice("b", 1, "shop", 1)]);
    let bad = [
        (proxy("q"), good.clone()),
        (
            proxy("p"),
            SliceBatch {
                v: WIRE_VERSION + 1,
                ..good
            },
        ),
        (proxy("p"), batch("p", vec![slice("b", 0, "shop", 1)])),
    ];
    for (name, batch) in bad {
        let refused = store.put_slices(&name, &batch, NOW).await;
        assert!(
            matches!(refused, Err(StoreError::Refused { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(
        store.slices(&service("shop"), 0, 9).await.expect("read"),
        []
    );
}

#[tokio::test]
async fn a_backlog_is_taken_in_parts_that_are_acknowledged() {
    let dir = folder();
    let store = open(dir.path()).await;
    let all: Vec<_> = (1..=6_000)
        .map(|n| slice("b", n, "shop", n as i64))
        .collect();
    let first = store
        .put_slices(&proxy("p"), &batch("p", all.clone()), NOW)
        .await
        .expect("stored");
    assert_eq!((first.stored, first.acks[0].sequence), (5_000, 5_000));
    assert_eq!(put(&store, "p", all[5_000..].to_vec()).await, (1_000, 0));
    let found = store
        .slices(&service("shop"), 4_990, 5_010)
        .await
        .expect("read");
    assert_eq!(sequences(&found), (4_990..5_010).collect::<Vec<u64>>());
}

#[tokio::test]
async fn joining_changes_no_slice_and_keeps_repeats_out() {
    let dir = folder();
    let store = open(dir.path()).await;
    let base = NOW.unix_second() - 1_000;
    let mut all = Vec::new();
    for n in 1..=400_u64 {
        let one = slice("b", n, "shop", base + n as i64);
        put(&store, "p", vec![one.clone()]).await;
        all.push(one);
    }
    let before = store
        .slices(&service("shop"), 0, i64::MAX)
        .await
        .expect("read");
    let done = store.keep_slices(KEEP_ALL, NOW).await.expect("kept");
    assert_eq!((done.joined, done.removed), (400, 0));
    let after = store
        .slices(&service("shop"), 0, i64::MAX)
        .await
        .expect("read");
    assert_eq!(after, before);
    assert_eq!(put(&store, "p", all).await, (0, 400));
    // Joined ones are not joined again.
    let again = store.keep_slices(KEEP_ALL, NOW).await.expect("kept");
    assert_eq!((again.joined, again.bytes), (0, done.bytes));
    // Young ones wait for their neighbours.
    put(
        &store,
        "p",
        vec![slice("b", 401, "shop", NOW.unix_second())],
    )
    .await;
    put(
        &store,
        "p",
        vec![slice("b", 402, "shop", NOW.unix_second())],
    )
    .await;
    let young = store.keep_slices(KEEP_ALL, NOW).await.expect("kept");
    assert_eq!(young.joined, 0);
}

#[tokio::test]
async fn the_oldest_go_by_age_and_by_size() {
    let dir = folder();
    let store = open(dir.path()).await;
    let start = NOW.unix_second() - 100;
    for n in 1..=100 {
        put(&store, "p", vec![slice("b", n, "shop", start + n as i64)]).await;
    }
    let by_age = SliceRetention {
        age: Millis::from_secs(49),
        ..KEEP_ALL
    };
    let done = store.keep_slices(by_age, NOW).await.expect("kept");
    assert_eq!(done.removed, 50);
    let found = store
        .slices(&service("shop"), 0, i64::MAX)
        .await
        .expect("read");
    assert_eq!(sequences(&found), (51..=100).collect::<Vec<u64>>());

    let half = SliceRetention {
        bytes: done.bytes / 2,
        ..KEEP_ALL
    };
    let done = store.keep_slices(half, NOW).await.expect("kept");
    assert!(done.removed > 0 && done.bytes <= half.bytes, "{done:?}");
    let found = store
        .slices(&service("shop"), 0, i64::MAX)
        .await
        .expect("read");
    let kept = sequences(&found);
    assert_eq!(kept.last(), Some(&100));
    assert!(
        kept.len() < 50 && kept.windows(2).all(|w| w[0] + 1 == w[1]),
        "{kept:?}"
    );
    // Forgotten is not "never came": a repeat is still a repeat.
    assert_eq!(
        put(&store, "p", vec![slice("b", 1, "shop", start)]).await,
        (0, 1)
    );

    // A boot that is silent for longer than the age is forgotten as a whole.
    let later = Timestamp(NOW.0 + 3_600_000_000);
    store.keep_slices(by_age, later).await.expect("kept");
    assert_eq!(store.acked(&proxy("p")).await.expect("read"), []);
}
