//! The suite passes our own server, and finds every fault that is planted into one.

#![expect(clippy::expect_used, reason = "a failing helper fails its test")]

use esclusa_flags::{FlagSet, Kills};
use esclusa_model::{Digest, Epoch, GenerationId};
use esclusa_ofrep::{FlagTable, Limits, Rate, Shared, serve};
use esclusa_ofrep_conformance::{Outcome, Report, Settings, run};
use esclusa_wire::{FlagDocument, FlagToken, FlagTokenKind, WIRE_VERSION};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

fn server() -> (SocketAddr, tokio::sync::watch::Sender<bool>) {
    let set = serde_json::from_str(include_str!("../fixture.json")).expect("JSON");
    let document = FlagDocument {
        v: WIRE_VERSION,
        id: GenerationId {
            epoch: Epoch(1),
            number: 1,
        },
        set: FlagSet::from_json(set).expect("a set"),
        kills: Kills::default(),
        rollouts: Vec::new(),
        tokens: vec![FlagToken {
            name: "suite".into(),
            hash: Digest::of(b"s3cret"),
            kind: FlagTokenKind::Server,
            environment: "production".into(),
            project: None,
            strict: false,
            expires: None,
        }],
        key: "07".repeat(32),
        journal: Vec::new(),
    };
    let table = FlagTable::compile(&document).expect("valid");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let shared = Arc::new(Shared::new(table));
        // Every run tries a wrong token.
        let limits = Limits {
            wrong_token_rate: Rate {
                per_second: 1_000,
                burst: 1_000,
            },
            ..Limits::default()
        };
        runtime
            .expect("a runtime")
            .block_on(serve(listener, shared, limits, stopped))
    });
    (address, stop)
}

fn asked(address: SocketAddr) -> Report {
    let token = Some("s3cret".to_owned());
    let settings = Settings::new(&format!("http://{address}"), token, &[]).expect("settings");
    run(&settings).expect("it answers")
}

#[test]
fn our_own_server_passes_and_skips_nothing() {
    let (address, _stop) = server();
    let report = asked(address);
    let passed = |case: &&esclusa_ofrep_conformance::Case| case.outcome == Outcome::Passed;
    assert_eq!(
        report.cases.iter().filter(passed).count(),
        report.cases.len(),
        "{}",
        report.text()
    );
    assert!(
        report.text().ends_with("37 passed, 0 failed, 0 skipped"),
        "{}",
        report.text()
    );
    assert!(report.junit().contains("tests=\"37\" failures=\"0\""));
    assert!(report.json().contains("\"outcome\": \"passed\""));
}

/// Stands before our server and spoils what passes: each text of an answer that is named is
/// replaced by another.
fn faulty(real: SocketAddr, fault: fn(&str, String) -> String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut piece = [0; 64 * 1024];
                let mut whole = None;
                while whole.is_none_or(|whole| request.len() < whole) {
                    match client.read(&mut piece) {
                        Ok(0) | Err(_) => return,
                        Ok(n) => request.extend_from_slice(&piece[..n]),
                    }
                    whole = whole.or_else(|| length(&request));
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let mut server = TcpStream::connect(real).expect("connects");
                let closing = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
                // A body that is too large is not read to its end.
                let _ = server.write_all(closing.as_bytes());
                let mut answer = Vec::new();
                if request.starts_with("GET /ofrep/v1/events") {
                    let first = server.read(&mut piece).unwrap_or(0);
                    answer.extend_from_slice(&piece[..first]);
                } else {
                    let _ = server.read_to_end(&mut answer);
                }
                let answer = String::from_utf8_lossy(&answer).into_owned();
                let spoilt = fault(&request, answer);
                // The length may have changed: the end of the connection is its end.
                let spoilt = spoilt.replace("content-length:", "x-length:");
                let spoilt = spoilt.replacen(
                    "HTTP/1.1 304 Not Modified\r\n",
                    "HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n",
                    1,
                );
                let _ = client.write_all(spoilt.as_bytes());
            });
        }
    });
    address
}

/// How long a request is, once its head is there.
fn length(request: &[u8]) -> Option<usize> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let body = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    Some(end + body.unwrap_or(0))
}

fn swap(of: &str, from: &str, to: &str) -> String {
    of.replace(from, to)
}

/// A fault, and the cases that it has to fail at least.
type Planted = (fn(&str, String) -> String, &'static [&'static str]);

