//! Recorded traffic, judged again.

use super::run;
use esclusa_judge_bench::{kinds, record::record, world::World};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;

/// A kind of the benchmark as a file `name` in the folder.
fn recorded(dir: &Path, name: &str, kind: &str) {
    let kind = kinds::all()
        .into_iter()
        .find(|k| k.name == kind)
        .expect("a kind");
    let world = World {
        seed: 3,
        duration_s: 240,
        ..kind.world
    };
    let text = record(name, &world).join("\n");
    std::fs::write(dir.join(name), text).expect("written");
}

fn replay(dir: &Path, args: &[&str]) -> (i32, Vec<Value>) {
    let (code, data, talk) = run(dir, &[&["judge", "replay"], args].concat());
    let lines = data
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON Lines"))
        .collect();
    assert!(code != 2 || !talk.is_empty());
    (code, lines)
}

/// CAN-08, CAN-14, PIP-09, PIP-10: the exit code is the last verdict's.
#[test]
fn a_recording_ends_with_the_code_of_its_last_verdict() {
    let dir = tempfile::tempdir().expect("a folder");
    for (kind, expected, verdict, label) in [
        ("iid, 1000 rps 50 %", 0, "PROCEED", None),
        (
            "no canary traffic, 1000 rps 5 %",
            10,
            "HOLD",
            Some("no_traffic"),
        ),
        (
            "errors +5.0 pp, 100 rps 25 %",
            20,
            "ROLLBACK",
            Some("errors"),
        ),
        ("+50 %, 100 rps 25 %", 20, "ROLLBACK", Some("latency")),
    ] {
        recorded(dir.path(), "traffic.jsonl", kind);
        std::fs::write(dir.path().join("judge.yaml"), "judge: {}\n").expect("written");
        let (code, lines) = replay(dir.path(), &["traffic.jsonl", "--config", "judge.yaml"]);
        let last = lines.last().expect("a last line");
        assert_eq!(
            (code, &last["verdict"]),
            (expected, &verdict.into()),
            "{kind}: {last}"
        );
        assert_eq!(last["t"], 239);
        if let Some(label) = label {
            assert_eq!(last["causes"][0]["label"], label, "{kind}: {last}");
            assert!(last["causes"][0]["routes"].is_array());
        }
        let says = |line: &Value| {
            (
                line["verdict"].clone(),
                line["reason"].clone(),
                line["causes"][0]["label"].clone(),
            )
        };
        let changes = lines[..lines.len() - 1].windows(2);
        assert!(
            changes.clone().all(|pair| says(&pair[0]) != says(&pair[1])),
            "{kind}"
        );
    }
}

#[test]
fn compressed_input_and_standard_input_say_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    recorded(dir.path(), "traffic.jsonl", "errors +5.0 pp, 100 rps 25 %");
    let text = std::fs::read(dir.path().join("traffic.jsonl")).expect("read");
    let file = std::fs::File::create(dir.path().join("traffic.jsonl.gz")).expect("created");
    let mut packed = GzEncoder::new(file, Compression::fast());
    packed.write_all(&text).expect("written");
    packed.finish().expect("finished");
    let plain = replay(dir.path(), &["traffic.jsonl"]);
    assert_eq!(replay(dir.path(), &["traffic.jsonl.gz"]), plain);
    let (_, often) = replay(dir.path(), &["traffic.jsonl", "--every", "1s"]);
    let seconds: Vec<i64> = often.iter().filter_map(|line| line["t"].as_i64()).collect();
    let all: Vec<i64> = (0..240).collect();
    assert_eq!(seconds, all, "a line each second");
}

