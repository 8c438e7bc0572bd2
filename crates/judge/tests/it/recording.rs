//! Recordings in the replay format.

use crate::world::{Plant, World, canary};
use esclusa_judge::{Decision, JudgeConfig, Label, Series, replay};
use std::fmt::Write as _;

/// The world as a recording.
fn record(world: &World) -> String {
    let mut text = format!(
        "{{\"kind\":\"meta\",\"format\":\"esclusa-judge/1\",\"id\":\"x\",\"routes\":[\"GET /item\",\"GET /search\",\"POST /cart\",\"GET /export\"],\
         \"baseline\":\"v1\",\"canary\":\"v2\",\"canary_start_t\":0,\"stage\":{{\"weight\":{},\"next_weight\":{}}}}}\n",
        world.share, world.next_share
    );
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..world.duration_s {
        let weight = if t < 0 { 0.0 } else { world.share };
        writeln!(text, "{{\"kind\":\"tick\",\"t\":{t},\"w\":{weight}}}").expect("writes");
        for (index, cell) in traffic.second(t).cells.iter().map(|c| &c.cell).enumerate() {
            let version = if cell.intended == canary() {
                "v2"
            } else {
                "v1"
            };
            let latency = serde_json::to_string(&cell.latency).expect("serialises");
            let (n, e, r) = (cell.requests, cell.failures(), index % 4);
            writeln!(
                text,
                "{{\"kind\":\"s\",\"t\":{t},\"v\":\"{version}\",\"r\":{r},\"n\":{n},\"e\":{e},\"h\":{latency},\"later\":1}}"
            )
            .expect("writes");
        }
    }
    text
}

#[test]
fn a_recording_is_judged_as_the_live_traffic_was() {
    for plants in [
        vec![],
        vec![(90, Plant::Errors(0.6))],
        vec![(20, Plant::Errors(0.03))],
    ] {
        let world = World {
            plants,
            duration_s: 150,
            ..World::default()
        };
        let live = world.run(&JudgeConfig::default()).rollback;
        let timeline =
            replay::run(record(&world).lines(), JudgeConfig::default()).expect("a recording");
        let replayed = timeline
            .iter()
            .find(|line| line.verdict == Decision::Rollback)
            .map(|line| (line.t, line.reason.clone()));
        assert_eq!(replayed, live);
        let last = timeline.last().expect("a last line");
        assert_eq!(last.t, world.duration_s - 1);
    }
}

#[test]
fn the_timeline_names_the_cause() {
    let world = World {
        plants: vec![(30, Plant::Errors(1.0))],
        duration_s: 60,
        ..World::default()
    };
    let timeline =
        replay::run(record(&world).lines(), JudgeConfig::default()).expect("a recording");
    let last = timeline.last().expect("a last line");
    assert_eq!(last.causes[0].label, Label::Errors);
    assert_eq!(last.causes[1].label, Label::Outage);
}

#[test]
fn bad_recordings_are_refused_with_their_line() {
    let meta = record(&World {
        duration_s: 0,
        pre_roll_s: 0,
        ..World::default()
    });
    for (rest, what) in [
        (
            "{\"kind\":\"s\",\"v\":\"v1\",\"r\":0,\"n\":1}",
            "before the first",
        ),
        (
            "{\"kind\":\"tick\",\"t\":1}\n{\"kind\":\"tick\",\"t\":1}",
            "backwards",
        ),
        (
            "{\"kind\":\"tick\",\"t\":1}\n{\"kind\":\"s\",\"v\":\"v9\",\"r\":0,\"n\":1}",
            "neither",
        ),
        (
            "{\"kind\":\"tick\",\"t\":1}\n{\"kind\":\"s\",\"v\":\"v1\",\"r\":9,\"n\":1}",
            "route",
        ),
        (
            "{\"kind\":\"tick\",\"t\":1}\n{\"kind\":\"s\",\"v\":\"v1\",\"r\":0,\"n\":1,\"e\":2}",
            "more errors",
        ),
        ("not json", "expected"),
    ] {
        let text = format!("{meta}{rest}");
        let error = replay::run(text.lines(), JudgeConfig::default()).expect_err(rest);
        assert!(error.to_string().contains(what), "{rest}: {error}");
        assert!(error.line >= 2);
    }
    let error =
        replay::run(["{\"kind\":\"tick\",\"t\":1}"], JudgeConfig::default()).expect_err("no meta");
    assert_eq!(error.line, 1);
    let unknown =
        format!("{meta}{{\"kind\":\"tick\",\"t\":0}}\n{{\"kind\":\"weather\",\"sky\":\"blue\"}}");
    assert!(replay::run(unknown.lines(), JudgeConfig::default()).is_ok());
}

