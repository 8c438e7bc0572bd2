//! Somebody else's router behind scripts that work, lie, overshoot or hang.

use crate::world::{LONG, ask, ends, events, first, phase, plane, program, promote};
use esclusa_testkit::demo::{DemoApp, WebConfig};
use esclusa_testkit::plane::ControlPlane;
use serde_json::Value;

/// How long the dials under test have: several of their calls, and short enough to be
/// waited out twice.
const DIAL_LIMIT: &str = "20s";

/// The versions run already; nothing of them is started or stopped here.
struct Outside {
    plane: ControlPlane,
    v1: DemoApp,
    v2: DemoApp,
}

impl Outside {
    async fn new() -> Self {
        let v1 = DemoApp::start(WebConfig::good("v1")).await.unwrap();
        let v2 = DemoApp::start(WebConfig::good("v2")).await.unwrap();
        let plane = plane();
        let script = |name: &str, lines: &str| {
            program(&plane.work().join(name), &format!("#!/bin/sh\n{lines}\n"));
        };
        script(
            "set",
            "echo \"$ESCLUSA_SHARE\" > \"weight-$ESCLUSA_SERVICE-$ESCLUSA_CANARY\"",
        );
        script(
            "read",
            "cat \"weight-$ESCLUSA_SERVICE-$ESCLUSA_CANARY\" 2>/dev/null || echo 0",
        );
        // Hang: above nobody, on the way back, after they did what they were asked.
        script(
            "hang",
            "[ \"$ESCLUSA_SHARE\" = 0 ] && exec ./set\nexec sleep 3600",
        );
        script(
            "hang-back",
            "[ \"$ESCLUSA_SHARE\" = 0 ] && exec sleep 3600\nexec ./set",
        );
        script("hang-late", "./set\nexec sleep 3600");
        script("mute", "exec sleep 3600");
        script(
            "soon-mute",
            "[ -e \"turned-$ESCLUSA_SERVICE\" ] && exec sleep 3600\nexec ./read",
        );
        // Lie: nobody, whatever was set; half, once a test says so.
        script("lie", "echo 0");
        script(
            "soon-half",
            "[ -e \"turned-$ESCLUSA_SERVICE\" ] && exec echo 50\nexec ./read",
        );
        script(
            "too-much",
            "[ \"$ESCLUSA_SHARE\" = 0 ] && exec ./read\necho 80",
        );
        script("always-too-much", "echo 80");
        Self { plane, v1, v2 }
    }

    /// Brings v1, asks for v2.
    async fn release(&self, name: &str, set: &str, read: &str) -> String {
        let plan = |app: &DemoApp, set: &str, read: &str, more: &str| {
            format!(
                "esclusa: 1\nservice: {name}\naddress: {{ url: 'http://{}' }}\n\
                 traffic: {{ command: {{ set: './{set}', read: './{read}', timeout: 3s }} }}\n\
                 judge: {{ blind: {{ then: hold }} }}\n\
                 stages: [ {{ to: 50%, for: 1s }}, {{ to: 100%, watch: 1s }} ]\n{more}",
                app.address()
            )
        };
        first(&self.plane, &plan(&self.v1, "set", "read", ""), "v1").await;
        let limited = format!("dial-timeout: {DIAL_LIMIT}\n");
        let plan = plan(&self.v2, set, read, &limited);
        self.plane.release(&plan, "v2").await
    }

    /// From here on the dial of this service does what its script's name says.
    fn turn(&self, name: &str) {
        let path = self.plane.work().join(format!("turned-{name}"));
        std::fs::write(path, "").unwrap();
    }

    /// The share of v2, as its router has it.
    fn weight(&self, name: &str) -> String {
        let path = self.plane.work().join(format!("weight-{name}-v2"));
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

// RBK-12: each ends as the contract says, within the plan's own limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_hanging_or_overshooting_command_dial() {
    let outside = Outside::new().await;
    tokio::join!(
        honest(&outside),
        lies(&outside),
        hangs(&outside),
        overshoots(&outside),
        hangs_after_it_obeyed(&outside),
    );
}

// RBK-12, RBK-13: what does not go back is a failed rollback that names the dial.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_dial_that_does_not_go_back() {
    let outside = Outside::new().await;
    tokio::join!(
        stuck(&outside, "lies-back", "set", "soon-half"),
        stuck(&outside, "hangs-back", "hang-back", "read"),
        stuck(&outside, "mute-back", "set", "soon-mute"),
        never_read(&outside),
        always_too_much(&outside),
    );
}

