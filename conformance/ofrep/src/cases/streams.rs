//! Streams that tell of changes.

use super::{Not, Seen, USER, ask_bulk, expect, skip};
use crate::client::Client;
use serde_json::Value;

/// The request target of the first stream of server-sent events on the same server.
async fn stream(client: &Client<'_>) -> Result<String, Not> {
    let reply = ask_bulk(client, &[], USER).await?;
    let json = reply.json();
    let Some(streams) = json["eventStreams"].as_array() else {
        return skip("the server offers no event streams");
    };
    let sse = streams.iter().find(|stream| stream["type"] == "sse");
    let endpoint = sse.map(|stream| &stream["endpoint"]);
    match endpoint.and_then(|e| e["requestUri"].as_str().filter(|_| e["origin"].is_null())) {
        Some(target) => Ok(target.to_owned()),
        None => skip("its streams are on another server"),
    }
}

pub(super) async fn streams_shape(client: &Client<'_>) -> Seen {
    let reply = ask_bulk(client, &[], USER).await?;
    let json = reply.json();
    let Some(streams) = json["eventStreams"].as_array() else {
        return skip("the server offers no event streams");
    };
    let good = streams.iter().all(|stream| {
        let one = stream["url"].is_string() != stream["endpoint"]["requestUri"].is_string();
        stream["type"].is_string() && one
    });
    expect(
        good,
        "expected a type, and either url or endpoint.requestUri",
        &reply,
    )
}

pub(super) async fn streams_open(client: &Client<'_>) -> Seen {
    let target = stream(client).await?;
    let (reply, _) = client.first_event(&target).await?;
    let good = reply.status == 200
        && reply
            .header("content-type")
            .starts_with("text/event-stream");
    expect(good, "expected 200 and text/event-stream", &reply)
}

pub(super) async fn streams_event(client: &Client<'_>) -> Seen {
    let target = stream(client).await?;
    let (reply, text) = client.first_event(&target).await?;
    let Some(data) = text.lines().find_map(|line| line.strip_prefix("data:")) else {
        return skip("the stream says nothing before a change");
    };
    let kind = text.lines().find_map(|line| line.strip_prefix("event:"));
    let json: Value = serde_json::from_str(data).unwrap_or_default();
    let good =
        kind.is_none_or(|kind| kind.trim() == "message") && json["type"] == "refetchEvaluation";
    expect(
        good,
        &format!("expected a message with refetchEvaluation, got {text:?}"),
        &reply,
    )
}

pub(super) async fn streams_forged(client: &Client<'_>) -> Seen {
    if client.token().is_none() {
        return skip("there is no --token");
    }
    let target = stream(client).await?;
    let Some((path, query)) = target.split_once('?') else {
        return skip("the address carries no token");
    };
    let (reply, _) = client
        .first_event(&format!(
            "{path}?{}",
            query.replace(|c: char| c.is_ascii_digit(), "0")
        ))
        .await?;
    expect(reply.status >= 400, "expected a refusal", &reply)
}
