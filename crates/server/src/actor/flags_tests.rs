//! A release of flags alone, carried out in process: with flags in memory, without a proxy.

mod by_hand;

use crate::app::{App, Ask, AskStart};
use crate::clock;
use crate::dataplane::DataPlane;
use crate::rollouts::{LowerRollout, MemoryFlags};
use crate::view::ReleaseView;
use crate::world::Drivers;
use esclusa_drivers::run::RunSettings;
use esclusa_flags::{FlagSet, Snapshot, tenants_by_variant};
use esclusa_model::{Actor, ReleaseId};
use esclusa_proxy::client::ControlClient;
use esclusa_shim::ShimCommand;
use esclusa_store::Store;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PLAN: &str = "
esclusa: 1
service: shop
flags: { set: { reports: on, api: on }, of: tenant }
judge: { blind: { then: hold } }
stages:
  - { to: { segment: team }, for: 1s }
  - { to: 25%, for: 1s }
  - { to: 100%, watch: 1s }
keep-warm: { for: 1h }
";

fn set() -> FlagSet {
    let tenants: serde_json::Map<String, serde_json::Value> = (0..40)
        .map(|n| (format!("t{n:02}"), serde_json::json!({})))
        .collect();
    FlagSet::from_json(serde_json::json!({
        "environments": ["production", "staging"],
        "segments": { "team": { "keys": ["t07"], "of": "tenant" } },
        "tenants": tenants,
        "flags": { "reports": { "type": "boolean" }, "api": { "type": "boolean" } },
    }))
    .expect("a set")
}

fn by() -> Actor {
    Actor::new("ana").expect("a name")
}

async fn app(dir: &Path, flags: &Arc<MemoryFlags>) -> Arc<App> {
    let store = Store::open(dir, clock::now()).await.expect("opens");
    let client = ControlClient::new(dir.join("no-proxy.sock"));
    let dataplane = DataPlane::start(client, store.clone(), None);
    let shim = ShimCommand {
        program: "/bin/false".into(),
        args: Vec::new(),
    };
    let drivers = Drivers::new(&RunSettings { shim });
    let app = App::start_with(
        store,
        dataplane,
        Some(flags.clone()),
        dir.to_owned(),
        drivers,
    );
    app.await.expect("starts")
}

async fn start(app: &App, plan: &str) -> Result<ReleaseId, crate::error::ApiError> {
    app.start_release(AskStart {
        plan_name: "esclusa.yaml".into(),
        plan_text: plan.into(),
        version: None,
        base_dir: "/".into(),
        on_conflict: None,
        actor: by(),
        person: None,
        source: None,
    })
    .await
}

