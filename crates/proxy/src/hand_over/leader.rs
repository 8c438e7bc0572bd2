//! The side in charge: gives everything away when it is asked to, and leads those that
//! drain.

use super::followers::{Change, Joined};
use super::{FdStream, STEP_LIMIT};
use crate::control::role::Still;
use crate::control::state::Control;
use esclusa_model::ProxyId;
use esclusa_wire::{
    FOLLOWS_FLAGS_VERSION, FromLeader, HAND_OVER_VERSION, HandedFile, ToLeader, Yours,
};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;

/// How often a follower hears that its leader lives.
const PULSE: Duration = Duration::from_millis(200);

/// What a proxy gives away besides its clients' sockets.
#[derive(Debug)]
pub(crate) struct Belongings {
    pub(crate) control: std::os::unix::net::UnixListener,
    pub(crate) hand_over: std::os::unix::net::UnixListener,
    pub(crate) metrics: Option<std::net::TcpListener>,
    pub(crate) flags: Option<std::net::TcpListener>,
}

/// How a connection goes on.
enum Then {
    End,
    /// We have handed over on it, and follow now.
    Follow(FdStream),
}

/// Answers on the hand-over socket until this proxy has handed over; gives the
/// connection on which it did.
pub(crate) async fn serve(
    listener: UnixListener,
    control: Arc<Control>,
    belongings: Arc<Belongings>,
) -> Option<FdStream> {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (control, belongings) = (Arc::clone(&control), Arc::clone(&belongings));
                    connections.spawn(async move {
                        converse(FdStream::new(stream), &control, &belongings).await
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot be asked to hand over");
                    tokio::time::sleep(PULSE).await;
                }
            },
            Some(ended) = connections.join_next() => match ended {
                Ok(Ok(Then::Follow(stream))) => {
                    // Those that follow us go on to: we hand on what we are told.
                    connections.detach_all();
                    return Some(stream);
                }
                Ok(Ok(Then::End)) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a conversation with another proxy ended"),
            },
        }
    }
}

async fn converse(
    mut stream: FdStream,
    control: &Arc<Control>,
    belongings: &Belongings,
) -> io::Result<Then> {
    let first = tokio::time::timeout(STEP_LIMIT, stream.hear()).await??;
    let refusal = match first {
        Some(ToLeader::TakeOver { v, proxy, boot }) => match suits(control, v, &proxy) {
            Ok(()) => {
                tracing::info!(%boot, "another proxy takes over");
                return give(stream, control, belongings).await;
            }
            Err(why) => why,
        },
        Some(ToLeader::Follow { v, proxy, boot }) => match suits(control, v.min(1), &proxy) {
            Ok(()) => {
                tracing::info!(%boot, "an earlier proxy follows until it has ended");
                let joined = control.followers.join(v >= FOLLOWS_FLAGS_VERSION);
                lead(stream, control, joined).await?;
                return Ok(Then::End);
            }
            Err(why) => why,
        },
        Some(_) => "that is no beginning".into(),
        None => return Ok(Then::End),
    };
    tracing::warn!(reason = refusal, "another proxy was refused");
    stream
        .say(&FromLeader::Refused { reason: refusal }, &[])
        .await?;
    Ok(Then::End)
}

fn suits(control: &Control, v: u16, proxy: &ProxyId) -> Result<(), String> {
    if v != HAND_OVER_VERSION {
        return Err(format!(
            "the hand-over has version {v} there and {HAND_OVER_VERSION} here: stop this proxy and start the other"
        ));
    }
    if *proxy != control.hello.proxy {
        return Err(format!("this folder belongs to {}", control.hello.proxy));
    }
    Ok(())
}

