//! Verbs that move a release.

use super::pick;
use crate::args::{Because, SignOff};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use esclusa_server::ReleaseView;
use esclusa_server::body::{Asked, ItemRequest, Reason, SignOffRequest};
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
    let items = if asked.all_items || !asked.items.is_empty() {
        let path = format!("/api/v1/releases/{}", pick::path_part(&id));
        let release: ReleaseView = client.get(&path).await?;
        done(&release, &asked)?
    } else {
        Vec::new()
    };
    let body = SignOffRequest {
        role: asked.role,
        comment: asked.comment,
        items,
    };
    post(client, &id, "sign-offs", &body, output).await
}

/// The items of the plan's checklist that are said to be done.
fn done(release: &ReleaseView, asked: &SignOff) -> Result<Vec<ItemRequest>, Failure> {
    let found = release.sign_offs.iter().find(|one| one.role == asked.role);
    let known: Vec<&str> = found.map_or_else(Vec::new, |one| {
        one.items.iter().map(|item| item.item.as_str()).collect()
    });
    let one = |item: &str| ItemRequest {
        item: item.to_owned(),
        done: true,
        note: String::new(),
    };
    if asked.all_items {
        return Ok(known.into_iter().map(one).collect());
    }
    let mut items = Vec::new();
    for word in &asked.items {
        let by_number = word.parse::<usize>().ok();
        let by_number = by_number.and_then(|n| known.get(n.checked_sub(1)?).copied());
        let Some(item) = known
            .iter()
            .find(|item| *item == word)
            .copied()
            .or(by_number)
        else {
            return Err(Failure::input(
                "ESC-0433",
                format!("{word:?} is no item of the checklist of {}", asked.role),
                "`esclusa release status` lists the items with their numbers",
            ));
        };
        items.push(one(item));
    }
    Ok(items)
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
