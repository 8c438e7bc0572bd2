//! What befalls everybody at once: the control plane and the proxy are killed, halted
//! and started again at moments that a seed draws.

use super::watcher::now_us;
use super::world::{Blow, LONG, World};
use crate::{Random, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What may be done to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHarm {
    /// It is halted at most.
    Halt,
    /// It is killed too.
    Kill,
    /// It is also asked to end, which may cost nobody a request.
    Restart,
}

/// How hard it blows.
#[derive(Debug, Clone)]
pub struct Weather {
    /// What the moments and kinds depend on.
    pub seed: u64,
    /// Shortest and longest pause between two blows, in milliseconds.
    pub pause_ms: (u64, u64),
    /// What may be done to the proxy.
    pub proxy: ProxyHarm,
}

/// How long the control plane was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Recovery {
    /// From its death to its next answer.
    pub answer_ms: u64,
    /// From its death to the proxy's next sign of life from it; nothing where the proxy
    /// does not tell.
    pub heartbeat_ms: Option<u64>,
}

/// Blows until told to stop.
///
/// # Errors
/// When something does not come back.
pub(super) async fn blow(
    world: &World,
    weather: &Weather,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut random = Random::new(weather.seed);
    let (least, most) = weather.pause_ms;
    loop {
        let pause = least + random.below(most.saturating_sub(least));
        let over = stop.wait_for(|stop| *stop);
        if tokio::time::timeout(Duration::from_millis(pause), over)
            .await
            .is_ok()
        {
            return Ok(());
        }
        if world.control.has_ended() {
            return Err(io::Error::other("the control plane ended by itself"));
        }
        one(world, weather, &mut random).await?;
    }
}

async fn one(world: &World, weather: &Weather, random: &mut Random) -> io::Result<()> {
    match random.below(100) {
        0..40 => strike(world, Duration::ZERO).await?,
        40..50 => {
            let dead = Duration::from_millis(2_000 + random.below(3_000));
            strike(world, dead).await?;
        }
        50..65 => halt_serve(world, 200 + random.below(3_000)).await?,
        65..78 => restart_serve(world).await?,
        78..86 => halt_proxy(world, 50 + random.below(700)).await?,
        86..93 if weather.proxy == ProxyHarm::Restart => restart_proxy(world).await?,
        93.. if weather.proxy != ProxyHarm::Halt => kill_proxy(world).await?,
        _ => strike(world, Duration::ZERO).await?,
    }
    Ok(())
}

async fn strike(world: &World, dead: Duration) -> io::Result<()> {
    kill_serve(world, dead).await.map(|_| ())
}

/// Kills the control plane and starts it again after `dead`; gives how long it took.
///
/// # Errors
/// When it does not come back.
pub(super) async fn kill_serve(world: &World, dead: Duration) -> io::Result<Recovery> {
    let note = world.note(if dead.is_zero() {
        "serve is killed and started again".to_owned()
    } else {
        format!("serve is killed and dead for {} ms", dead.as_millis())
    });
    world.control.kill();
    let (since, since_us) = (Instant::now(), now_us());
    if !dead.is_zero() {
        tokio::time::sleep(dead).await;
    }
    world.control.start()?;
    world.control.answers(LONG).await?;
    let took = since.elapsed();
    world.back_after(note, took);
    Ok(Recovery {
        answer_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        heartbeat_ms: heartbeat_after(world, since_us).await,
    })
}

/// How long after `since_us` the proxy heard a controller again.
async fn heartbeat_after(world: &World, since_us: i64) -> Option<u64> {
    let heard = wait_until("a heartbeat", LONG, async || {
        let look = world.watcher.last().filter(|look| look.at_us > since_us)?;
        let Some(silence) = look.silence_s else {
            return Some(None);
        };
        let heard_us = look.at_us - (silence * 1_000_000.0) as i64;
        (heard_us > since_us).then_some(Some(heard_us - since_us))
    });
    let micros = heard.await.ok()??;
    u64::try_from(micros / 1_000).ok()
}

async fn halt_serve(world: &World, ms: u64) -> io::Result<()> {
    let note = world.note(format!("serve is halted for {ms} ms"));
    let since = Instant::now();
    world.control.signal(Signal::SIGSTOP);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    world.control.signal(Signal::SIGCONT);
    world.control.answers(LONG).await?;
    world.back_after(note, since.elapsed());
    Ok(())
}

async fn restart_serve(world: &World) -> io::Result<()> {
    let note = world.note("serve is asked to end and started again");
    let since = Instant::now();
    world.control.end().await?;
    world.control.start()?;
    world.control.answers(LONG).await?;
    world.back_after(note, since.elapsed());
    Ok(())
}

async fn halt_proxy(world: &World, ms: u64) -> io::Result<()> {
    let Some(pid) = world.watcher.proxy_pid().await else {
        return Err(io::Error::other("the proxy does not answer"));
    };
    let note = world.note(format!("the proxy is halted for {ms} ms"));
    // It may end at any moment.
    let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
    world.back_after(note, Duration::from_millis(ms));
    Ok(())
}

/// Kills the proxy; whose work it is to bring it back does that.
async fn kill_proxy(world: &World) -> io::Result<()> {
    replace_proxy(world, Signal::SIGKILL, "the proxy is killed").await
}

/// Asks the proxy to end. What it has counted by then is written down.
async fn restart_proxy(world: &World) -> io::Result<()> {
    replace_proxy(world, Signal::SIGTERM, "the proxy is asked to end").await
}

async fn replace_proxy(world: &World, signal: Signal, what: &str) -> io::Result<()> {
    let Some(pid) = world.watcher.proxy_pid().await else {
        return Err(io::Error::other("the proxy does not answer"));
    };
    let since = Instant::now();
    let note = world.note_blow(Blow {
        at_ms: now_us() / 1_000,
        what: what.into(),
        killed_proxy: signal == Signal::SIGKILL,
        back_ms: None,
    });
    // It may end at any moment.
    let _ = kill(Pid::from_raw(pid), signal);
    let back = wait_until("another proxy", LONG, async || {
        let now = world.watcher.proxy_pid().await?;
        (now != pid).then_some(())
    });
    back.await.map_err(io::Error::other)?;
    world.back_after(note, since.elapsed());
    Ok(())
}