async fn until(app: &App, id: &ReleaseId, wanted: impl Fn(&ReleaseView) -> bool) -> ReleaseView {
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Ok(view) = app.release_view(id).await
                && wanted(&view)
            {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    match found.await {
        Ok(view) => view,
        Err(_) => panic!("{:#?}", app.release_view(id).await),
    }
}

/// The tenants that have a flag right now.
fn on(flags: &MemoryFlags, flag: &str) -> Vec<String> {
    let snapshot = Snapshot::compile(&flags.served(), "production").expect("valid");
    let found = tenants_by_variant(&snapshot, flag).into_iter();
    let on = found.filter(|(variant, _)| variant == "on");
    on.flat_map(|(_, ids)| ids).collect()
}

fn promote() -> Ask {
    Ask::Promote {
        reason: String::new(),
    }
}

/// Passes gates until a place is reached: nobody counts here, so a person looks.
async fn pass(app: &App, id: &ReleaseId, stage: &str) {
    let held = |view: &ReleaseView| view.phase == stage && view.hold.is_some();
    until(app, id, held).await;
    let skip = Ask::Skip {
        reason: String::new(),
    };
    app.ask(id, skip, &by()).await.expect("passed");
}

// ROL-01, ROL-02, ROL-04, ROL-06, ROL-07, FLAG-09, RBK-06: the whole way, and back.
#[tokio::test]
async fn flags_go_stage_by_stage_into_the_set_and_out_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let app = app(dir.path(), &flags).await;
    let id = start(&app, PLAN).await.expect("begins");
    let team = until(&app, &id, |v| v.phase == "stage 1" && v.share_confirmed).await;
    assert_eq!(team.version, "reports-on+1");
    assert_eq!(
        team.flags.as_deref(),
        Some("reports on, api on in production")
    );
    assert_eq!(on(&flags, "reports"), ["t07"]);
    assert_eq!(on(&flags, "api"), ["t07"]);
    pass(&app, &id, "stage 1").await;
    let quarter = until(&app, &id, |v| v.phase == "stage 2" && v.share_confirmed).await;
    let reached = quarter.stages[1]
        .reached
        .clone()
        .expect("tenants are known");
    let some = on(&flags, "reports");
    assert!(
        (10..=11).contains(&some.len()) && some.contains(&"t07".to_owned()),
        "{some:?}"
    );
    assert_eq!((reached.tenants, reached.of), (some.len() as u64, 40));
    assert_eq!(reached.names, some);
    assert_eq!(on(&flags, "api"), some, "whoever has one has all");
    assert_eq!(
        flags.with(|memory| memory.set.revision),
        0,
        "the set is not touched yet"
    );
    pass(&app, &id, "stage 2").await;
    pass(&app, &id, "stage 3").await;
    let done = until(&app, &id, |v| v.outcome.is_some()).await;
    assert_eq!(done.outcome.as_deref(), Some("promoted_early"));
    assert_eq!(
        done.reason.as_deref(),
        Some(
            "reports on, api on for all users, a person passed at least one gate; the flag set has it"
        )
    );
    assert_eq!(
        (on(&flags, "reports").len(), on(&flags, "api").len()),
        (40, 40)
    );
    let kept = until_turned(&flags, |turned| turned.rollouts.is_empty()).await;
    assert_eq!((kept.revision, on(&flags, "api").len()), (1, 40));
    let service = app
        .service(&"shop".parse().expect("a name"))
        .await
        .expect("known");
    assert_eq!((service.stable, service.warm), (None, None));
    assert!(service.can_return);
    // Back: users first, whatever the store of flags does.
    flags.with(|memory| memory.set.revision = 7);
    let reason = "reports are empty".to_owned();
    app.ask(&id, Ask::Rollback { reason }, &by())
        .await
        .expect("goes back");
    let back = until(&app, &id, |v| v.outcome.as_deref() == Some("rolled_back")).await;
    assert_eq!(
        back.reason.as_deref(),
        Some("rolled back by a person: reports are empty")
    );
    let log = flags.with(|memory| memory.log.clone());
    let withdrawn = log.iter().find(|turned| turned.withdrawn.is_some());
    assert!(
        withdrawn.is_some_and(|turned| turned.rollouts.is_empty()),
        "{log:?}"
    );
    assert_eq!(
        (on(&flags, "reports"), on(&flags, "api")),
        (Vec::new(), Vec::new())
    );
    let restored = flags.with(|memory| memory.set.clone());
    assert_eq!(
        restored.flags["reports"]
            .environments
            .get("production")
            .and_then(|s| s.default.clone()),
        None
    );
}

