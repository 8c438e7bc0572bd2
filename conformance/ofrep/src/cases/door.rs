//! Who is let in, from where, with what and how much.

use super::single::single_boolean;
use super::{BULK, Seen, USER, ask_bulk, expect, path, skip};
use crate::client::Client;

pub(super) async fn unauthorised(client: &Client<'_>) -> Seen {
    if client.token().is_none() {
        return skip("there is no --token");
    }
    let wrong = [("authorization", "Bearer nobody-has-this-token")];
    for headers in [&[][..], &wrong] {
        let reply = client
            .ask("POST", &path("conformance-boolean"), headers, USER)
            .await?;
        expect(
            [401, 403].contains(&reply.status),
            "expected 401 or 403",
            &reply,
        )?;
    }
    Ok(())
}

pub(super) async fn api_key(client: &Client<'_>) -> Seen {
    let Some(token) = client.token() else {
        return skip("there is no --token");
    };
    let headers = [("x-api-key", token), ("content-type", "application/json")];
    let reply = client
        .ask("POST", &path("conformance-boolean"), &headers, USER)
        .await?;
    expect(reply.status == 200, "expected 200", &reply)
}

pub(super) async fn method(client: &Client<'_>) -> Seen {
    let bearer = client.token().map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|bearer| ("authorization", bearer.as_str()))
        .collect();
    let reply = client.ask("GET", BULK, &headers, "").await?;
    expect(
        [404, 405].contains(&reply.status),
        "expected 405 or 404",
        &reply,
    )
}

const PAGE: (&str, &str) = ("origin", "http://localhost:3000");

pub(super) async fn cors_preflight(client: &Client<'_>) -> Seen {
    let headers = [
        PAGE,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,if-none-match",
        ),
    ];
    let reply = client.ask("OPTIONS", BULK, &headers, "").await?;
    if reply.header("access-control-allow-origin").is_empty() {
        return skip("the server is not for browsers of other origins");
    }
    let allowed = reply
        .header("access-control-allow-headers")
        .to_ascii_lowercase();
    let good = (200..300).contains(&reply.status)
        && allowed.contains("authorization")
        && allowed.contains("if-none-match");
    expect(
        good,
        "expected Authorization and If-None-Match to be allowed",
        &reply,
    )
}

pub(super) async fn cors_exposes_etag(client: &Client<'_>) -> Seen {
    let reply = ask_bulk(client, &[PAGE], USER).await?;
    if reply.header("access-control-allow-origin").is_empty() || reply.header("etag").is_empty() {
        return skip("the server is not for browsers of other origins, or gives no ETag");
    }
    let exposed = reply
        .header("access-control-expose-headers")
        .to_ascii_lowercase();
    expect(
        exposed.contains("etag") || exposed == "*",
        "expected ETag to be exposed",
        &reply,
    )
}

pub(super) async fn large_body(client: &Client<'_>) -> Seen {
    let body = format!(r#"{{"context":{{"x":"{}"}}}}"#, "x".repeat(10_000_000));
    // A server may close the connection before it has read all of it.
    if let Ok(reply) = client.post(&path("conformance-boolean"), &body).await {
        expect(reply.status >= 400, "expected a refusal", &reply)?;
    }
    single_boolean(client).await
}
