//! Many releases of several services at once, in a storm.

use super::plans::{Pace, Shop};
use super::release::{Job, Ran, Reins, run};
use super::script::{Harms, Script};
use super::storm::{ProxyHarm, Weather, blow};
use super::world::{Blow, Standing, World};
use super::{Verdict, store_books};
use futures_util::future::join_all;
use std::cell::RefCell;
use std::io;
use std::path::Path;
use tokio::sync::watch;

/// What to do to how many releases.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything that is left to chance depends on it.
    pub seed: u64,
    /// Releases in all.
    pub releases: u64,
    /// Services, each with one release at a time.
    pub services: u64,
    /// How fast they go.
    pub pace: Pace,
    /// What may be done to versions.
    pub harms: Harms,
    /// What may be done to the proxy.
    pub proxy: ProxyHarm,
    /// Shortest and longest pause between two blows, in milliseconds.
    pub pause_ms: (u64, u64),
}

/// What came of a session.
#[derive(Debug)]
pub struct Session {
    /// Its releases in the order of their ends.
    pub ran: Vec<Ran>,
    /// Everything that was done to everybody.
    pub blows: Vec<Blow>,
    /// Whether all is well, and where to look when not.
    pub verdict: Verdict,
}

/// Tortures. `tell` gets each release as it ends.
///
/// # Errors
/// When there is no world to do it in.
pub async fn torture(
    binary: &Path,
    plan: &Plan,
    mut tell: impl FnMut(&Ran),
) -> io::Result<Session> {
    let mut world = World::start(binary, plan.pace.clone()).await?;
    let book = RefCell::new(Vec::new());
    let keep = |ran: Ran| {
        tell(&ran);
        book.borrow_mut().push(ran);
    };
    let done = all(&world, plan, &RefCell::new(keep)).await;
    let ran = book.into_inner();
    let mut trouble: Vec<String> = done
        .err()
        .map(|error| error.to_string())
        .into_iter()
        .collect();
    trouble.extend(store_books(&world, ran.iter()).await);
    let wrong = ran.iter().any(|ran| !ran.wrong.is_empty());
    let blows = world.blows(0, i64::MAX);
    Ok(Session {
        verdict: Verdict::of(&mut world, wrong, trouble),
        ran,
        blows,
    })
}

async fn all(world: &World, plan: &Plan, keep: &RefCell<impl FnMut(Ran)>) -> io::Result<()> {
    let mut shops = Vec::new();
    for index in 0..plan.services {
        let name = format!("shop{}", index + 1);
        shops.push((index, world.shop(&name).await?));
    }
    let (stop, stopped) = watch::channel(false);
    let weather = Weather {
        seed: plan.seed,
        pause_ms: plan.pause_ms,
        proxy: plan.proxy,
    };
    let releases = async {
        let services = shops
            .into_iter()
            .map(|(index, (shop, standing))| one_service(world, plan, index, shop, standing, keep));
        let ended = join_all(services).await;
        stop.send_replace(true);
        ended.into_iter().collect::<io::Result<()>>()
    };
    let (released, blown) = tokio::join!(releases, blow(world, &weather, stopped));
    blown.and(released)
}

async fn one_service(
    world: &World,
    plan: &Plan,
    index: u64,
    shop: Shop,
    mut standing: Standing,
    keep: &RefCell<impl FnMut(Ran)>,
) -> io::Result<()> {
    // The rest goes to the first services.
    let share = plan.releases / plan.services + u64::from(index < plan.releases % plan.services);
    for number in 1..=share {
        let script = Script::draw(plan.seed, index, number, plan.pace.span(), plan.harms);
        let job = Job {
            shop: shop.clone(),
            standing: standing.clone(),
            number,
            script,
        };
        let ran = run(world, &job, &mut Reins::loose())
            .await
            .map_err(|error| {
                io::Error::other(format!("release {number} of {}: {error}", shop.name))
            })?;
        standing = ran.standing(&standing);
        (keep.borrow_mut())(ran);
    }
    Ok(())
}