async fn until_turned(
    flags: &MemoryFlags,
    wanted: impl Fn(&crate::rollouts::Turned) -> bool,
) -> FlagSet {
    let shop = "shop".parse().expect("a name");
    let there = tokio::time::timeout(Duration::from_secs(10), async {
        while !flags.with(|memory| memory.turned.get(&shop).is_some_and(&wanted)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    there.await.expect("turned");
    flags.with(|memory| memory.set.clone())
}

// RBK-10, ROL-06: a new life turns the same again; an abort takes it from everybody at once,
// and the set never had it.
#[test]
fn an_abort_leaves_nothing_and_a_new_life_turns_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    let id = first.block_on(async {
        let app = app(dir.path(), &flags).await;
        let id = start(&app, PLAN).await.expect("begins");
        pass(&app, &id, "stage 1").await;
        until(&app, &id, |v| v.phase == "stage 2" && v.share_confirmed).await;
        id
    });
    // It ends as a program ends that is killed.
    first.shutdown_timeout(Duration::from_secs(5));
    let before = on(&flags, "api");
    // A data plane that knows nothing of it.
    flags.with(|memory| memory.turned.clear());
    let second = tokio::runtime::Runtime::new().expect("a runtime");
    second.block_on(async {
        let app = app(dir.path(), &flags).await;
        until_turned(&flags, |turned| !turned.rollouts.is_empty()).await;
        assert_eq!(on(&flags, "api"), before);
        let reason = "no".to_owned();
        let abort = Ask::Abort { reason };
        app.ask(&id, abort, &by()).await.expect("aborts");
        until(&app, &id, |v| v.outcome.as_deref() == Some("aborted")).await;
        assert_eq!(on(&flags, "api"), Vec::<String>::new());
        assert_eq!(flags.with(|memory| memory.set.clone()), set());
    });
}

// FLAG-09, FLAG-16, PRE-03, ROL-05; traps 17 and 26: what cannot be is told at once.
#[tokio::test]
async fn what_cannot_be_turned_is_refused_before_anything_begins() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut known = set();
    let reports = known.flags.get_mut("reports").expect("there");
    let settings = reports.environments.entry("production".into()).or_default();
    settings.tenants.insert("t03".into(), "on".into());
    let flags = MemoryFlags::new(known);
    let app = app(dir.path(), &flags).await;
    let mut told = Vec::new();
    for (was, is) in [
        ("reports: on", "rports: on"),
        ("api: on", "api: compact"),
        ("segment: team", "segment: staff"),
        ("of: tenant", "of: customer, environment: live"),
        ("", ""),
    ] {
        let refused = start(&app, &PLAN.replace(was, is)).await.expect_err(is);
        told.push(format!("{}: {}", refused.code, refused.message));
    }
    let unseen = PLAN.replace("then: hold", "then: rollback");
    let unseen = unseen.replace("of: tenant", "of: tenant, allow-on: true");
    let refused = start(&app, &unseen).await.expect_err("nobody counts");
    told.push(format!("{}: {}", refused.code, refused.message));
    insta::assert_snapshot!(told.join("\n"));
    assert!(app.history(None, 10).await.expect("read").is_empty());
    // Somebody who knows better, and a second dial of the same flag.
    let plan = PLAN.replace("of: tenant", "of: tenant, allow-on: true");
    let id = start(&app, &plan).await.expect("begins");
    until(&app, &id, |v| v.phase == "stage 1" && v.share_confirmed).await;
    let other = plan.replace("service: shop", "service: reports");
    let refused = start(&app, &other).await.expect_err("turned already");
    assert_eq!(refused.code, "ESC-0783");
    assert!(refused.message.contains(id.as_str()), "{refused}");
}

// EMG-01, RBK-02: a rollout whose flag is killed is over; lifting the kill exposes nobody.
#[tokio::test]
async fn a_kill_ends_the_rollout_of_its_flag() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let app = app(dir.path(), &flags).await;
    let id = start(&app, PLAN).await.expect("begins");
    until(&app, &id, |v| v.phase == "stage 1" && v.share_confirmed).await;
    let kill = esclusa_wire::FlagKill {
        flags: Some(vec!["reports".into()]),
        killed: true,
        epoch: 1,
        by: Actor::new("eva").expect("a name"),
        reason: "errors at acme".into(),
        at: clock::now(),
    };
    flags.with(|memory| memory.killed = Some(kill));
    let over = until(&app, &id, |v| v.outcome.is_some()).await;
    assert_eq!(over.outcome.as_deref(), Some("aborted"));
    let reason = over.reason.expect("a reason");
    assert!(
        reason.contains("reports was killed: errors at acme"),
        "{reason}"
    );
    assert!(on(&flags, "reports").is_empty());
    // As long as it is killed nothing of it begins.
    let refused = start(&app, PLAN).await.expect_err("it is killed");
    assert_eq!(refused.code, "ESC-0789");
    assert!(
        refused.message.contains("by eva: errors at acme"),
        "{refused}"
    );
    flags.with(|memory| memory.killed = None);
    assert!(on(&flags, "reports").is_empty());
    start(&app, PLAN).await.expect("it begins");
}

