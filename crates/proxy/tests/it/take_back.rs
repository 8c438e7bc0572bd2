//! A person goes back at the proxy itself, while no controller answers.

use crate::support::{Client, StuckDisk, World, eventually, get, split};
use crate::survival::{canary_tenant, lonely, version};
use esclusa_model::{BasisPoints, Epoch, ServiceName, Timestamp};
use esclusa_proxy::{leave_kill, saved_state};
use esclusa_wire::{
    Generation, Heartbeat, JournalEntry, LeftKill, LostControlThen, ServiceRoute, TakeBack,
    TookBack, UpstreamTls,
};

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).expect("name")
}

fn ask(services: Option<&[&str]>) -> TakeBack {
    TakeBack {
        services: services.map(|names| names.iter().map(|name| service(name)).collect()),
        by: "ana".parse().expect("name"),
        reason: "it hurts".into(),
    }
}

pub(crate) async fn take_back(world: &World) -> TookBack {
    let took = world.control.take_back(&ask(None)).await;
    took.expect("taken back")
}

/// Sends requests of many users; nobody may be answered by the canary.
pub(crate) async fn nobody_is_at_the_canary(world: &World) {
    let before = world.canary.requests();
    let mut client = Client::http1(world.listen).await;
    for n in 0..200 {
        let got = client
            .get("/", &[("x-tenant", format!("t{n}").as_str())])
            .await;
        assert_eq!((got.status, got.version()), (200, "stable"));
    }
    assert_eq!(world.canary.requests(), before);
}

async fn remembered(world: &World) -> usize {
    let status = world.control.status().await.expect("status");
    status.taken_back.len()
}

// EMG-04, RBK-14
#[tokio::test]
async fn everybody_is_taken_back_at_once_and_whoever_publishes_changes_nothing() {
    let mut world = World::patient().await;
    let one = lonely(world.service(5_000), 120_000, LostControlThen::Hold);
    let mut other = world.service(0);
    other.service = service("blog");
    other.matches.host = Some("blog.example".into());
    world.publish(vec![one.clone(), other.clone()]).await;
    let tenant = canary_tenant(&world).await;
    let mut kept = Client::http1(world.listen).await;
    let got = kept.get("/", &[("x-tenant", &tenant)]).await;
    assert_eq!(got.version(), "canary");

    let named = ask(Some(&["shop", "blog", "nowhere"]));
    let took = world.control.take_back(&named).await.expect("taken back");
    let got = kept.get("/", &[("x-tenant", &tenant)]).await;
    assert_eq!(got.version(), "stable");
    nobody_is_at_the_canary(&world).await;
    let [taken] = took.taken_back.as_slice() else {
        panic!("{took:?}");
    };
    let half = BasisPoints::new(5_000).expect("share");
    assert_eq!((&taken.service, taken.share), (&service("shop"), half));
    assert_eq!(taken.release, split(5_000).release);
    assert_eq!((taken.by.as_str(), &*taken.reason), ("ana", "it hurts"));
    assert_eq!(took.nothing, [service("blog")]);
    assert_eq!(took.unknown, [service("nowhere")]);
    assert!(took.persisted && took.everywhere, "{took:?}");
    let status = world.control.status().await.expect("status");
    assert_eq!(status.taken_back, took.taken_back);
    assert!(status.returned.is_empty());
    // Who asks again, or another person, is told what is so.
    let again = ask(Some(&["shop"]));
    let again = TakeBack {
        by: "ben".parse().expect("name"),
        ..again
    };
    let again = world.control.take_back(&again).await.expect("once more");
    assert_eq!(again.taken_back, took.taken_back);

    // A controller that was told, a new one, one that raises: all of them.
    for (epoch, share) in [(1, 5_000), (1, 10_000), (2, 100), (3, 5_000)] {
        let one = lonely(world.service(share), 120_000, LostControlThen::Hold);
        let mut generation = world.generation(vec![one, other.clone()]);
        generation.id.epoch = Epoch(epoch);
        world.control.publish(&generation).await.expect("published");
        let beat = Heartbeat {
            generation: generation.id,
        };
        let told = world.control.heartbeat(&beat).await.expect("beat");
        assert_eq!(told.taken_back.len(), 1);
        let told = world.control.status_as(Epoch(epoch)).await.expect("status");
        assert_eq!(told.taken_back, took.taken_back);
        nobody_is_at_the_canary(&world).await;
    }
    // A split that shows nobody is still the release's: it could be raised once more.
    let publish = async |world: &mut World, route: ServiceRoute| {
        let mut generation = world.generation(vec![route]);
        generation.id.epoch = Epoch(3);
        world.control.publish(&generation).await.expect("published");
    };
    let mut none = one.clone();
    none.split.as_mut().expect("a split").share = BasisPoints::ZERO;
    publish(&mut world, none).await;
    assert_eq!(remembered(&world).await, 1);
    publish(&mut world, one.clone()).await;
    nobody_is_at_the_canary(&world).await;
    // Only the end of the split is the end of it.
    let without = world.service(0);
    publish(&mut world, without).await;
    assert_eq!(remembered(&world).await, 0);
    publish(&mut world, one).await;
    assert_eq!(version(&world, &tenant).await, "canary");
}

