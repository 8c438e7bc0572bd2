//! Who met which variant, recorded by a real proxy and read by the command.

use super::esclusa;
use esclusa_testkit::plane::ControlPlane;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

struct Scene {
    plane: ControlPlane,
    flags: String,
}

impl Scene {
    fn new() -> Self {
        let port = esclusa_testkit::ports::free_port().expect("a port");
        let flags = format!("127.0.0.1:{port}");
        let args = ["--flags-listen", &flags, "--proxy-workers", "1"];
        let plane = ControlPlane::start_with(super::world::esclusa(), &args);
        Self { plane, flags }
    }

    /// Half of the units have `mail` on; answers are recorded as `rule` says.
    fn record(&self, rule: &Value) {
        let set = json!({
            "environments": ["production"],
            "flags": { "mail": { "type": "boolean", "environments": { "production": {
                "rules": [{ "share": { "basis-points": 5_000 }, "variant": "on" }] } } } },
            "exposures": { "environments": { "production": rule } },
        });
        let file = self.plane.work().join("flags.json");
        std::fs::write(&file, set.to_string()).expect("written");
        self.does(&["flag", "apply", "flags.json", "--yes", "--reason", "test"]);
    }

    fn does(&self, args: &[&str]) -> String {
        let done = esclusa(&self.plane.work())
            .env("ESCLUSA_DATA", self.plane.data())
            .args(args)
            .output()
            .expect("runs");
        assert!(done.status.success(), "{args:?}: {done:?}");
        String::from_utf8(done.stdout).expect("UTF-8")
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.does(&[args, &["--json"]].concat());
        serde_json::from_str(&said).expect("JSON")
    }

    /// What a client is answered.
    fn ask(&self, unit: &str) -> bool {
        let body = json!({ "context": { "targetingKey": unit } }).to_string();
        let mut stream = TcpStream::connect(&self.flags).expect("connects");
        let head = format!(
            "POST /ofrep/v1/evaluate/flags/mail HTTP/1.1\r\nhost: localhost\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.contains("\"value\":true")
    }

    fn asked(&self, units: std::ops::Range<u32>) -> usize {
        let on = units.filter(|n| self.ask(&format!("user-{n}@example.com")));
        on.count()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let found = esclusa_testkit::wait_until(what, LONG, async || {
            let (_, status) = self.plane.get("/api/v1/flag-set/status").await;
            let exposures = status["exposures"].clone();
            holds(&exposures).then_some(exposures)
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!(
                "{what}: {}",
                self.plane.get("/api/v1/flag-set/status").await.1
            ),
        }
    }
}

fn units(found: &Value, variant: &str) -> u64 {
    let variants = found["variants"].as_array().cloned().unwrap_or_default();
    let one = variants.iter().find(|one| one["variant"] == variant);
    one.map_or(0, |one| one["units"].as_u64().expect("a number"))
}

// BLD-08: recorded by the data plane, switched without a restart, read without a server.
#[tokio::test(flavor = "multi_thread")]
async fn exposures_are_recorded_and_read_with_the_server_dead() {
    let mut scene = Scene::new();
    scene.record(&json!({ "basis-points": 0 }));
    scene.asked(0..5);
    assert_eq!(scene.json(&["flag", "exposures"]), Value::Null, "off");
    assert!(!scene.plane.data().join("proxy/exposures").exists());

    scene.record(&json!({ "basis-points": 10_000 }));
    let on = scene.asked(0..40) as u64;
    assert_eq!(scene.asked(0..40) as u64, on);
    let status = scene.until("written", |e| e["recorded"] == 40).await;
    assert_eq!(status["repeated"], 40, "{status}");
    assert_eq!(
        (&status["dropped"], &status["unwritten"]),
        (&json!(0), &json!(0))
    );
    let said = scene.does(&["flag", "status"]);
    assert!(
        said.contains("exposures (production): 40 recorded, 40 repeated"),
        "{said}"
    );

    scene.plane.kill();
    let found = scene.json(&["flag", "exposures", "--flag", "mail", "--since", "1h"]);
    assert_eq!(
        (units(&found, "on"), units(&found, "off")),
        (on, 40 - on),
        "{found}"
    );
    // The proxy goes on.
    scene.asked(40..50);
    esclusa_testkit::wait_until("written", LONG, async || {
        let found = scene.json(&["flag", "exposures", "--list", "3"]);
        assert_eq!(found["records"].as_array().map(Vec::len), Some(3));
        (units(&found, "on") + units(&found, "off") == 50).then_some(())
    })
    .await
    .expect("recorded without a server");
    let folder = scene.plane.data().join("proxy/exposures");
    let mut text = String::new();
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        text += &std::fs::read_to_string(path).expect("text");
    }
    assert_eq!(text.lines().count(), 50);
    assert!(
        !text.contains("user-") && !text.contains("example"),
        "ids are nowhere"
    );
    let nobody = scene.json(&["flag", "exposures", "--flag", "other"]);
    assert_eq!(nobody["variants"], json!([]));

    scene.plane.restart();
    scene.record(&json!({ "basis-points": 0 }));
    scene.asked(50..60);
    let status = scene.until("off", |e| e["environments"] == json!([])).await;
    assert_eq!(status["recorded"], 50, "{status}");
}

// A disk that takes nothing costs records, not answers, and it is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_told_and_answers_go_on() {
    let scene = Scene::new();
    scene.record(&json!({ "basis-points": 10_000 }));
    let folder = scene.plane.data().join("proxy/exposures");
    std::fs::write(&folder, "in the way").expect("written");
    let on = scene.asked(0..20);
    assert!((1..20).contains(&on));
    let status = scene.until("lost", |e| e["unwritten"] == 20).await;
    assert_eq!(status["recorded"], 0);
    assert!(status["trouble"].is_string(), "{status}");
    let said = scene.does(&["flag", "status"]);
    assert!(said.contains("20 lost (disk): "), "{said}");
    std::fs::remove_file(&folder).expect("removed");
    let mut next = 20;
    esclusa_testkit::wait_until("written", LONG, async || {
        scene.asked(next..next + 1);
        next += 1;
        let (_, status) = scene.plane.get("/api/v1/flag-set/status").await;
        (status["exposures"]["recorded"].as_u64() > Some(0)).then_some(())
    })
    .await
    .expect("written again");
    assert_eq!(scene.until("well", |_| true).await["trouble"], Value::Null);
}
