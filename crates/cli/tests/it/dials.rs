//! Somebody else's router behind scripts that work, lie, overshoot or hang.

use crate::world::{LONG, ask, ends, events, first, phase, plane, program, promote};
use esclusa_testkit::demo::{DemoApp, WebConfig};
use esclusa_testkit::plane::ControlPlane;
use serde_json::Value;

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
        program(
            &plane.work().join("set"),
            "#!/bin/sh\necho \"$ESCLUSA_SHARE\" >> \"sets-$ESCLUSA_SERVICE\"\n\
             echo \"$ESCLUSA_SHARE\" > \"weight-$ESCLUSA_SERVICE\"\n",
        );
        program(
            &plane.work().join("hang"),
            "#!/bin/sh\n[ \"$ESCLUSA_SHARE\" = 0 ] && exec ./set\nexec sleep 3600\n",
        );
        program(
            &plane.work().join("read"),
            "#!/bin/sh\ncat \"weight-$ESCLUSA_SERVICE\" 2>/dev/null || echo 0\n",
        );
        program(&plane.work().join("lie"), "#!/bin/sh\necho 0\n");
        program(
            &plane.work().join("too-much"),
            "#!/bin/sh\n[ \"$ESCLUSA_SHARE\" = 0 ] && exec ./read\necho 80\n",
        );
        Self { plane, v1, v2 }
    }

    /// Brings v1, asks for v2.
    async fn release(&self, name: &str, set: &str, read: &str) -> String {
        let plan = |app: &DemoApp, set: &str, read: &str| {
            format!(
                "esclusa: 1\nservice: {name}\naddress: {{ url: 'http://{}' }}\n\
                 traffic: {{ command: {{ set: './{set}', read: './{read}', timeout: 3s }} }}\n\
                 judge: {{ blind: {{ then: hold }} }}\n\
                 stages: [ {{ to: 50%, for: 1s }}, {{ to: 100%, watch: 1s }} ]\n",
                app.address()
            )
        };
        first(&self.plane, &plan(&self.v1, "set", "read"), "v1").await;
        self.plane.release(&plan(&self.v2, set, read), "v2").await
    }

    fn weight(&self, name: &str) -> String {
        let path = self.plane.work().join(format!("weight-{name}"));
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_hanging_or_overshooting_command_dial() {
    let outside = Outside::new().await;
    tokio::join!(
        honest(&outside),
        lies(&outside),
        hangs(&outside),
        overshoots(&outside)
    );
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
    let in_stage = |view: &Value| view["phase"] == "stage 1";
    plane.until(&release, LONG, in_stage).await;
    // It was turned, and what it shows is something else: that is no confirmation.
    let turned = esclusa_testkit::wait_until("the set", LONG, async || {
        (outside.weight("lies") == "50").then_some(())
    });
    turned.await.unwrap();
    ask(plane, &release, "promote").await;
    let view = plane.show(&release).await;
    assert_eq!(view["share_confirmed"], false, "{view:#}");
    ask(plane, &release, "abort").await;
    ends(plane, &release, "aborted").await;
    let confirmed = events(plane, &release, "dial_confirmed").await;
    let achieved: Vec<_> = confirmed
        .iter()
        .map(|event| &event["payload"]["achieved"])
        .collect();
    assert!(achieved.iter().all(|share| **share == 0), "{achieved:?}");
    assert_eq!(outside.weight("lies"), "0");
}

async fn hangs(outside: &Outside) {
    let plane = &outside.plane;
    let release = outside.release("hangs", "hang", "read").await;
    let in_stage = |view: &Value| view["phase"] == "stage 1";
    let view = plane.until(&release, LONG, in_stage).await;
    assert_eq!(view["share_confirmed"], false, "{view:#}");
    ask(plane, &release, "abort").await;
    ends(plane, &release, "aborted").await;
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