/// The timeline is the same when the replay is stored and read back at any line.
#[test]
fn a_replay_goes_on_where_it_was_stopped() {
    let world = World {
        plants: vec![(20, Plant::Errors(0.03)), (0, Plant::Cold(2.0, 20.0))],
        duration_s: 90,
        ..World::default()
    };
    let text = record(&world);
    let whole = replay::run(text.lines(), JudgeConfig::default()).expect("a recording");
    let mut stopped = replay::Replay::new(JudgeConfig::default(), None).expect("a replay");
    let mut timeline = Vec::new();
    for (number, line) in text.lines().enumerate() {
        timeline.extend(stopped.read(line).expect("a line"));
        if number % 97 == 0 {
            let stored = serde_json::to_string(&stopped).expect("serialises");
            stopped = serde_json::from_str(&stored).expect("reads");
        }
    }
    timeline.extend(stopped.finish().expect("seconds").1);
    let text = |lines: &[replay::TimelineLine]| serde_json::to_string(lines).expect("serialises");
    assert_eq!(text(&timeline), text(&whole));
}

/// Kinds of traffic as a benchmark has them, each stopped and resumed every tenth second.
#[test]
fn a_stop_at_every_tenth_second_changes_no_byte() {
    for (seed, plants) in [
        (1, vec![]),
        (2, vec![(40, Plant::Errors(0.05))]),
        (3, vec![(0, Plant::SlowOn(2, 1.8))]),
        (4, vec![(30, Plant::Tail(0.02, 6.0))]),
        (5, vec![(20, Plant::Shared(0.1, 1.5))]),
        (6, vec![(0, Plant::Mix), (0, Plant::Cold(2.0, 20.0))]),
        (7, vec![(60, Plant::Hang)]),
        (8, vec![(0, Plant::NoCanary)]),
    ] {
        let world = World {
            seed,
            plants,
            duration_s: 130,
            ..World::default()
        };
        let text = record(&world);
        let config = JudgeConfig::default();
        let told = |stops: bool| {
            let mut replay = replay::Replay::new(config.clone(), Some(1)).expect("a replay");
            let mut timeline = String::new();
            for line in text.lines() {
                let tenth = line.contains("\"tick\"") && line.contains("0,\"w\"");
                if stops && tenth {
                    let stored = serde_json::to_string(&replay).expect("serialises");
                    replay = serde_json::from_str(&stored).expect("reads");
                }
                if let Some(said) = replay.read(line).expect("a line") {
                    timeline += &serde_json::to_string(&said).expect("serialises");
                }
            }
            timeline + &serde_json::to_string(&replay.finish().expect("seconds").1).expect("text")
        };
        assert!(told(false) == told(true), "seed {seed}");
    }
}

/// `every` asks for lines though nothing changes.
#[test]
fn lines_come_as_often_as_asked() {
    let world = World {
        duration_s: 60,
        ..World::default()
    };
    let mut replay = replay::Replay::new(JudgeConfig::default(), Some(10)).expect("a replay");
    let mut times = Vec::new();
    for line in record(&world).lines() {
        times.extend(replay.read(line).expect("a line").map(|line| line.t));
    }
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] <= 10),
        "{times:?}"
    );
    assert!(times.len() >= 5, "{times:?}");
}