#[test]
fn every_planted_fault_is_found() {
    let (real, _stop) = server();
    let faults: &[Planted] = &[
        (
            |_, a| swap(&a, "\"value\":10.0", "\"value\":10"),
            &["single_float"],
        ),
        (
            |_, a| swap(&a, "\"value\":10,", "\"value\":10.0,"),
            &["single_integer"],
        ),
        (
            |_, a| swap(&a, "\"value\":true", "\"value\":\"true\""),
            &["single_boolean", "single_targeting", "single_slash_raw"],
        ),
        (|_, a| swap(&a, "hello", "bye"), &["single_string"]),
        (|_, a| swap(&a, "2.5", "2"), &["single_object"]),
        (
            |_, a| swap(&a, "application/json", "text/plain"),
            &["single_content_type"],
        ),
        (
            |_, a| swap(&a, "\"variant\"", "\"variance\""),
            &["single_has_all_fields", "single_boolean"],
        ),
        (
            |_, a| swap(&a, "STATIC", "BECAUSE"),
            &["single_has_all_fields"],
        ),
        (
            |_, a| swap(&a, "DEFAULT", "STATIC"),
            &["single_static_is_honest"],
        ),
        (|_, a| swap(&a, "DISABLED", "ERROR"), &["single_disabled"]),
        (
            |r, a| match r.contains("{\"context\":{}}") {
                true => swap(&a, "200 OK", "400 Bad Request"),
                false => a,
            },
            &["single_empty_context", "bulk_inner_errors"],
        ),
        (
            |_, a| swap(&a, "404 Not Found", "200 OK"),
            &["single_missing_flag"],
        ),
        (
            |_, a| swap(&a, "errorDetails", "message"),
            &[
                "single_missing_flag",
                "single_parse_error",
                "single_missing_key",
            ],
        ),
        (
            |_, a| swap(&a, "TARGETING_KEY_MISSING", "GENERAL"),
            &["single_missing_key", "bulk_inner_errors"],
        ),
        (
            |_, a| swap(&a, "PARSE_ERROR", "GENERAL"),
            &["single_parse_error"],
        ),
        (
            |_, a| swap(&a, "INVALID_CONTEXT", "GENERAL"),
            &["single_bad_context"],
        ),
        (
            |r, a| match r.starts_with("POST /ofrep/v1/evaluate/flags/conformance/") {
                true => swap(&a, "200 OK", "404 Not Found"),
                false => a,
            },
            &["single_slash_raw"],
        ),
        (
            |r, a| match r.contains("%2F") {
                true => swap(&a, "200 OK", "404 Not Found"),
                false => a,
            },
            &["single_slash_encoded"],
        ),
        (
            |r, a| match r.contains("\"later\"") {
                true => swap(&a, "200 OK", "400 Bad Request"),
                false => a,
            },
            &["single_unknown_fields"],
        ),
        (
            |_, a| swap(&a, "\"flags\":[", "\"flag\":["),
            &["bulk_all", "bulk_trailing_slash", "refetch_query"],
        ),
        (
            |r, a| match r.starts_with("POST /ofrep/v1/evaluate/flags ") {
                true => swap(&a, "SPLIT", "UNKNOWN").replace("\"deep\"", "\"deeper\""),
                false => a,
            },
            &["bulk_agrees"],
        ),
        (|_, a| swap(&a, "errorCode", "code"), &["bulk_parse_error"]),
        (
            |_, a| swap(&a, "304 Not Modified", "200 OK"),
            &["etag_same"],
        ),
        (
            |r, a| match r.contains("if-none-match") && !r.contains("OPTIONS") {
                true => swap(&a, "200 OK", "304 Not Modified"),
                false => a,
            },
            &["etag_context", "etag_wrong"],
        ),
        (
            |_, a| swap(&a, "\"requestUri\"", "\"uri\""),
            &["streams_shape"],
        ),
        (
            |_, a| swap(&a, "text/event-stream", "text/plain"),
            &["streams_open"],
        ),
        (
            |_, a| swap(&a, "refetchEvaluation", "refetch"),
            &["streams_event"],
        ),
        (
            |_, a| swap(&a, "event: message", "event: change"),
            &["streams_event"],
        ),
        (
            |_, a| swap(&a, "401 Unauthorized", "200 OK"),
            &["unauthorised", "streams_forged"],
        ),
        (
            |r, a| match r.contains("x-api-key") {
                true => swap(&a, "200 OK", "401 Unauthorized"),
                false => a,
            },
            &["api_key"],
        ),
        (
            |_, a| swap(&a, "405 Method Not Allowed", "200 OK"),
            &["method"],
        ),
        (
            |_, a| swap(&a, "authorization,content-type", "content-type"),
            &["cors_preflight"],
        ),
        (
            |_, a| swap(&a, "ETag, Retry-After", "Retry-After"),
            &["cors_exposes_etag"],
        ),
        (
            |r, a| match r.len() > 1_000_000 {
                true => "HTTP/1.1 200 OK\r\n\r\n{}".to_owned(),
                false => a,
            },
            &["large_body"],
        ),
    ];
    let mut found = std::collections::BTreeSet::new();
    for (i, (fault, expected)) in faults.iter().enumerate() {
        let report = asked(faulty(real, *fault));
        let failed = report.failed();
        for case in *expected {
            assert!(
                failed.contains(case),
                "fault {i} is not found by {case}: {}",
                report.text()
            );
        }
        found.extend(failed);
    }
    // No case is there that nothing can fail.
    let all = asked(real);
    for case in &all.cases {
        assert!(
            found.contains(case.name),
            "no planted fault fails {}",
            case.name
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let settings = Settings::new("http://127.0.0.1:1", None, &[]).expect("settings");
    assert!(run(&settings).is_err());
    assert!(Settings::new("https://x", None, &[]).is_err());
    assert!(Settings::new("http://x", None, &["nothing".to_owned()]).is_err());
}