/// Its first stage is confirmed; then it is aborted and does not come back.
async fn stuck(outside: &Outside, name: &str, set: &str, read: &str) {
    let plane = &outside.plane;
    let release = outside.release(name, set, read).await;
    phase(plane, &release, "stage 1").await;
    outside.turn(name);
    ask(plane, &release, "abort").await;
    let lowering = |view: &Value| view["phase"] == "returning users";
    plane.until(&release, LONG, lowering).await;
    // Again is no news, and no error.
    ask(plane, &release, "abort").await;
    let view = not_back(plane, name, &release).await;
    assert!(
        view["reason"]
            .as_str()
            .unwrap()
            .contains("aborted by a person")
    );
}

async fn not_back(plane: &ControlPlane, name: &str, release: &str) -> Value {
    let view = ends(plane, release, "rollback_failed").await;
    let reason = view["reason"].as_str().unwrap_or_default();
    let named = format!("the command dial of {name} did not go back to 0% within {DIAL_LIMIT}");
    assert!(reason.contains(&named), "{view:#}");
    let stopped = events(plane, release, "task_started").await;
    let stopped = stopped
        .iter()
        .any(|event| event["payload"]["task"] == "stop-canary");
    assert!(!stopped, "users may still be there");
    view
}

async fn never_read(outside: &Outside) {
    let release = outside.release("never-read", "set", "mute").await;
    let view = not_back(&outside.plane, "never-read", &release).await;
    let reason = view["reason"].as_str().unwrap();
    assert!(reason.contains("did not reach 50% within"), "{reason}");
    assert!(
        events(&outside.plane, &release, "dial_confirmed")
            .await
            .is_empty()
    );
}

async fn always_too_much(outside: &Outside) {
    let release = outside.release("too-much", "set", "always-too-much").await;
    let view = not_back(&outside.plane, "too-much", &release).await;
    let reason = view["reason"].as_str().unwrap();
    assert!(
        reason.contains("shows 80% where 50% was asked for"),
        "{reason}"
    );
}

/// What took effect before it hung has taken effect: it is read before it is repeated.
async fn hangs_after_it_obeyed(outside: &Outside) {
    let plane = &outside.plane;
    let release = outside.release("late", "hang-late", "read").await;
    phase(plane, &release, "stage 1").await;
    ask(plane, &release, "abort").await;
    ends(plane, &release, "aborted").await;
    assert_eq!(outside.weight("late"), "0");
}

async fn honest(outside: &Outside) {
    let plane = &outside.plane;
    let release = outside.release("honest", "set", "read").await;
    phase(plane, &release, "stage 1").await;
    assert_eq!(outside.weight("honest"), "50");
    // Nothing judges here: without a person it waits, however long its watch is over.
    let waits = plane.until(&release, LONG, |view| view["hold"].is_string());
    let view = waits.await;
    assert_eq!(view["phase"], "stage 1", "{view:#}");
    promote(plane, &release).await;
    ends(plane, &release, "promoted_early").await;
    assert_eq!(outside.weight("honest"), "100");
}

async fn lies(outside: &Outside) {
    let plane = &outside.plane;
    let release = outside.release("lies", "set", "lie").await;
    let view = ends(plane, &release, "rolled_back").await;
    let reason = view["reason"].as_str().unwrap_or_default();
    let named = format!("the command dial did not reach 50% within {DIAL_LIMIT}");
    assert!(reason.contains(&named), "{view:#}");
    // It was turned, and what it showed was something else: that is no confirmation.
    let confirmed = events(plane, &release, "dial_confirmed").await;
    let asked: Vec<_> = confirmed
        .iter()
        .map(|event| &event["payload"]["asked"])
        .collect();
    assert_eq!(asked, [0], "{view:#}");
    assert_eq!(outside.weight("lies"), "0");
}

async fn hangs(outside: &Outside) {
    let plane = &outside.plane;
    let release = outside.release("hangs", "hang", "read").await;
    let view = ends(plane, &release, "rolled_back").await;
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("did not reach 50% within"), "{view:#}");
    assert_eq!(outside.weight("hangs"), "0");
}

async fn overshoots(outside: &Outside) {
    let plane = &outside.plane;
    let release = outside.release("overshoots", "set", "too-much").await;
    let view = ends(plane, &release, "rolled_back").await;
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("80%") && reason.contains("50%"), "{view:#}");
    assert_eq!(outside.weight("overshoots"), "0");
}
