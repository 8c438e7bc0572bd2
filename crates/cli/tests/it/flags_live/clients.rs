//! Released OpenFeature clients, unmodified, while the control plane dies and comes back.

use super::Scene;
use crate::world::LONG;
use esclusa_testkit::wait_until;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// An application with a client in it; each line in is answered by what it sees.
struct Client {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    async fn start(scene: &Scene, name: &str, more: &str) -> Self {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ofrep/tests/clients");
        let folder = clients.join(name);
        let (program, script) = match name {
            "python" => (folder.join(".venv/bin/python"), "client.py"),
            _ => (PathBuf::from("node"), "client.mjs"),
        };
        let mut child = Command::new(program)
            .arg(folder.join(script))
            .arg(format!("http://127.0.0.1:{}", scene.port))
            .args(["no-token-is-asked-for", more])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts; `cargo xtask setup` brings what it needs");
        let mut client = Self {
            input: child.stdin.take().expect("piped"),
            lines: BufReader::new(child.stdout.take().expect("piped")).lines(),
            _child: child,
        };
        assert_eq!(client.line().await, json!({ "ready": true }), "{name}");
        client
    }

    async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(LONG, self.lines.next_line()).await;
        let line = line.expect("in time").expect("read").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    /// What it sees of the flag now. What it says by itself in between is passed over.
    async fn look(&mut self, context: &Value) -> Value {
        let line = format!("{context}\n");
        let written = self.input.write_all(line.as_bytes()).await;
        written.expect("written");
        loop {
            let mut seen = self.line().await;
            if seen.get("changed").is_none() {
                return seen["exec"].take();
            }
        }
    }
}

/// One after the other, as often as it can.
struct Looking {
    seen: Arc<Mutex<Vec<Value>>>,
    over: Arc<AtomicBool>,
}

impl Looking {
    fn start(mut client: Client, context: Value) -> Self {
        let looking = Self {
            seen: Arc::default(),
            over: Arc::default(),
        };
        let (seen, over) = (Arc::clone(&looking.seen), Arc::clone(&looking.over));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let one = client.look(&context).await;
                seen.lock().expect("unpoisoned").push(one);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        looking
    }

    fn count(&self) -> usize {
        self.seen.lock().expect("unpoisoned").len()
    }

    /// Waits until it has looked so often again, from now on.
    async fn goes_on(&self, more: usize) {
        let now = self.count();
        let waited = wait_until("more answers", LONG, async || {
            (self.count() >= now + more).then_some(())
        });
        waited.await.expect("it answers on");
    }

    /// Waits until the last that was seen is this.
    async fn sees(&self, value: bool) {
        let waited = wait_until("the value", LONG, async || {
            let seen = self.seen.lock().expect("unpoisoned");
            let last = seen.last().map(|one| one["value"].clone());
            (last == Some(json!(value))).then_some(())
        });
        waited.await.expect("it is seen");
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn flags() -> Value {
    json!({
        "environments": ["production"],
        "attributes": { "country": { "type": "string" } },
        "flags": { "exec": {
            "type": "boolean", "browsers": true,
            "environments": { "production": { "rules": [
                { "when": "country == 'es'", "variant": "on" },
            ] } },
        } },
    })
}

// FLAG-02, FLAG-12, EMG-04, BLD-07: nobody's answers depend on the control plane, and what is
// killed while it is dead arrives all the same.
async fn answers_on(name: &str) {
    let mut scene = Scene::start(&flags(), &[]);
    let context = json!({ "targetingKey": "u", "country": "es" });
    let client = Client::start(&scene, name, &context.to_string()).await;
    let looking = Looking::start(client, context);
    looking.sees(true).await;
    looking.goes_on(20).await;

    scene.plane.kill();
    looking.goes_on(50).await;
    looking.sees(true).await;
    tokio::task::block_in_place(|| scene.plane.restart());
    looking.goes_on(50).await;
    looking.sees(true).await;

    scene.plane.kill();
    let (code, said, talk) = scene.run(&["kill", "exec", "--reason", "it hurts"]);
    assert_eq!(code, 0, "{said}\n{talk}");
    assert!(said.contains("off for everybody"), "{said}");
    looking.sees(false).await;
    tokio::task::block_in_place(|| scene.plane.restart());
    looking.goes_on(50).await;
    looking.sees(false).await;
    scene.does(&["flag", "lift", "exec", "--reason", "mended"]);
    looking.sees(true).await;

    let seen = std::mem::take(&mut *looking.seen.lock().expect("unpoisoned"));
    let mut values: Vec<&Value> = Vec::new();
    for one in &seen {
        assert!(one["errorCode"].is_null(), "{name}: {one}");
        assert!(one["variant"].is_string(), "{name}: {one}");
        if values.last() != Some(&&one["value"]) {
            values.push(&one["value"]);
        }
    }
    assert_eq!(values, [true, false, true], "{name}: {} times", seen.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_server_provider_answers_on_while_serve_dies() {
    answers_on("server").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_web_provider_answers_on_while_serve_dies() {
    answers_on("web").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_provider_answers_on_while_serve_dies() {
    answers_on("python").await;
}