// EMG-04: what is left while no proxy runs is taken back before anybody is served.
#[tokio::test]
async fn what_is_left_is_taken_back_from_the_start() {
    let mut world = World::new().await;
    world.share(10_000).await;
    assert_eq!(version(&world, "t1").await, "canary");
    world.stop().await;
    let left = LeftKill {
        flags: None,
        take_back: Some(ask(Some(&["shop"]))),
    };
    leave_kill(&world.dir.path().join("data"), &left).expect("left");
    world.start();
    nobody_is_at_the_canary(&world).await;
    let status = world.control.status().await.expect("status");
    let [taken] = status.taken_back.as_slice() else {
        panic!("{status:?}");
    };
    assert_eq!((taken.by.as_str(), &*taken.reason), ("ana", "it hurts"));
    world.restart().await;
    nobody_is_at_the_canary(&world).await;
    assert_eq!(remembered(&world).await, 1);
}

// EMG-04: another release of the same service is another matter.
#[tokio::test]
async fn another_release_is_not_held_back() {
    let mut world = World::new().await;
    world.share(5_000).await;
    take_back(&world).await;
    let mut next = world.service(10_000);
    next.split.as_mut().expect("a split").release = "r2".parse().expect("id");
    world.publish(vec![next]).await;
    assert_eq!(version(&world, "t1").await, "canary");
    assert_eq!(remembered(&world).await, 0);
}

// EMG-04, RBK-14
#[tokio::test]
async fn what_was_taken_back_outlives_the_process_and_a_damaged_copy() {
    let mut world = World::patient().await;
    world.share(5_000).await;
    let took = take_back(&world).await;
    assert!(took.persisted);
    let data = world.dir.path().join("data");
    let on_disk = || std::fs::read(data.join("state")).expect("state");
    // The disk in the moment of the answer is all that a kill leaves.
    let killed = on_disk();
    world.stop().await;
    std::fs::write(data.join("state"), killed).expect("written");
    world.start();
    nobody_is_at_the_canary(&world).await;
    let status = world.control.status().await.expect("status");
    assert_eq!(status.taken_back, took.taken_back);
    world.stop().await;
    std::fs::write(data.join("state"), "nonsense").expect("written");
    world.start();
    nobody_is_at_the_canary(&world).await;
    // And a controller that knows nothing of it.
    world.share(10_000).await;
    nobody_is_at_the_canary(&world).await;
    assert_eq!(remembered(&world).await, 1);
}

// RBK-14: lowering never waits for a disk.
#[tokio::test]
async fn a_disk_that_takes_nothing_does_not_keep_users_at_the_canary() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let stuck = StuckDisk::at(&world, "state").await;
    let took = take_back(&world).await;
    assert!(!took.persisted);
    nobody_is_at_the_canary(&world).await;
    stuck.mend();
    let folder = world.dir.path().join("data");
    eventually(|| async {
        let saved = saved_state(&folder)?;
        (saved.taken_back == took.taken_back).then_some(())
    })
    .await;
}

// Design: dead-man. A person at the proxy is no controller.
#[tokio::test]
async fn going_back_is_no_sign_of_life_of_a_controller() {
    let mut world = World::new().await;
    let one = lonely(world.service(5_000), 1_500, LostControlThen::Return);
    let mut other = world.service(0);
    other.service = service("blog");
    other.matches.host = Some("blog.example".into());
    world.publish(vec![one, other]).await;
    let tenant = canary_tenant(&world).await;
    let blog = ask(Some(&["blog"]));
    eventually(|| async {
        let took = world.control.take_back(&blog).await.expect("nothing to do");
        assert_eq!(took.nothing, [service("blog")]);
        (version(&world, &tenant).await == "stable").then_some(())
    })
    .await;
    let status = world.control.status().await.expect("status");
    assert_eq!((status.returned.len(), status.taken_back.len()), (1, 0));
    // A person can still make it last: then a controller that was told changes nothing.
    assert_eq!(take_back(&world).await.taken_back.len(), 1);
    world.control.status_as(Epoch(1)).await.expect("told");
    world.share(10_000).await;
    nobody_is_at_the_canary(&world).await;
}

