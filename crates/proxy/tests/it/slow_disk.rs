//! One proxy hands over to another while the disk takes nothing.

use crate::flags::{kill, killed};
use crate::hand_over::{ByHand, take_over};
use crate::support::{StuckDisk, World, get};
use esclusa_wire::{FromLeader, HAND_OVER_VERSION};
use std::time::Duration;

fn saved_share(world: &World) -> Option<u16> {
    let state = esclusa_proxy::saved_state(&world.dir.path().join("data"))?;
    let service = state.generation.services.first()?;
    Some(service.split.as_ref()?.share.get())
}

/// The disk is well again once a newcomer waits for it.
async fn mended(stuck: StuckDisk) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    stuck.mend();
}

// What was decided outlives a newcomer that is killed before its first write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_disk_does_not_have_yet_is_not_handed_over_before_it_has() {
    let held = tempfile::tempdir().expect("folder");
    let holder = crate::holding::Holder::start(held.path());
    let folder = held.path().to_owned();
    let mut world = World::with(|config| config.holder = Some(folder.clone())).await;
    let stuck = StuckDisk::at(&world, "state").await;
    world.share(10_000).await;
    holder.holds(1).await;
    assert_eq!(saved_share(&world), None, "the disk takes nothing");
    let mut hand = ByHand::connect(&world).await;
    let (answer, ()) = tokio::join!(hand.ask(&world, HAND_OVER_VERSION, "p1"), mended(stuck));
    assert!(matches!(answer, FromLeader::Yours(_)), "{answer:?}");
    assert_eq!(saved_share(&world), Some(10_000));
    let _old = hand.dies_after_the_last_word(&mut world, folder).await;
}

// EMG-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_that_a_slow_disk_does_not_have_yet_is_not_handed_over_before_it_has() {
    let mut world = World::new().await;
    world.share(0).await;
    let stuck = StuckDisk::at(&world, "flags").await;
    let told = killed(&world, &kill(Some(&["reports"]), true)).await;
    assert!(!told.persisted);
    let mut hand = ByHand::connect(&world).await;
    let (answer, ()) = tokio::join!(hand.ask(&world, HAND_OVER_VERSION, "p1"), mended(stuck));
    assert!(matches!(answer, FromLeader::Yours(_)), "{answer:?}");
    let saved = esclusa_proxy::saved_flags(&world.dir.path().join("data"));
    assert_eq!(saved.expect("on disk").kills, told.kills);
}

// EMG-04: a disk that takes nothing holds neither a change nor a hand-over up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_taken_while_a_newcomer_waits_for_the_disk() {
    let mut world = World::new().await;
    world.share(10_000).await;
    let _stuck = StuckDisk::at(&world, "state").await;
    world.share(5_000).await;
    let service = world.service(0);
    let lowered = world.generation(vec![service]);
    let mut hand = ByHand::connect(&world).await;
    let (answer, published) = tokio::join!(
        hand.ask(&world, HAND_OVER_VERSION, "p1"),
        world.control.publish(&lowered)
    );
    assert!(!published.expect("in force").persisted);
    let FromLeader::Yours(yours) = answer else {
        panic!("{answer:?}");
    };
    let state = yours.state.expect("something is served");
    assert_eq!(state.generation, lowered);
    drop(hand);
    let _old = take_over(&mut world);
    assert_eq!(get(world.listen, "/", &[]).await.version(), "stable");
}
