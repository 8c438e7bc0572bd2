//! Who may ask.

use crate::world::{World, document, flags, open_world, start, start_with, token};
use esclusa_model::Timestamp;
use esclusa_ofrep::{Limits, Rate, Shared};
use esclusa_wire::FlagTokenKind;

const TARGET: &str = "/ofrep/v1/evaluate/flags/plain";

async fn status(world: &World, headers: &[(&str, &str)]) -> u16 {
    world.call("POST", TARGET, headers, "").await.status
}

#[tokio::test]
async fn a_token_comes_in_any_of_three_ways() {
    let mut gone = token("gone", FlagTokenKind::Server, "production");
    gone.expires = Some(Timestamp(1));
    let world = start(&document(
        1,
        flags(),
        vec![
            token("shop", FlagTokenKind::Server, "production"),
            token("lost", FlagTokenKind::Server, "nowhere"),
            gone,
        ],
    ));
    for header in [
        ("authorization", "Bearer secret-of-shop"),
        ("authorization", "secret-of-shop"),
        ("x-api-key", "secret-of-shop"),
    ] {
        assert_eq!(status(&world, &[header]).await, 200, "{header:?}");
    }
    for header in [
        ("authorization", "Bearer wrong"),
        ("authorization", "Bearer secret-of-gone"),
        ("authorization", ""),
        ("x-api-key", "wrong"),
        ("x-other", "secret-of-shop"),
    ] {
        let answer = world.call("POST", TARGET, &[header], "").await;
        assert_eq!((answer.status, answer.body.len()), (401, 0), "{header:?}");
    }
    let lost = world
        .call("POST", TARGET, &[("x-api-key", "secret-of-lost")], "")
        .await;
    assert_eq!((lost.status, lost.body.len()), (403, 0));
}

#[tokio::test]
async fn without_tokens_only_this_machine_itself_is_answered() {
    let world = open_world();
    let production = ("x-esclusa-environment", "production");
    assert_eq!(status(&world, &[production]).await, 200);
    for stranger in [
        ("host", "flags.example"),
        ("origin", "https://evil.example"),
        ("x-forwarded-for", "203.0.113.9"),
    ] {
        assert_eq!(
            status(&world, &[production, stranger]).await,
            403,
            "{stranger:?}"
        );
    }
    let which = world.call("POST", TARGET, &[], "").await;
    assert_eq!(which.status, 400);
    let details = which.json()["errorDetails"].to_string();
    assert!(details.contains("production, staging"), "{details}");
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down_and_right_ones_are_not() {
    let shop = token("shop", FlagTokenKind::Server, "production");
    let limits = Limits {
        wrong_token_rate: Rate {
            per_second: 1,
            burst: 3,
        },
        ..Limits::default()
    };
    let table = crate::world::table(&document(1, flags(), vec![shop]));
    let world = start_with(Shared::new(table), limits);
    let wrong = [("x-api-key", "wrong")];
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(status(&world, &wrong).await);
    }
    assert_eq!(seen[..3], [401, 401, 401]);
    assert!(seen.contains(&429), "{seen:?}");
    assert_eq!(
        status(&world, &[("x-api-key", "secret-of-shop")]).await,
        200
    );
}

// interop: both released clients stop asking for the seconds of Retry-After.
#[tokio::test]
async fn who_asks_too_often_is_told_for_how_long() {
    let limits = Limits {
        client_rate: Some(Rate {
            per_second: 1,
            burst: 2,
        }),
        ..Limits::default()
    };
    let browser = token("browser", FlagTokenKind::Client, "production");
    let server = token("server", FlagTokenKind::Server, "production");
    let table = crate::world::table(&document(1, flags(), vec![browser, server]));
    let world = start_with(Shared::new(table), limits);
    let browser = [("x-api-key", "secret-of-browser")];
    let mut last = None;
    for _ in 0..4 {
        last = Some(world.call("POST", TARGET, &browser, "").await);
    }
    let last = last.expect("an answer");
    assert_eq!(last.status, 429);
    let wait: u64 = last.header("retry-after").parse().expect("seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    for _ in 0..10 {
        assert_eq!(
            status(&world, &[("x-api-key", "secret-of-server")]).await,
            200
        );
    }
}

#[tokio::test]
async fn browsers_of_other_origins_may_ask_with_a_token() {
    let browser = token("browser", FlagTokenKind::Client, "production");
    let world = start(&document(1, flags(), vec![browser]));
    let origin = ("origin", "https://shop.example");
    let preflight = world
        .call(
            "OPTIONS",
            "/ofrep/v1/evaluate/flags",
            &[
                origin,
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "authorization,if-none-match,traceparent",
                ),
            ],
            "",
        )
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert!(
        preflight
            .header("access-control-allow-methods")
            .contains("POST")
    );
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        "authorization,if-none-match,traceparent"
    );
    let headers = [origin, ("authorization", "Bearer secret-of-browser")];
    let answer = world
        .call("POST", "/ofrep/v1/evaluate/flags", &headers, "")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("ETag")
    );
    // A page must be able to read that it was refused.
    let refused = world
        .call("POST", "/ofrep/v1/evaluate/flags", &[origin], "")
        .await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    // Where no token is needed, no other site's page reads anything.
    let open = open_world();
    let evil = [("origin", "https://evil.example")];
    let preflight = open
        .call("OPTIONS", "/ofrep/v1/evaluate/flags", &evil, "")
        .await;
    assert_eq!(preflight.header("access-control-allow-origin"), "");
    let local = [
        ("origin", "http://localhost:3000"),
        ("x-esclusa-environment", "staging"),
    ];
    let local = open
        .call("POST", "/ofrep/v1/evaluate/flags", &local, "")
        .await;
    assert_eq!(
        (local.status, local.header("access-control-allow-origin")),
        (200, "http://localhost:3000")
    );
}
