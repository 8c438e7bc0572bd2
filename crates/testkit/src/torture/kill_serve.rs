//! `kill -9` of the control plane at a random moment of a release with users on it: the
//! release must end as if nothing had happened.

use super::plans::Pace;
use super::release::{Job, Ran, Reins, run};
use super::script::Script;
use super::storm::{Recovery, kill_serve};
use super::world::{LONG, World};
use super::{Verdict, store_books};
use crate::Random;
use serde::Serialize;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// One kill.
#[derive(Debug, Clone, Serialize)]
pub struct Killed {
    /// Milliseconds after the load began.
    pub at_ms: u64,
    /// Where the release stood, in words.
    pub phase: String,
    /// How long it took to be back.
    pub recovery: Recovery,
    /// The release.
    pub ran: Ran,
}

/// Runs `runs` releases, each with one kill, and gives what came of them. `tell` gets
/// each as it ends.
///
/// # Errors
/// When there is no world to do it in, or something does not come back at all.
pub async fn run_kills(
    binary: &Path,
    pace: Pace,
    seed: u64,
    runs: u64,
    mut tell: impl FnMut(&Killed),
) -> io::Result<(Vec<Killed>, Verdict)> {
    let mut world = World::start(binary, pace).await?;
    let done = all(&world, seed, runs, &mut tell).await;
    let wrong = match &done {
        Ok(all) => all.iter().any(|killed| !killed.ran.wrong.is_empty()),
        Err(_) => true,
    };
    let books = store_books(
        &world,
        done.as_deref().unwrap_or_default().iter().map(|k| &k.ran),
    )
    .await;
    let verdict = Verdict::of(&mut world, wrong, books);
    done.map(|all| (all, verdict))
}

async fn all(
    world: &World,
    seed: u64,
    runs: u64,
    tell: &mut impl FnMut(&Killed),
) -> io::Result<Vec<Killed>> {
    let (shop, mut standing) = world.shop("shop").await?;
    let mut random = Random::new(seed);
    random.bits();
    let mut all = Vec::new();
    for number in 1..=runs {
        let job = Job {
            shop: shop.clone(),
            standing: standing.clone(),
            number,
            script: Script::calm(random.bits()),
        };
        // A little past the last stage too: there the release becomes stable.
        let span = u64::try_from(world.pace.span().as_millis()).unwrap_or(u64::MAX);
        let at_ms = random.below(span);
        let killed = one(world, &job, at_ms).await?;
        standing = killed.ran.standing(&standing);
        tell(&killed);
        world.watcher.forget(super::watcher::now_us() - 1_000_000);
        all.push(killed);
    }
    Ok(all)
}

async fn one(world: &World, job: &Job, at_ms: u64) -> io::Result<Killed> {
    let (began, mut has_begun) = watch::channel(None::<Instant>);
    let (let_end, may_end) = watch::channel(false);
    let mut reins = Reins { began, may_end };
    let kill = async {
        let begun = tokio::time::timeout(LONG, has_begun.wait_for(Option::is_some));
        let began = match begun.await {
            Ok(Ok(began)) => began.unwrap_or_else(Instant::now),
            _ => return Err(io::Error::other("no load began")),
        };
        tokio::time::sleep_until((began + Duration::from_millis(at_ms)).into()).await;
        let phase = world.control.service(&job.shop.name).await;
        let phase = phase.map_or_else(String::new, |view| {
            view["release"]["phase"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        });
        let recovery = kill_serve(world, Duration::ZERO).await?;
        let_end.send_replace(true);
        Ok((phase, recovery))
    };
    let (ran, killed) = tokio::join!(run(world, job, &mut reins), kill);
    let (phase, recovery) = killed?;
    Ok(Killed {
        at_ms,
        phase,
        recovery,
        ran: ran?,
    })
}
