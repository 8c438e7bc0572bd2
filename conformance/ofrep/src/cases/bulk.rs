//! All flags at once, and what is asked again.

use super::{BULK, Not, Seen, USER, ask_bulk, expect, flag, of, skip};
use crate::client::Client;

pub(super) async fn bulk_all(client: &Client<'_>) -> Seen {
    let reply = ask_bulk(client, &[], USER).await?;
    let json = reply.json();
    let there = |key: &str| !of(&json, key).is_null();
    let good = reply.status == 200
        && [
            "conformance-boolean",
            "conformance-integer",
            "conformance/with:slash",
        ]
        .map(there)
            == [true; 3];
    expect(good, "expected the flags of the fixture", &reply)
}

pub(super) async fn bulk_trailing_slash(client: &Client<'_>) -> Seen {
    let reply = client.post("/ofrep/v1/evaluate/flags/", USER).await?;
    expect(
        reply.status == 200 && reply.json()["flags"].is_array(),
        "expected a list",
        &reply,
    )
}

pub(super) async fn bulk_inner_errors(client: &Client<'_>) -> Seen {
    let reply = ask_bulk(client, &[], r#"{"context":{}}"#).await?;
    let share = of(&reply.json(), "conformance-share");
    let good = reply.status == 200 && share["errorCode"] == "TARGETING_KEY_MISSING";
    expect(
        good,
        "expected 200, and TARGETING_KEY_MISSING with the flag",
        &reply,
    )
}

pub(super) async fn bulk_agrees(client: &Client<'_>) -> Seen {
    let json = ask_bulk(client, &[], USER).await?.json();
    for key in [
        "conformance-boolean",
        "conformance-share",
        "conformance-object",
    ] {
        let alone = flag(client, key, USER).await?;
        let (single, among) = (alone.json(), of(&json, key));
        let same = ["value", "variant", "reason"]
            .iter()
            .all(|field| single[*field] == among[*field]);
        expect(same, &format!("among all it is {among}"), &alone)?;
    }
    Ok(())
}

pub(super) async fn bulk_parse_error(client: &Client<'_>) -> Seen {
    let reply = ask_bulk(client, &[], "{").await?;
    let good = reply.status == 400 && reply.json()["errorCode"].is_string();
    expect(good, "expected 400 with an errorCode", &reply)
}

/// The tag of a context's answer; servers may have none.
async fn etag(client: &Client<'_>, body: &str) -> Result<String, Not> {
    let reply = ask_bulk(client, &[], body).await?;
    match reply.header("etag") {
        "" => skip("the server gives no ETag"),
        tag => Ok(tag.to_owned()),
    }
}

pub(super) async fn etag_same(client: &Client<'_>) -> Seen {
    let tag = etag(client, USER).await?;
    let reply = ask_bulk(client, &[("if-none-match", &tag)], USER).await?;
    expect(
        reply.status == 304 && reply.body.is_empty(),
        "expected 304 without body",
        &reply,
    )
}

pub(super) async fn etag_context(client: &Client<'_>) -> Seen {
    let tag = etag(client, USER).await?;
    let other = r#"{"context":{"targetingKey":"user-2","country":"es"}}"#;
    let reply = ask_bulk(client, &[("if-none-match", &tag)], other).await?;
    expect(
        reply.status == 200,
        "these are other answers: expected 200",
        &reply,
    )
}

pub(super) async fn etag_wrong(client: &Client<'_>) -> Seen {
    let reply = ask_bulk(client, &[("if-none-match", "\"nothing-of-yours\"")], USER).await?;
    expect(reply.status == 200, "expected 200", &reply)
}

pub(super) async fn refetch_query(client: &Client<'_>) -> Seen {
    let target = format!("{BULK}?flagConfigEtag=%22x%22&flagConfigLastModified=1771622898");
    let reply = client.post(&target, USER).await?;
    expect(
        reply.status == 200 && reply.json()["flags"].is_array(),
        "expected a list",
        &reply,
    )
}
