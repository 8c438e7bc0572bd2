//! A proxy that has handed over: it serves what its successor serves until it has ended.

use super::{FdStream, SOCKET};
use crate::control::state::Control;
use esclusa_wire::{FromLeader, HAND_OVER_VERSION, ToLeader};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// How often a follower says what is still open.
const REPORT: Duration = Duration::from_millis(200);
/// Pause before a lost leader is looked for again.
const LOOK: Duration = Duration::from_millis(50);

/// Follows until the program ends: first on the connection of the hand-over, later,
/// should that break, whoever is in charge of the folder.
pub(crate) async fn follow(control: Arc<Control>, first: FdStream, folder: &Path) {
    let mut next = Some(first);
    loop {
        if let Some(stream) = next.take() {
            match follow_one(stream, &control).await {
                Ok(()) => tracing::debug!("the leader ended the conversation"),
                Err(error) => tracing::debug!(%error, "the leader is lost"),
            }
        }
        tokio::time::sleep(LOOK).await;
        next = join(&control, folder).await.ok();
    }
}

async fn join(control: &Control, folder: &Path) -> io::Result<FdStream> {
    let stream = FdStream::new(UnixStream::connect(folder.join(SOCKET)).await?);
    let call = ToLeader::Follow {
        v: HAND_OVER_VERSION,
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
                    ToLeader::InForce { push }
                }
                Some(FromLeader::Pulse { silent_for }) => {
                    control.hear_leader(silent_for).await;
                    continue;
                }
                Some(FromLeader::Refused { reason }) => return Err(io::Error::other(reason)),
                Some(_) => return Err(io::Error::other("a leader speaks out of order")),
                None => return Ok(()),
            },
            _ = report.tick() => ToLeader::Load { load: control.loads() },
        };
        stream.say(&say, &[]).await?;
    }
}
