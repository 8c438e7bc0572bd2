//! Flags on their way: the same contract as the other shapes, in files of their own.

use crate::golden::holds;
use crate::samples::NAME;
use esclusa_flags::{FlagSet, KillMark, Kills, Rollout};
use esclusa_model::{Actor, BasisPoints, Digest, ReleaseId, Timestamp};
use esclusa_wire::{
    AskContexts, FlagDocument, FlagKill, FlagStatus, FlagStream, FlagToken, FlagTokenKind,
    FlagsFile, FlagsKilled, FlagsTaken, KeylessGuard, LeftKill, TakeBack, TesterGrant, TesterKey,
    WIRE_VERSION,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn kills() -> Kills {
    let mark = |epoch, killed| KillMark { epoch, killed };
    Kills {
        all: mark(2, false),
        flags: BTreeMap::from([("exec-reports".to_owned(), mark(3, true))]),
    }
}

fn kill() -> FlagKill {
    FlagKill {
        flags: Some(vec!["exec-reports".into()]),
        killed: true,
        epoch: 3,
        by: Actor::new("ana").expect("valid"),
        reason: "errors at acme".into(),
        at: Timestamp(1_795_975_494_031_549),
    }
}

/// The set itself is the format of files that people write; here it is only carried.
fn document() -> FlagDocument {
    FlagDocument {
        v: WIRE_VERSION,
        id: NAME,
        set: FlagSet::from_json(json!({
            "revision": 12,
            "environments": ["production"],
            "flags": { "exec-reports": { "type": "boolean" } },
        }))
        .expect("valid"),
        kills: kills(),
        rollouts: vec![Rollout {
            release: ReleaseId::new("r1").expect("valid"),
            environment: "production".into(),
            flags: BTreeMap::from([("exec-reports".to_owned(), "on".to_owned())]),
            segments: vec!["team".into()],
            share: BasisPoints::new(500).expect("valid"),
            of: Some("tenant".into()),
            salt: "s".into(),
        }],
        tokens: vec![FlagToken {
            name: "shop".into(),
            hash: Digest::of(b"secret"),
            kind: FlagTokenKind::Client,
            environment: "production".into(),
            project: Some("reports".into()),
            strict: true,
            expires: Some(Timestamp(1_795_975_494_000_000)),
        }],
        key: "ab".repeat(32),
        journal: vec![kill()],
    }
}

#[test]
fn a_document() {
    holds(
        include_str!("../../golden/flag-document-v1.json"),
        &document(),
    );
}

#[test]
fn what_is_kept_of_flags() {
    let file = FlagsFile {
        document: Some(document()),
        kills: kills(),
        killed_here: vec![kill()],
        withheld: vec![ReleaseId::new("r1").expect("valid")],
    };
    holds(include_str!("../../golden/flags-file-v1.json"), &file);
}

#[test]
fn a_kill_and_its_answer() {
    holds(include_str!("../../golden/flag-kill-v1.json"), &kill());
    let killed = FlagsKilled {
        kills: kills(),
        unknown: vec!["exce".into()],
        persisted: true,
    };
    holds(include_str!("../../golden/flags-killed-v1.json"), &killed);
}

#[test]
fn a_kill_that_is_left_for_the_next_proxy() {
    let left = LeftKill {
        flags: Some(kill()),
        take_back: Some(TakeBack {
            services: None,
            by: Actor::new("ana").expect("valid"),
            reason: "errors at acme".into(),
        }),
    };
    holds(include_str!("../../golden/left-kill-v1.json"), &left);
    let text = left.encode().expect("JSON");
    assert_eq!(LeftKill::decode(&text), Ok(left));
    assert!(FlagsFile::decode(&text).is_err());
}

#[test]
fn answers_about_flags() {
    let taken = FlagsTaken {
        id: NAME,
        revision: 12,
        kills: kills(),
        persisted: true,
    };
    holds(include_str!("../../golden/flags-taken-v1.json"), &taken);
    let status = FlagStatus {
        id: NAME,
        revision: 12,
        kills: kills(),
        killed_here: vec![kill()],
        streams: vec![FlagStream {
            who: "shop node".into(),
            since: Timestamp(1_795_975_494_031_549),
            told: (12, 3),
            fetched: Some((12, 2)),
        }],
        exposures: None,
        keyless: Vec::new(),
    };
    holds(include_str!("../../golden/flag-status-v1.json"), &status);
    let status = FlagStatus {
        killed_here: Vec::new(),
        streams: Vec::new(),
        keyless: vec![KeylessGuard {
            guard: "reports".into(),
            trouble: "the environment variable ISSUER_SECRET is not set".into(),
        }],
        ..status
    };
    let golden = include_str!("../../golden/flag-status-keyless-v1.json");
    holds(golden, &status);
    let asked = AskContexts {
        environment: "production".into(),
    };
    holds(include_str!("../../golden/ask-contexts-v1.json"), &asked);
}

// Tokens live in people's hands: those that were given stay good.
#[test]
fn a_testers_token() {
    let file: Value =
        serde_json::from_str(include_str!("../../golden/tester-token-v1.json")).expect("JSON");
    let grant = TesterGrant {
        who: "ana".into(),
        environment: "production".into(),
        variants: BTreeMap::from([("exec-reports".to_owned(), "on".to_owned())]),
        until: 1_795_975_494,
    };
    let key = TesterKey::new(&"ab".repeat(32)).expect("a key");
    assert_eq!(file["token"], key.sign(&grant));
    let token = file["token"].as_str().expect("text");
    assert_eq!(key.read(token, 1_795_975_493), Some(grant));
}
