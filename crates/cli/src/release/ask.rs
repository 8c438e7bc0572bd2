//! Verbs that move a release.

use super::pick;
use crate::args::{Because, SignOff};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use esclusa_server::body::{Asked, Reason, SignOffRequest};
use serde::Serialize;

pub(super) async fn because(
    client: &Client,
    asked: &Because,
    verb: &str,
    output: &Output,
) -> Result<Exit, Failure> {
    let id = pick::release(client, &asked.which).await?;
    post(
        client,
        &id,
        verb,
        &Reason {
            reason: asked.reason.clone(),
        },
        output,
    )
    .await
}

pub(super) async fn sign_off(
    client: &Client,
    asked: SignOff,
    output: &Output,
) -> Result<Exit, Failure> {
    let id = pick::release(client, &asked.which).await?;
    let body = SignOffRequest {
        role: asked.role,
        comment: asked.comment,
    };
    post(client, &id, "sign-offs", &body, output).await
}

async fn post<B: Serialize>(
    client: &Client,
    id: &str,
    verb: &str,
    body: &B,
    output: &Output,
) -> Result<Exit, Failure> {
    let path = format!("/api/v1/releases/{}/{verb}", pick::path_part(id));
    let asked: Asked = client.post(&path, body).await?;
    if !output.json(&asked) {
        let done = if verb == "sign-offs" {
            "signed off"
        } else {
            verb
        };
        output.say(&format!("{done}: recorded for release {}", asked.release));
    }
    Ok(Exit::Done)
}