#[test]
fn bad_recordings_and_settings_are_told_with_their_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let meta = r#"{"kind":"meta","format":"esclusa-judge/1","routes":["GET /"],"baseline":"v1","canary":"v2","stage":{"weight":0.1,"next_weight":0.5}}"#;
    for (text, line, what) in [
        ("", "line 0", "first `tick`"),
        ("{\"kind\":\"tick\",\"t\":0}", "line 1", "`meta`"),
        (&format!("{meta}\nnonsense"), "line 2", "expected"),
        (
            &format!("{meta}\n{{\"kind\":\"tick\",\"t\":1}}\n{{\"kind\":\"tick\",\"t\":0}}"),
            "line 3",
            "backwards",
        ),
        (
            &format!(
                "{meta}\n{{\"kind\":\"tick\",\"t\":1}}\n{{\"kind\":\"s\",\"t\":1,\"v\":\"v1\",\"r\":7,\"n\":1}}"
            ),
            "line 3",
            "route",
        ),
        (
            &format!(
                "{meta}\n{{\"kind\":\"tick\",\"t\":1}}\n{{\"kind\":\"s\",\"t\":1,\"v\":\"v1\",\"r\":0,\"n\":1,\"h\":[3,2]}}"
            ),
            "line 3",
            "latencies",
        ),
    ] {
        std::fs::write(dir.path().join("bad.jsonl"), text).expect("written");
        let (code, data, talk) = run(dir.path(), &["judge", "replay", "bad.jsonl"]);
        assert_eq!(code, 2, "{talk}");
        assert!(
            !data.contains("ROLLBACK") && talk.contains("ESC-0602"),
            "{talk}"
        );
        assert!(talk.contains(line) && talk.contains(what), "{what}: {talk}");
    }
    recorded(dir.path(), "traffic.jsonl", "+50 %, 100 rps 25 %");
    std::fs::write(dir.path().join("judge.yaml"), "judge: { alhpa: 1 }\n").expect("written");
    let asked = ["judge", "replay", "traffic.jsonl", "--config", "judge.yaml"];
    let (code, _, talk) = run(dir.path(), &asked);
    assert_eq!(code, 2);
    assert!(talk.contains("alhpa"), "{talk}");
}

// CAN-04, BLD-03: the reason with its numbers, in words.
#[test]
fn a_return_is_explained() {
    let dir = tempfile::tempdir().expect("a folder");
    recorded(dir.path(), "traffic.jsonl", "one route 10 %, 1000 rps 50 %");
    let (code, data, _) = run(dir.path(), &["judge", "explain", "traffic.jsonl"]);
    assert_eq!(code, 20);
    for part in [
        "ROLLBACK: the error rate is worse",
        "canary failed",
        "on POST /cart",
        "proved:",
    ] {
        assert!(data.contains(part), "{part} in {data}");
    }
}

#[test]
fn a_plan_is_told_what_its_stages_can_see() {
    let dir = tempfile::tempdir().expect("a folder");
    let plan = "esclusa: 1\nservice: shop\nroute: { listen: 127.0.0.1:8080 }\naddress: { url: 'http://shop-${version}.internal' }\nstages:\n  - { to: 5%, for: 10m }\n  - { to: 50%, for: 10m }\n  - { to: 100%, watch: 20m }\n";
    std::fs::write(dir.path().join("esclusa.yaml"), plan).expect("written");
    let (code, data, talk) = run(dir.path(), &["judge", "power", "--rps", "1000"]);
    assert_eq!(code, 0, "{talk}");
    assert_eq!(data.lines().count(), 2, "{data}");
    assert!(
        data.contains("finds errors from") && data.contains("is proved after"),
        "{data}"
    );
    let (_, data, _) = run(dir.path(), &["judge", "power", "--rps", "0.01"]);
    assert!(
        data.contains("finds no regression in time") && data.contains("is not proved in time"),
        "{data}"
    );
}