// ROL-05, FLAG-09; trap 17: what could reach nobody is refused with what is in its way, and
// what comes in its way later is said.
#[tokio::test]
async fn what_would_reach_nobody_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut known = set();
    let reports = known.flags.get_mut("reports").expect("there");
    reports.prerequisites = vec![esclusa_flags::Prerequisite {
        flag: "base".into(),
        variant: "on".into(),
    }];
    let base = esclusa_flags::FlagDefinition::boolean();
    known.flags.insert("base".into(), base);
    let flags = MemoryFlags::new(known);
    let app = app(dir.path(), &flags).await;
    let refused = start(&app, PLAN).await.expect_err("nobody would have it");
    assert_eq!(refused.code, "ESC-0790");
    assert!(
        refused
            .message
            .contains("reports needs base on, which nobody has in production"),
        "{refused}"
    );
    assert!(refused.help.contains("esclusa rollout base=on"));
    // With it in one plan, or on already, somebody has it.
    let both = PLAN.replace("reports: on, ", "reports: on, base: on, ");
    let id = start(&app, &both).await.expect("begins");
    until(&app, &id, |v| v.phase == "stage 1" && v.share_confirmed).await;
    assert_eq!(on(&flags, "reports"), ["t07"]);
    let reason = String::new();
    let abort = Ask::Abort { reason };
    app.ask(&id, abort, &by()).await.expect("aborts");
    until(&app, &id, |v| v.outcome.is_some()).await;
    let turn_base = |default: &str| {
        flags.with(|memory| {
            let base = memory.set.flags.get_mut("base").expect("there");
            base.default = Some(default.to_owned());
        });
    };
    turn_base("on");
    let id = start(&app, PLAN).await.expect("begins");
    let quiet = until(&app, &id, |v| v.phase == "stage 1" && v.share_confirmed).await;
    assert_eq!(quiet.reaches_nobody_because, None);
    turn_base("off");
    let told = until(&app, &id, |v| v.reaches_nobody_because.is_some()).await;
    assert_eq!(
        told.reaches_nobody_because.as_deref(),
        Some("reports needs base on, which nobody has in production")
    );
    // Nobody passes a gate behind which there is nobody.
    until(&app, &id, |v| v.hold.is_some()).await;
    let skip = Ask::Skip {
        reason: "looks good".into(),
    };
    for ask in [promote(), skip.clone()] {
        let refused = app.ask(&id, ask, &by()).await.expect_err("nobody has it");
        assert_eq!(refused.code, "ESC-0790", "{refused}");
    }
    turn_base("on");
    app.ask(&id, skip, &by()).await.expect("passed");
    until(&app, &id, |v| v.phase == "stage 2").await;
}

// Trap 27: a set that cannot be changed is tried again, and nobody loses the flag meanwhile.
#[tokio::test]
async fn a_record_that_fails_is_tried_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let app = app(dir.path(), &flags).await;
    let plan = PLAN.replace(
        "  - { to: { segment: team }, for: 1s }\n  - { to: 25%, for: 1s }\n",
        "",
    );
    let id = start(&app, &plan).await.expect("begins");
    until(&app, &id, |v| v.phase == "stage 1" && v.hold.is_some()).await;
    flags.with(|memory| memory.down = Some("the disk is full".into()));
    app.ask(&id, promote(), &by()).await.expect("promoted");
    let tries = |view: &ReleaseView| {
        let mut tasks = view.tasks.iter();
        tasks.any(|task| task.task == "record-flags" && task.attempt > 1)
    };
    let view = until(&app, &id, tries).await;
    assert_eq!(
        (view.phase.as_str(), on(&flags, "api").len()),
        ("hand-over", 40)
    );
    flags.with(|memory| memory.down = None);
    until(&app, &id, |v| v.outcome.is_some()).await;
    assert_eq!(flags.with(|memory| memory.set.revision), 1);
    assert_eq!(on(&flags, "api").len(), 40);
}

// ROL-05: a flag may stay with some, and goes down by hand at once.
#[tokio::test]
async fn a_share_stays_and_goes_down_by_hand() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let app = app(dir.path(), &flags).await;
    let plan = "esclusa: 1\nservice: shop\nsalt: api\nflags: { set: { api: on }, of: tenant }\n\
                judge: { blind: { then: hold } }\nstages: [{ to: 50%, for: 1s }]\n";
    let id = start(&app, plan).await.expect("begins");
    pass(&app, &id, "stage 1").await;
    let done = until(&app, &id, |v| v.outcome.is_some()).await;
    assert!(done.reason.is_some_and(|why| why.contains("for 50%")));
    until_turned(&flags, |turned| turned.rollouts.is_empty()).await;
    let half = on(&flags, "api");
    assert_eq!(half.len(), 20);
    let lower = |to_bp| LowerRollout {
        flag: "api".into(),
        variant: "on".into(),
        environment: "production".into(),
        to_bp,
        of: Some("tenant".into()),
        reason: String::new(),
    };
    app.lower_rollout(&lower(1_000), &by())
        .await
        .expect("lower");
    let tenth = on(&flags, "api");
    assert!(tenth.len() == 4 && tenth.iter().all(|id| half.contains(id)));
    // What runs goes back, and nobody else keeps it.
    let more = plan.replace("of: tenant", "of: tenant, allow-on: true");
    let id = start(&app, &more).await.expect("begins");
    until(&app, &id, |v| v.phase == "stage 1" && v.share_confirmed).await;
    assert_eq!(on(&flags, "api"), half);
    let lowered = app.lower_rollout(&lower(0), &by()).await.expect("off");
    assert_eq!(lowered.done.len(), 2, "{lowered:?}");
    until(&app, &id, |v| v.outcome.as_deref() == Some("aborted")).await;
    assert_eq!(on(&flags, "api"), Vec::<String>::new());
}
