//! Shares that go on from others, and flags that are turned down or killed before they reach
//! anybody.

use super::*;
use crate::rollouts::{CheckRollout, OfFlag};
use esclusa_plan::OnConflict;
use esclusa_wire::FlagKill;

/// A release of one flag for one share, which stays.
fn share(of: &str, to: &str) -> String {
    format!(
        "esclusa: 1\nservice: shop\nflags: {{ set: {{ api: on }}, {of} }}\n\
         judge: {{ blind: {{ then: hold }} }}\nstages: [{{ to: {to}, for: 1s }}]\n"
    )
}

async fn kept(app: &App, plan: &str) {
    let id = start(app, plan).await.expect("begins");
    pass(app, &id, "stage 1").await;
    until(app, &id, |v| v.outcome.is_some()).await;
}

fn lower(to_bp: u16, of: Option<&str>) -> LowerRollout {
    LowerRollout {
        flag: "api".into(),
        variant: "on".into(),
        environment: "production".into(),
        to_bp,
        of: of.map(str::to_owned),
        reason: "too early".into(),
    }
}

async fn queued(app: &App, plan: &str) -> ReleaseId {
    let asked = AskStart {
        plan_name: "esclusa.yaml".into(),
        plan_text: plan.into(),
        version: None,
        base_dir: "/".into(),
        on_conflict: Some(OnConflict::Queue),
        actor: by(),
        person: None,
        source: None,
    };
    app.start_release(asked).await.expect("in line")
}

// ROL-02, ROL-06, trap 20: releases one after the other, of plans or by hand, choose among the
// same order: the smaller share is part of the larger one.
#[tokio::test]
async fn the_share_of_the_next_release_holds_the_one_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let app = app(dir.path(), &flags).await;
    kept(&app, &share("of: tenant", "25%")).await;
    let quarter = on(&flags, "api");
    assert_eq!(quarter.len(), 10);
    kept(&app, &share("of: tenant, allow-on: true", "50%")).await;
    let half = on(&flags, "api");
    assert_eq!(half.len(), 20);
    assert!(quarter.iter().all(|id| half.contains(id)), "{half:?}");
    // Without a unit the one of the share is meant.
    app.lower_rollout(&lower(1_000, None), &by())
        .await
        .expect("lower");
    let tenth = on(&flags, "api");
    assert_eq!(tenth.len(), 4);
    assert!(tenth.iter().all(|id| quarter.contains(id)), "{tenth:?}");
    // Lowering raises nobody.
    let said = app.lower_rollout(&lower(5_000, None), &by()).await;
    assert!(said.expect("nothing").done[0].contains("no more than that"));
    assert_eq!(on(&flags, "api"), tenth);
    // Another order or unit would be other people.
    let other = [
        share("of: user, allow-on: true", "50%"),
        share("allow-on: true", "50%"),
        format!("salt: s\n{}", share("of: tenant, allow-on: true", "50%")),
    ];
    for plan in other {
        let refused = start(&app, &plan).await.expect_err("of others");
        assert_eq!(refused.code, "ESC-0791", "{refused}");
        assert!(
            refused
                .message
                .contains("10% of tenant in the order of salt `api`"),
            "{refused}"
        );
    }
    let refused = app.lower_rollout(&lower(500, Some("user")), &by()).await;
    assert_eq!(refused.expect_err("of others").code, "ESC-0791");
    assert_eq!(on(&flags, "api"), tenth);
}

// ROL-05, trap 17: what would stand against a rollout by hand is told before the one that runs
// is ended for it.
#[tokio::test]
async fn what_cannot_begin_ends_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let app = app(dir.path(), &flags).await;
    let id = start(&app, &share("of: tenant", "25%"))
        .await
        .expect("begins");
    until(&app, &id, |v| v.phase == "stage 1" && v.share_confirmed).await;
    let of = OfFlag {
        variant: "on".into(),
        environment: "production".into(),
    };
    let state = app.rollout_of("api", &of).expect("known");
    assert_eq!(state.of.as_deref(), Some("tenant"));
    let check = |plan: String| CheckRollout {
        plan,
        after: Some(id.to_string()),
    };
    let good = share("of: tenant, allow-on: true", "50%");
    app.check_rollout(&check(good.clone()))
        .expect("it could begin");
    let wrong = share("of: user, allow-on: true", "50%");
    let refused = app.check_rollout(&check(wrong)).expect_err("of others");
    assert_eq!(refused.code, "ESC-0791");
    let beside = CheckRollout {
        plan: good,
        after: None,
    };
    let refused = app.check_rollout(&beside).expect_err("it runs");
    assert_eq!(refused.code, "ESC-0783");
}

// ROL-05, EMG-01: turned off is a flag also in releases that have exposed nobody yet.
#[tokio::test]
async fn off_ends_what_would_expose_somebody_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let app = app(dir.path(), &flags).await;
    let waits = share("of: tenant", "25%") + "requires: [{ sign-off: { roles: [qa] } }]\n";
    let id = start(&app, &waits).await.expect("begins");
    until(&app, &id, |v| v.phase == "preflight").await;
    let next = queued(&app, &share("of: tenant", "25%")).await;
    let done = app.lower_rollout(&lower(0, None), &by()).await;
    let done = done.expect("off").done.join("; ");
    assert!(
        done.contains(id.as_str()) && done.contains(next.as_str()),
        "{done}"
    );
    for id in [&id, &next] {
        until(&app, id, |v| v.outcome.as_deref() == Some("aborted")).await;
    }
    let nothing = app.lower_rollout(&lower(0, None), &by()).await;
    assert!(nothing.expect("off").done[0].contains("no more than that"));
    assert_eq!(flags.with(|memory| memory.set.revision), 0);
}

// EMG-01: a release in line whose flag is killed does not begin when the kill is lifted.
#[tokio::test]
async fn a_kill_empties_the_line_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = MemoryFlags::new(set());
    let app = app(dir.path(), &flags).await;
    let other = share("of: tenant", "25%").replace("api", "reports");
    let id = start(&app, &other).await.expect("begins");
    until(&app, &id, |v| v.phase == "stage 1").await;
    let next = queued(&app, &share("of: tenant", "25%")).await;
    let kill = FlagKill {
        flags: Some(vec!["api".into()]),
        killed: true,
        epoch: 1,
        by: Actor::new("eva").expect("a name"),
        reason: "errors".into(),
        at: clock::now(),
    };
    flags.with(|memory| memory.killed = Some(kill));
    until(&app, &next, |v| v.outcome.as_deref() == Some("aborted")).await;
}
