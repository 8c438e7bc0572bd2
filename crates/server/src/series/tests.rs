//! What is summed up, against sums made by hand.
// DSH-01, DSH-02, DSH-03

use super::*;
use crate::report::tests::Told;
use esclusa_judge::{Cell, EventClass, SLICE_VERSION, bucket_of, upper_edge};
use esclusa_model::{Epoch, GenerationId, ServiceName};
use std::collections::BTreeMap;

const START_S: i64 = crate::report::tests::START_S;

fn cell(version: &str, requests: u64, errors: u64, micros: u64) -> Cell {
    let mut latency = Histogram::default();
    latency.add(bucket_of(micros), requests - errors);
    Cell {
        intended: Digest::of(version.as_bytes()),
        served: None,
        route: "GET /".into(),
        instance: None,
        synthetic: false,
        requests,
        events: BTreeMap::from([(EventClass::ServerError, errors)]),
        latency,
        pending: Histogram::default(),
        units: Vec::new(),
    }
}

fn slice(after_s: i64, cells: Vec<Cell>) -> Slice {
    Slice {
        v: SLICE_VERSION,
        service: ServiceName::new("shop").expect("valid"),
        second: START_S + after_s,
        uptime_s: 0,
        generation: GenerationId {
            epoch: Epoch(1),
            number: 1,
        },
        cells,
        client_faults: 0,
        proxy_faults: 0,
    }
}

/// A second of a release's traffic, with both versions once users are exposed.
pub(crate) fn sample(after_s: i64) -> Slice {
    let wave = (after_s % 60).unsigned_abs();
    let mut cells = vec![cell("2.4.0", 90 + wave, wave / 30, 38_000 + wave * 90)];
    if after_s > 47 {
        cells.push(cell("2.4.1", 5 + wave / 20, u64::from(wave == 7), 44_000));
    }
    slice(after_s, cells)
}

fn series(told: &Told, points: u16, slices: &[Slice], unknown: Option<&str>) -> Series {
    let now = Timestamp((START_S + 99) * 1_000_000);
    let span = Span::of(&told.release, now);
    let points = Points::new(points).expect("in range");
    let mut collector = Collector::new(&told.release, span, points);
    slices.iter().for_each(|slice| collector.take(slice));
    collector.finish(&told.release, &told.events, unknown.map(str::to_owned))
}

fn ms(micros: u64) -> Option<LatencyMs> {
    Some(LatencyMs::from_micros(upper_edge(bucket_of(micros))))
}

#[test]
fn buckets_are_sums_and_a_gap_is_unknown() {
    let told = Told::exposed();
    let slices = [
        slice(50, vec![cell("2.4.0", 90, 0, 10_000)]),
        slice(
            51,
            vec![
                cell("2.4.0", 10, 1, 500_000),
                cell("2.4.1", 4, 3, 20_000),
                // Neither of the two: somebody else's version.
                cell("1.0.0", 7, 7, 1),
            ],
        ),
        // A second proxy, the same second.
        slice(51, vec![cell("2.4.1", 6, 0, 20_000)]),
        // Counted, and nothing came.
        slice(60, Vec::new()),
    ];
    let shown = series(&told, 10, &slices, None);
    assert_eq!((shown.buckets.len(), shown.bucket_ms), (10, 10_000));
    assert_eq!(shown.buckets[0].start_ms, START_S * 1_000);
    let busy = &shown.buckets[5];
    assert_eq!(busy.counted_s, 2);
    let expected = Side {
        requests: 100,
        errors: 1,
        error_percent: Percent::of(1, 100),
        p50_ms: ms(10_000),
        // Of the sum of both histograms: the mean of both p95 would be 255 ms.
        p95_ms: ms(500_000),
        p99_ms: ms(500_000),
    };
    assert_eq!(busy.stable.as_ref(), Some(&expected));
    let canary = busy.canary.as_ref().expect("counted");
    assert_eq!((canary.requests, canary.errors), (10, 3));
    assert_eq!(canary.error_percent, Percent::of(3, 10));

    let silent = &shown.buckets[6];
    let silence = Side {
        requests: 0,
        errors: 0,
        error_percent: None,
        p50_ms: None,
        p95_ms: None,
        p99_ms: None,
    };
    assert_eq!(silent.stable.as_ref(), Some(&silence));
    let gap = &shown.buckets[7];
    assert_eq!((gap.counted_s, &gap.stable, &gap.canary), (0, &None, &None));
}

#[test]
fn the_share_is_what_was_read_back() {
    let told = Told::exposed();
    let shown = series(&told, 100, &[], None);
    let shares: Vec<f64> = shown.buckets[46..49]
        .iter()
        .map(|bucket| bucket.share_percent.get())
        .collect();
    // Read back 47 s after the start, so at the end of that second.
    assert_eq!(shares, [0.0, 5.0, 5.0]);
}

#[test]
fn however_long_it_took_the_answer_is_bounded() {
    let told = Told::exposed();
    for (points, count, length) in [(1, 1, 100_000), (7, 7, 15_000), (1_000, 100, 1_000)] {
        let shown = series(&told, points, &[], None);
        assert_eq!(
            (shown.buckets.len(), shown.bucket_ms),
            (count, length),
            "{points}"
        );
        let total: u64 = shown.buckets.iter().map(|bucket| bucket.length_ms).sum();
        assert_eq!(total, 100_000, "no time is missing or twice");
    }
    assert_eq!((Points::new(0), Points::new(1_001)), (None, None));
}

#[test]
fn what_could_not_be_read_is_nowhere_zero() {
    let told = Told::exposed();
    let some = [slice(50, vec![cell("2.4.0", 90, 0, 10_000)])];
    let shown = series(&told, 10, &some, Some("the disk is gone"));
    assert_eq!(shown.unknown_because.as_deref(), Some("the disk is gone"));
    let known = |bucket: &Bucket| {
        bucket.stable.is_some() || bucket.canary.is_some() || bucket.counted_s > 0
    };
    assert!(!shown.buckets.iter().any(known));
}

#[test]
fn marks_say_what_happened() {
    let told = Told::exposed();
    let shown = series(&told, 10, &[], None);
    let stage = shown.marks.iter().find(|mark| mark.kind == MarkKind::Stage);
    let stage = stage.expect("it entered one");
    assert_eq!(stage.what, "went on to stage 1 (5%)");
    assert_eq!(stage.at_ms, (START_S + 46) * 1_000);
    let agreed = shown
        .marks
        .iter()
        .filter(|mark| mark.kind == MarkKind::Person);
    assert_eq!(agreed.count(), 3, "asked, and two sign-offs");
}