// Design: dead-man. Whoever only looks was not told.
#[tokio::test]
async fn only_a_controller_that_was_told_raises_again() {
    let mut world = World::new().await;
    let one = lonely(world.service(5_000), 300, LostControlThen::Return);
    world.publish(vec![one.clone()]).await;
    let tenant = "t1";
    eventually(|| async {
        let status = world.control.status().await.expect("status");
        (!status.returned.is_empty()).then_some(())
    })
    .await;
    let raised = lonely(world.service(10_000), 3_600_000, LostControlThen::Return);
    world.publish(vec![raised.clone()]).await;
    assert_eq!(version(&world, tenant).await, "stable");
    // One that is no longer in charge was told; so was one that publishes nothing.
    world.control.status_as(Epoch(0)).await.expect("status");
    world.publish(vec![raised.clone()]).await;
    assert_eq!(version(&world, tenant).await, "stable");
    world.control.status_as(Epoch(2)).await.expect("status");
    world.publish(vec![raised.clone()]).await;
    assert_eq!(version(&world, tenant).await, "stable");
    let mut generation = world.generation(vec![raised]);
    generation.id.epoch = Epoch(2);
    world.control.publish(&generation).await.expect("published");
    assert_eq!(version(&world, tenant).await, "canary");
}

fn with_journal(mut generation: Generation) -> Generation {
    generation.journal.push(JournalEntry {
        service: service("shop"),
        release: split(1).release,
        at: Timestamp(7),
        actor: "ana".parse().expect("name"),
        kind: "return_decided".into(),
        payload: serde_json::json!({ "cause": "person", "share": 0.25 }),
    });
    generation
}

// RBK-14: what a dead store does not have is kept where it is in force.
#[tokio::test]
async fn a_decision_that_no_store_has_comes_back_from_the_proxy() {
    let mut world = World::new().await;
    assert_eq!(world.control.generation().await.expect("asked"), None);
    let folder = world.dir.path().join("data");
    assert_eq!(saved_state(&folder), None);
    let route = world.service(0);
    let generation = with_journal(world.generation(vec![route]));
    world.control.publish(&generation).await.expect("published");
    let published = Some(generation);
    assert_eq!(world.control.generation().await.expect("asked"), published);
    world.restart().await;
    assert_eq!(world.control.generation().await.expect("asked"), published);
    // And from its folder, when it does not run.
    world.stop().await;
    assert_eq!(saved_state(&folder).map(|s| s.generation), published);
    world.start();
    // The next one says what is still open.
    world.share(0).await;
    let next = world.control.generation().await.expect("asked");
    assert!(next.expect("a generation").journal.is_empty());
}

// RBK-14: a file that went away refuses what is new, and nothing that lowers.
#[tokio::test]
async fn a_vanished_authority_refuses_no_lowering() {
    let mut world = World::new().await;
    let certified =
        rcgen::generate_simple_self_signed(vec!["v2.internal".to_owned()]).expect("certificate");
    let file = world.dir.path().join("ca.pem");
    std::fs::write(&file, certified.cert.pem()).expect("written");
    let tls = |path: &std::path::Path| {
        Some(UpstreamTls {
            sni: "v2.internal".into(),
            ca_file: Some(path.display().to_string()),
        })
    };
    let mut secret = world.service(5_000);
    secret.service = service("blog");
    secret.matches.host = Some("blog.example".into());
    secret.upstreams[1].instances[0].tls = tls(&file);
    let one = world.service(5_000);
    world.publish(vec![one.clone(), secret.clone()]).await;
    std::fs::remove_file(&file).expect("removed");
    // Its neighbour is lowered, it is taken back, and then lowered itself.
    let lowered = world.service(0);
    world.publish(vec![lowered.clone(), secret.clone()]).await;
    nobody_is_at_the_canary(&world).await;
    let took = take_back(&world).await;
    assert_eq!(took.taken_back.len(), 1, "{took:?}");
    let host = [("host", "blog.example"), ("x-tenant", "t1")];
    for _ in 0..20 {
        assert_eq!(get(world.listen, "/", &host).await.version(), "stable");
    }
    secret.split = None;
    world.publish(vec![lowered.clone(), secret.clone()]).await;
    // A file that nothing in force was made of is missed.
    secret.upstreams[1].instances[0].tls = tls(&world.dir.path().join("never.pem"));
    let generation = world.generation(vec![lowered, secret]);
    assert!(world.control.publish(&generation).await.is_err());
}