/// The same recording with readings of a series each 15 seconds.
fn with_readings(text: &str, name: &str, canary: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        writeln!(lines, "{line}").expect("writes");
        let tick: serde_json::Value = serde_json::from_str(line).expect("a line");
        if tick["kind"] == "tick" && tick["t"].as_i64().is_some_and(|t| t % 15 == 0) {
            for (version, value) in [("v1", "10"), ("v2", canary), ("v0", "99")] {
                let t = &tick["t"];
                writeln!(
                    lines,
                    "{{\"kind\":\"m\",\"t\":{t},\"name\":\"{name}\",\"v\":\"{version}\",\"value\":{value}}}"
                )
                .expect("writes");
            }
        }
    }
    lines
}

// MET-10: recorded readings are judged by the series of their name.
#[test]
fn recorded_readings_are_judged_by_name() {
    let series: Series = serde_json::from_value(serde_json::json!({
        "name": "queue_depth", "every": 15_000, "direction": "up", "margin": 0.1,
        "noninferior": 0.2, "kind": "gauge", "required": true
    }))
    .expect("a series");
    let config = JudgeConfig {
        series: vec![series],
        ..JudgeConfig::default()
    };
    let plain = record(&World {
        duration_s: 260,
        ..World::default()
    });
    let run = |text: &str, config: &JudgeConfig| {
        let lines = replay::run(text.lines(), config.clone()).expect("a recording");
        let last = lines.last().expect("a last line");
        (last.verdict, last.reason.clone(), lines)
    };
    let worse = with_readings(&plain, "queue_depth", "20");
    let (verdict, reason, lines) = run(&worse, &config);
    assert_eq!(
        (verdict, reason.as_str()),
        (Decision::Rollback, "harm:queue_depth")
    );
    let last = serde_json::to_value(lines.last().expect("a line")).expect("JSON");
    assert_eq!(last["causes"][0]["label"], "series");
    assert_eq!(last["causes"][0]["metric"], "queue_depth");
    assert!(
        last["log_e"]["queue_depth"]
            .as_f64()
            .is_some_and(|e| e > 4.6),
        "{last}"
    );
    // Without a number there is no reading.
    let silent = run(&with_readings(&plain, "queue_depth", "null"), &config);
    assert_eq!(silent.1, "blind:queue_depth");
    let good = run(&with_readings(&plain, "queue_depth", "10.5"), &config);
    assert!(good.2.iter().any(|line| line.verdict == Decision::Proceed));
    // Names that nobody configured, and no series at all, change nothing.
    let other = run(
        &with_readings(&plain, "other", "20"),
        &JudgeConfig::default(),
    );
    assert_eq!(other, run(&plain, &JudgeConfig::default()));
    let dumb = replay::run("{\"kind\":\"m\"}".lines(), config);
    assert!(dumb.is_err());
}

// PIP-10: every line fits the published schema, and what is no line does not.
#[test]
fn timelines_fit_their_schema() {
    let schema = esclusa_judge::timeline_schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut seen = 0;
    for plants in [vec![], vec![(20, Plant::Errors(0.03))]] {
        let world = World {
            plants,
            duration_s: 100,
            ..World::default()
        };
        for line in replay::run(record(&world).lines(), JudgeConfig::default()).expect("judged") {
            let line = serde_json::to_value(&line).expect("JSON");
            assert!(validator.is_valid(&line), "{line}");
            seen += 1;
            for (field, wrong) in [
                ("verdict", serde_json::json!("MAYBE")),
                ("reason", serde_json::json!("Because")),
                ("canary_requests", serde_json::json!(-1)),
                ("more", serde_json::json!(1)),
            ] {
                let mut other = line.clone();
                other[field] = wrong;
                assert!(!validator.is_valid(&other), "{other}");
            }
        }
    }
    assert!(seen > 4, "{seen} lines");
}
