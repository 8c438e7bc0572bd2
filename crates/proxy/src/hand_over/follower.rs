//! A proxy that has handed over: it serves what its successor serves until it has ended.

use super::{FdStream, SOCKET, STEP_LIMIT};
use crate::control::state::Control;
use esclusa_wire::{FOLLOWS_FLAGS_VERSION, FromLeader, HAND_OVER_VERSION, ToLeader};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// How often a follower says what is still open.
const REPORT: Duration = Duration::from_millis(200);
/// Pause before a lost leader is looked for again.
const LOOK: Duration = Duration::from_millis(20);

/// A leader that does not want to be followed so.
const REFUSED: io::ErrorKind = io::ErrorKind::PermissionDenied;

/// Follows until the program ends: first on the connection of the hand-over, later,
/// should that break, whoever is in charge of the folder.
pub(crate) async fn follow(control: Arc<Control>, first: FdStream, folder: &Path) {
    let mut next = Some(first);
    let mut v = FOLLOWS_FLAGS_VERSION;
    loop {
        if let Some(stream) = next.take() {
            match follow_one(stream, &control).await {
                Ok(()) => tracing::debug!("the leader ended the conversation"),
                Err(error) => {
                    if error.kind() == REFUSED {
                        // One from before there were flags leads.
                        v = HAND_OVER_VERSION;
                    }
                    tracing::debug!(%error, "the leader is lost");
                }
            }
        }
        // At once: whoever is in charge then may be told of a change any moment.
        next = join(&control, folder, v).await.ok();
        if next.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn join(control: &Control, folder: &Path, v: u16) -> io::Result<FdStream> {
    let stream = FdStream::new(UnixStream::connect(folder.join(SOCKET)).await?);
    let call = ToLeader::Follow {
        v,
        proxy: control.hello.proxy.clone(),
        boot: control.hello.boot.clone(),
    };
    stream.say(&call, &[]).await?;
    Ok(stream)
}

async fn follow_one(mut stream: FdStream, control: &Control) -> io::Result<()> {
    let mut report = tokio::time::interval(REPORT);
    report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let say = tokio::select! {
            heard = stream.hear() => match heard? {
                Some(FromLeader::Lead { push, state }) => {
                    control.follow(*state).await.map_err(io::Error::other)?;
                    if !control.followers.confirmed(STEP_LIMIT).await {
                        // Said with the next state, if that reaches all.
                        continue;
                    }
                    ToLeader::InForce { push }
                }
                Some(FromLeader::Flags { push, flags }) => {
                    control.follow_flags(*flags).await.map_err(io::Error::other)?;
                    if !control.followers.confirmed(STEP_LIMIT).await {
                        continue;
                    }
                    ToLeader::InForce { push }
                }
                Some(FromLeader::Pulse { silent_for }) => {
                    control.hear_leader(silent_for).await;
                    continue;
                }
                Some(FromLeader::Refused { reason }) => return Err(io::Error::new(REFUSED, reason)),
                Some(_) => return Err(io::Error::other("a leader speaks out of order")),
                None => return Ok(()),
            },
            _ = report.tick() => ToLeader::Load {
                load: control.all_loads(),
            },
        };
        stream.say(&say, &[]).await?;
    }
}
