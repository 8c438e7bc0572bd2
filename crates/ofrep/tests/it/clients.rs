//! Released OpenFeature clients, unmodified: each reads all flags and sees a kill and a change.

use crate::world::{LONG, World, document, flags, start, table, token};
use esclusa_wire::FlagTokenKind;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

/// A program with a client in it.
struct Client {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    async fn start(world: &World, name: &str, more: &[&str]) -> Self {
        let folder = folder(name);
        let (program, script, needed) = match name {
            "python" => (
                folder.join(".venv/bin/python"),
                "client.py",
                ".venv/installed.txt",
            ),
            _ => (PathBuf::from("node"), "client.mjs", "node_modules"),
        };
        let needed = folder.join(needed);
        assert!(
            needed.exists(),
            "{} is missing: run `cargo xtask setup`",
            needed.display()
        );
        let mut child = Command::new(program)
            .arg(folder.join(script))
            .arg(format!("http://{}", world.address))
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
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

    async fn look(&mut self, context: &Value) -> Value {
        let line = format!("{context}\n");
        self.input
            .write_all(line.as_bytes())
            .await
            .expect("written");
        self.line().await
    }
}

fn world() -> World {
    start(&document(
        1,
        flags(),
        vec![
            token("server", FlagTokenKind::Server, "production"),
            token("browser", FlagTokenKind::Client, "production"),
        ],
    ))
}

fn kill(world: &World, killed: bool, flag: &str) {
    let mut kills = world.shared.table().kills().clone();
    match killed {
        true => kills.kill(Some(flag)),
        false => kills.lift(Some(flag)),
    }
    world.shared.merge_kills(&kills);
}

/// What a server's client sees, whatever its language. FLAG-12
async fn sees_all(name: &str) {
    let world = world();
    let mut client = Client::start(&world, name, &["secret-of-server"]).await;
    let spain = json!({ "targetingKey": "u", "country": "es" });
    let seen = client.look(&spain).await;
    for (flag, value) in [
        ("exec", json!(true)),
        ("ten", json!(10)),
        ("tenth", json!(10.0)),
        ("word", json!("h\"i")),
        ("thing", json!({ "b": [1, 2.5, null] })),
        // Explicitly off: the client's own default would be on.
        ("unused", json!(false)),
        ("odd", json!(true)),
    ] {
        let of = &seen[flag];
        assert_eq!(of["value"].as_f64(), value.as_f64(), "{name} {flag} {of}");
        if !value.is_number() {
            assert_eq!(of["value"], value, "{name} {flag} {of}");
        }
        assert!(of["errorCode"].is_null(), "{name} {flag} {of}");
        assert!(of["variant"].is_string(), "{name} {flag} {of}");
    }
    assert_eq!(seen["exec"]["reason"], "TARGETING_MATCH");
    assert_eq!(seen["unused"]["reason"], "DISABLED");
    assert_eq!(seen["missing"]["errorCode"], "FLAG_NOT_FOUND", "{name}");
    assert_eq!(client.look(&json!({})).await["exec"]["value"], false);
    // A toggle, and back.
    kill(&world, true, "exec");
    let killed = client.look(&spain).await;
    assert_eq!(killed["exec"]["value"], false, "{name}");
    assert_eq!(killed["exec"]["reason"], "DISABLED", "{name}");
    kill(&world, false, "exec");
    assert_eq!(client.look(&spain).await["exec"]["value"], true, "{name}");
}

#[tokio::test]
async fn the_node_server_provider_sees_a_toggle() {
    sees_all("server").await;
}

#[tokio::test]
async fn the_python_provider_sees_a_toggle() {
    sees_all("python").await;
}

// BLD-07: the web provider does not poll; the event stream alone tells it.
#[tokio::test]
async fn the_web_provider_is_told_of_a_toggle() {
    let world = world();
    let context = json!({ "targetingKey": "u", "country": "es" });
    let more = ["secret-of-browser", &context.to_string()];
    let mut client = Client::start(&world, "web", &more).await;
    let seen = client.look(&json!({})).await;
    assert_eq!(seen["exec"]["value"], true, "{seen}");
    assert_eq!(seen["ten"]["errorCode"], "FLAG_NOT_FOUND", "{seen}");
    let open = async {
        while world.shared.hub().count() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, open)
        .await
        .expect("it opens its stream");
    kill(&world, true, "exec");
    let told = client.line().await;
    assert_eq!(told["changed"]["exec"]["value"], false, "{told}");
    assert_eq!(told["changed"]["exec"]["reason"], "DISABLED", "{told}");
    // A new document, with another default.
    let mut changed = flags();
    changed["revision"] = json!(2);
    changed["flags"]["plain"]["default"] = json!("off");
    let tokens = vec![token("browser", FlagTokenKind::Client, "production")];
    world.shared.publish(table(&document(2, changed, tokens)));
    let told = client.line().await;
    assert_eq!(told["changed"]["plain"]["value"], false, "{told}");
    let streams = world.shared.status(Vec::new()).streams;
    assert_eq!(streams.len(), 1);
    assert!(streams[0].who.starts_with("browser"), "{streams:?}");
    assert_eq!(streams[0].told, (2, 1));
    // Node's fetch and its EventSource call themselves alike, so that both are one client.
    assert_eq!(streams[0].fetched, Some((2, 1)), "{streams:?}");
}