async fn give(
    mut stream: FdStream,
    control: &Arc<Control>,
    belongings: &Belongings,
) -> io::Result<Then> {
    let wanted = control.wanted_back();
    let mut wanted = std::pin::pin!(wanted.notified());
    wanted.as_mut().enable();
    let still = match control.stand_still().await {
        Ok(still) => still,
        Err(reason) => {
            stream.say(&FromLeader::Refused { reason }, &[]).await?;
            return Ok(Then::End);
        }
    };
    let accepted = async {
        offer(&stream, control, belongings, still).await?;
        match stream.hear().await? {
            Some(ToLeader::Accepting {}) => Ok(()),
            Some(_) => Err(io::Error::other("the other proxy answers out of order")),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(STEP_LIMIT, accepted) => {
            outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        () = wanted => Err(io::Error::other("a change came first")),
    };
    if let Err(error) = outcome {
        control.go_on().await;
        tracing::warn!(%error, "the hand-over was called off; this proxy goes on");
        return Ok(Then::End);
    }
    control.step_back().await;
    tracing::info!("handed over");
    // If it does not arrive, the lock that we let go of tells the same.
    if let Err(error) = stream.say(&FromLeader::Committed {}, &[]).await {
        tracing::debug!(%error, "the successor did not hear the last word");
    }
    Ok(Then::Follow(stream))
}

async fn offer(
    stream: &FdStream,
    control: &Control,
    belongings: &Belongings,
    still: Still,
) -> io::Result<()> {
    let lock = control.lock_copy()?;
    let mut files = vec![
        HandedFile::Lock {},
        HandedFile::Control {},
        HandedFile::HandOver {},
    ];
    let mut fds: Vec<BorrowedFd<'_>> = vec![
        lock.as_fd(),
        belongings.control.as_fd(),
        belongings.hand_over.as_fd(),
    ];
    if let Some(metrics) = &belongings.metrics {
        let address = metrics.local_addr()?.to_string();
        files.push(HandedFile::Metrics { address });
        fds.push(metrics.as_fd());
    }
    if let Some(flags) = &belongings.flags {
        let address = flags.local_addr()?.to_string();
        files.push(HandedFile::Flags { address });
        fds.push(flags.as_fd());
    }
    for (address, socket) in &still.clients {
        let address = address.to_string();
        files.push(HandedFile::Clients { address });
        fds.push(socket.as_fd());
    }
    for socket in &still.activated {
        let address = socket.local_addr()?.to_string();
        files.push(HandedFile::Activated { address });
        fds.push(socket.as_fd());
    }
    let yours = Yours {
        v: HAND_OVER_VERSION,
        boot: control.hello.boot.clone(),
        files,
        state: still.state,
        lost: control.store.lost(),
        flags: still.flags,
    };
    stream.say(&FromLeader::Yours(Box::new(yours)), &fds).await
}

/// Leads one proxy that drains, until its connection ends.
pub(crate) async fn lead(
    mut stream: FdStream,
    control: &Arc<Control>,
    mut joined: Joined,
) -> io::Result<()> {
    let ended = lead_joined(&mut stream, control, &mut joined).await;
    control.followers.leave(&joined.follower);
    ended
}

async fn lead_joined(
    stream: &mut FdStream,
    control: &Arc<Control>,
    joined: &mut Joined,
) -> io::Result<()> {
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let say = tokio::select! {
            heard = stream.hear() => {
                match heard? {
                    Some(ToLeader::InForce { push }) => {
                        joined.in_force.send_if_modified(|known| {
                            let newer = push > *known;
                            *known = push.max(*known);
                            newer
                        });
                    }
                    Some(ToLeader::Load { load }) => joined.note_load(load),
                    Some(_) => return Err(io::Error::other("a follower speaks out of order")),
                    None => return Ok(()),
                }
                continue;
            }
            Some((push, change)) = joined.pushes.recv() => match change {
                Change::State(state) => FromLeader::Lead {
                    push,
                    state: Box::new((*state).clone()),
                },
                Change::Flags(flags) => FromLeader::Flags {
                    push,
                    flags: Box::new((*flags).clone()),
                },
            },
            _ = pulse.tick() => FromLeader::Pulse {
                silent_for: control.silent_for().await,
            },
        };
        stream.say(&say, &[]).await?;
    }
}
