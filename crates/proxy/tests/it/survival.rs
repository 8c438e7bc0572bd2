//! What a proxy does without its control plane.

use crate::support::{StuckDisk, World, eventually, get};
use esclusa_model::{BasisPoints, Epoch, GenerationId, Millis};
use esclusa_wire::{Heartbeat, LostControl, LostControlThen, ServiceRoute};
use std::time::{Duration, Instant};

/// A tenant that a share of 50 % sends to the canary.
pub(crate) async fn canary_tenant(world: &World) -> String {
    for n in 0..200 {
        let tenant = format!("t{n}");
        if get(world.listen, "/", &[("x-tenant", &tenant)])
            .await
            .version()
            == "canary"
        {
            return tenant;
        }
    }
    panic!("nobody is at the canary");
}

pub(crate) fn lonely(
    mut service: ServiceRoute,
    after_ms: u64,
    then: LostControlThen,
) -> ServiceRoute {
    service.lost_control = LostControl {
        after: Millis(after_ms),
        then,
    };
    service
}

pub(crate) async fn version(world: &World, tenant: &str) -> String {
    get(world.listen, "/", &[("x-tenant", tenant)])
        .await
        .version()
        .to_owned()
}

#[tokio::test]
async fn a_restarted_proxy_serves_what_it_served() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let tenant = canary_tenant(&world).await;
    world.restart().await;
    // Nobody has spoken to it yet.
    assert_eq!(version(&world, &tenant).await, "canary");
    assert_eq!(
        world
            .control
            .status()
            .await
            .expect("status")
            .generation
            .number,
        1
    );
    // It still refuses what is older.
    world.next = 1;
    let service = world.service(0);
    let old = world.generation(vec![service]);
    assert!(world.control.publish(&old).await.is_err());
}

#[tokio::test]
async fn a_damaged_state_file_gives_way_to_the_one_before() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let tenant = canary_tenant(&world).await;
    world.share(0).await;
    world.saved().await;
    world.stop().await;
    // The orderly end wrote the newest generation twice; damage that and keep the first.
    let data = world.dir.path().join("data");
    std::fs::write(data.join("state"), "esclusa-state 1 sha256:00\n{}\n").expect("written");
    world.start();
    assert_eq!(version(&world, &tenant).await, "stable");
    world.stop().await;
    std::fs::write(data.join("state"), "").expect("written");
    std::fs::write(data.join("state.previous"), "nonsense").expect("written");
    world.start();
    let status = world.control.status().await.expect("status");
    assert_eq!(status.generation, GenerationId::default());
    world.share(0).await;
    assert_eq!(version(&world, &tenant).await, "stable");
}

#[tokio::test]
async fn publishing_does_not_wait_for_a_disk() {
    let mut world = World::new().await;
    world.share(5_000).await;
    world.saved().await;
    let data = world.dir.path().join("data");
    let stuck = StuckDisk::at(&world, "state").await;
    let service = world.service(0);
    let generation = world.generation(vec![service]);
    let published = world.control.publish(&generation).await.expect("published");
    assert!(!published.persisted);
    assert_eq!(
        get(world.listen, "/", &[("x-tenant", "t")]).await.version(),
        "stable"
    );
    stuck.mend();
    eventually(|| async {
        let text = std::fs::read_to_string(data.join("state")).expect("state");
        let state = esclusa_wire::StateFile::decode(&text).expect("readable");
        (state.generation.id == generation.id).then_some(())
    })
    .await;
}

// Design: dead-man.
#[tokio::test]
async fn without_control_a_share_is_taken_back_and_stays_back() {
    let mut world = World::new().await;
    let service = lonely(world.service(5_000), 4_000, LostControlThen::Return);
    let first = world.publish(vec![service.clone()]).await;
    let tenant = canary_tenant(&world).await;
    // Signs of life keep it.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(7_000) {
        let beat = Heartbeat { generation: first };
        assert!(
            world
                .control
                .heartbeat(&beat)
                .await
                .expect("beat")
                .returned
                .is_empty()
        );
        assert_eq!(version(&world, &tenant).await, "canary");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let silent = Instant::now();
    eventually(|| async { (version(&world, &tenant).await == "stable").then_some(()) }).await;
    assert!(
        silent.elapsed() > Duration::from_millis(3_800),
        "{:?}",
        silent.elapsed()
    );
    // It is not raised by a restart, nor by a controller that does not know.
    world.restart().await;
    assert_eq!(version(&world, &tenant).await, "stable");
    let second = world.publish(vec![service.clone()]).await;
    assert_eq!(version(&world, &tenant).await, "stable");
    let status = world
        .control
        .heartbeat(&Heartbeat { generation: second })
        .await
        .expect("beat");
    let half = BasisPoints::new(5_000).expect("share");
    assert_eq!(
        status.returned,
        [(crate::support::split(5_000).release, half)]
    );
    // One that was told decides.
    world.publish(vec![service]).await;
    assert_eq!(version(&world, &tenant).await, "canary");
    assert!(
        world
            .control
            .status()
            .await
            .expect("status")
            .returned
            .is_empty()
    );
}

#[tokio::test]
async fn a_restart_does_not_begin_the_silence_anew() {
    let mut world = World::new().await;
    let service = lonely(world.service(5_000), 8_000, LostControlThen::Return);
    world.publish(vec![service]).await;
    let silent = Instant::now();
    let tenant = canary_tenant(&world).await;
    tokio::time::sleep(Duration::from_millis(7_000)).await;
    world.restart().await;
    eventually(|| async { (version(&world, &tenant).await == "stable").then_some(()) }).await;
    assert!(
        silent.elapsed() < Duration::from_millis(14_000),
        "{:?}",
        silent.elapsed()
    );
    // The release's end is the end of the matter.
    let service = world.service(0);
    world.publish(vec![service]).await;
    assert!(
        world
            .control
            .status()
            .await
            .expect("status")
            .returned
            .is_empty()
    );
}

#[tokio::test]
async fn a_plan_may_say_to_hold() {
    let mut world = World::new().await;
    let service = lonely(world.service(5_000), 300, LostControlThen::Hold);
    world.publish(vec![service]).await;
    let tenant = canary_tenant(&world).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(version(&world, &tenant).await, "canary");
    // Everybody is no partial share: nothing to take back.
    let service = lonely(world.service(10_000), 300, LostControlThen::Return);
    world.publish(vec![service]).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(version(&world, &tenant).await, "canary");
    let status = world.control.status().await.expect("status");
    assert_eq!(
        (status.generation.epoch, status.returned.len()),
        (Epoch(1), 0)
    );
}
