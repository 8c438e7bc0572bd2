//! Connections that have left HTTP, such as WebSockets.
//!
//! A tunnel lives as long as both sides want it, with two exceptions: its version is taken
//! back from users, or the process ends. Then both sides are told in the words of their
//! protocol where that is known (a WebSocket's close frame at the border of a frame), and
//! by the end of the stream where it is not.

use super::headers;
use super::reply::Reply;
use super::ticket::Ticket;
use super::websocket::{Frames, Toward, going_away};
use crate::worker::{Shared, Worker};
use http::Response;
use http::header::{HeaderValue, UPGRADE};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

/// How long a frame that has begun may take to end before the tunnel ends without a word.
const FRAME_TIME: Duration = Duration::from_millis(500);
/// And how long both sides have after that.
const LAST_WORD_TIME: Duration = Duration::from_millis(500);
/// How long the client may take to read that its wish was granted.
const UPGRADE_TIME: Duration = Duration::from_secs(10);
const BUFFER: usize = 8 * 1024;

/// Whose tunnel it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    User,
    /// esclusa's own, which looks at versions that no user is sent to.
    Synthetic,
}

/// A tunnel on the process's account.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.tunnels.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Joins both sides once the client has been told. `asked` is the protocol that the
/// client wanted; the version's own word counts.
pub(super) fn start(
    worker: &Arc<Worker>,
    mut response: Response<Incoming>,
    asked: HeaderValue,
    client: OnUpgrade,
    ticket: Ticket,
    owner: Owner,
) -> Reply {
    let version = hyper::upgrade::on(&mut response);
    let mut headers = std::mem::take(response.headers_mut());
    let protocol = headers.get(UPGRADE).cloned().unwrap_or(asked);
    let framed = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    let account = ticket.into_tunnel();
    let counted = Counted::new(&worker.shared);
    let mut end = worker.shared.tunnels_end.subscribe();
    let mut recalled = account.recalled();
    tokio::spawn(async move {
        let ends = async {
            let recalled = async {
                match owner {
                    // An error means that nobody can recall it any more.
                    Owner::User if recalled.wait_for(|r| *r).await.is_ok() => {}
                    Owner::User | Owner::Synthetic => std::future::pending().await,
                }
            };
            tokio::select! {
                () = recalled => {}
                // An error means that the process has ended.
                _ = end.wait_for(|end| *end) => {}
            }
        };
        // Also when it has to end at once: a client that was told of the tunnel is owed
        // its last word.
        let both = async { tokio::try_join!(client, version) };
        if let Ok(Ok((client, version))) = tokio::time::timeout(UPGRADE_TIME, both).await {
            join(TokioIo::new(client), TokioIo::new(version), framed, ends).await;
        }
        drop(account);
        drop(counted);
    });
    headers::to_client(&mut headers);
    Reply::switching(headers, protocol)
}

async fn join<C, V>(client: C, version: V, framed: bool, ends: impl Future<Output = ()>)
where
    C: AsyncRead + AsyncWrite + Unpin,
    V: AsyncRead + AsyncWrite + Unpin,
{
    let (from_client, to_client) = tokio::io::split(client);
    let (from_version, to_version) = tokio::io::split(version);
    let (end, ending) = watch::channel(false);
    let frames = || framed.then(Frames::default);
    let up = carry(
        from_client,
        to_version,
        frames(),
        Toward::Version,
        ending.clone(),
    );
    let down = carry(from_version, to_client, frames(), Toward::Client, ending);
    let limit = async {
        ends.await;
        end.send_replace(true);
        tokio::time::sleep(FRAME_TIME + LAST_WORD_TIME).await;
    };
    tokio::select! {
        // How a tunnel ends is its ends' affair; one that breaks ends both directions.
        _ = async { tokio::try_join!(up, down) } => {}
        () = limit => {}
    }
}

/// Carries one direction until its source ends or the tunnel has to.
async fn carry<R, W>(
    mut from: R,
    mut to: W,
    mut frames: Option<Frames>,
    toward: Toward,
    mut ending: watch::Receiver<bool>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    let mut give_up = None;
    while give_up.is_none() || frames.as_ref().is_some_and(|f| !f.at_border()) {
        let read = tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending), if give_up.is_none() => {
                give_up = Some(tokio::time::Instant::now() + FRAME_TIME);
                continue;
            }
            () = after(give_up), if give_up.is_some() => {
                frames = None;
                break;
            }
            read = from.read(&mut buffer) => read?,
        };
        let data = buffer.get(..read).unwrap_or(&[]);
        if data.is_empty() {
            // A side that ends is told to the other, which may still speak.
            return to.shutdown().await;
        }
        to.write_all(data).await?;
        to.flush().await?;
        if let Some(frames) = &mut frames {
            frames.feed(data);
        }
    }
    let last_words = async {
        if frames.is_some_and(|frames| !frames.is_closed()) {
            to.write_all(&going_away(toward)).await?;
        }
        to.shutdown().await?;
        // A socket that is closed with unread bytes is reset, and the reset can overtake
        // the last word.
        while from.read(&mut buffer).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    // A side that is gone must not keep the other from hearing its own.
    let _ = last_words.await;
    Ok(())
}

async fn after(instant: Option<tokio::time::Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