// PIP-09: whether these settings return what changes nothing, asked of one's own traffic.
#[test]
fn own_traffic_is_tried_as_releases() {
    let dir = tempfile::tempdir().expect("a folder");
    recorded(dir.path(), "traffic.jsonl", "errors +5.0 pp, 100 rps 25 %");
    let tried = |more: &[&str]| {
        let usual = [
            "judge",
            "selftest",
            "traffic.jsonl",
            "--releases",
            "12",
            "--json",
        ];
        let (code, data, talk) = run(dir.path(), &[&usual, more].concat());
        assert!(talk.contains("12 of 12") && code <= 1, "{code}: {talk}");
        let told: Value = serde_json::from_str(&data).expect("JSON");
        (code, told)
    };
    let (code, told) = tried(&["--for", "2m", "--max-false", "30%"]);
    assert_eq!((code, &told["accepted"]), (0, &true.into()), "{told:#}");
    let identical = told["identical"].as_array().expect("a list");
    let by: Vec<&Value> = identical.iter().map(|one| &one["by"]).collect();
    assert_eq!(by, ["unit", "time"]);
    for one in identical {
        let ends = ["returned", "held", "promoted"].map(|end| one[end]["n"].as_u64());
        assert_eq!(ends.into_iter().flatten().sum::<u64>(), 12, "{one:#}");
    }
    let outage = &told["harmful"][5];
    assert_eq!(
        (&outage["found"]["n"], &outage["found"]["of"]),
        (&10.into(), &10.into())
    );
    assert!(outage["median_s"].as_i64() <= Some(10), "{outage:#}");
    // Twelve releases cannot show a bound of one in a hundred.
    let (code, told) = tried(&["--for", "2m", "--max-false", "1%"]);
    assert_eq!((code, &told["accepted"]), (1, &false.into()), "{told:#}");

    // Settings that send back whatever is not proved return what changes nothing.
    std::fs::write(
        dir.path().join("judge.yaml"),
        "judge: { on-unproven: rollback, errors: { risk-budget: 0.021% } }\n",
    )
    .expect("written");
    let reckless = [
        "--for",
        "1m",
        "--max-false",
        "30%",
        "--config",
        "judge.yaml",
    ];
    let (code, told) = tried(&reckless);
    assert_eq!((code, &told["accepted"]), (1, &false.into()), "{told:#}");
    assert!(
        told["identical"][0]["returned"]["n"].as_u64() > Some(6),
        "{told:#}"
    );

    let (code, _, talk) = run(dir.path(), &["judge", "selftest", "none.jsonl"]);
    assert!(code == 2 && talk.contains("ESC-0602"), "{talk}");
    let short = r#"{"kind":"meta","format":"esclusa-judge/1","routes":["GET /"],"baseline":"v1","canary":"v2","stage":{"weight":0.1,"next_weight":0.5}}
{"kind":"tick","t":1}"#;
    std::fs::write(dir.path().join("short.jsonl"), short).expect("written");
    let (code, _, talk) = run(dir.path(), &["judge", "selftest", "short.jsonl"]);
    assert!(code == 2 && talk.contains("ESC-0603"), "{talk}");
}

const PLAN: &str = "esclusa: 1\nservice: shop\nroute: { listen: 127.0.0.1:8080 }\naddress: { url: 'http://shop-${version}.internal' }\nstages:\n  - { to: 1%, for: 10m }\n  - { to: 50%, for: 2h }\n  - { to: 100%, watch: 20m }\n";

#[test]
fn a_plan_is_shown_with_what_its_stages_can_see() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("esclusa.yaml"), PLAN).expect("written");
    let (code, data, _) = run(dir.path(), &["plan", "show", "--rps", "5"]);
    assert_eq!(code, 0);
    for part in [
        "at 5.0 requests/s",
        "powerless at this traffic",
        "a proof would come with for: ",
    ] {
        assert!(data.contains(part), "{part} in {data}");
    }
    let (_, data, _) = run(dir.path(), &["plan", "show", "--rps", "5", "--json"]);
    let shown: Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!(
        shown["power"]["stages"][0]["lacks"]["kind"], "requests",
        "{data}"
    );
    assert_eq!(shown["power"]["stages"][1]["lacks"], Value::Null, "{data}");
    // Without a server nothing is known, and that is said.
    let (code, data, _) = run(dir.path(), &["plan", "show"]);
    assert!(
        code == 0 && data.contains("not known: no server answers"),
        "{data}"
    );

    let (code, _, talk) = run(dir.path(), &["plan", "lint", "--rps", "5"]);
    assert!(code == 0 && talk.contains("ESC-0235"), "{talk}");
    let (code, _, talk) = run(dir.path(), &["plan", "lint", "--rps", "5000"]);
    assert!(code == 0 && !talk.contains("ESC-0235"), "{talk}");
}
