//! Programs of others that messages are sent to; they print what they got, line by line.

use super::world::LONG;
use esclusa_testkit::wait_until;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Where they stand, with what they need.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// One of them, ended with the test.
pub(crate) struct Peer {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    pub(crate) port: u16,
}

impl Peer {
    /// Starts one and waits until it listens.
    pub(crate) async fn start(script: &str, args: &[&str]) -> Self {
        let modules = folder().join("node_modules");
        assert!(
            modules.is_dir(),
            "{} is missing: run `cargo xtask setup`",
            modules.display()
        );
        let mut child = Command::new("node")
            .arg(folder().join(script))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let told = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("a line of JSON");
                told.lock().expect("unpoisoned").push(value);
            }
        });
        let mut peer = Self {
            child,
            lines,
            port: 0,
        };
        let ready = wait_until("a peer", LONG, async || peer.lines().first().cloned()).await;
        let ready = ready.expect("it listens");
        let port = ready["ready"].as_u64().expect("a port");
        peer.port = u16::try_from(port).expect("a port");
        peer
    }

    fn lines(&self) -> Vec<Value> {
        self.lines.lock().expect("unpoisoned").clone()
    }

    /// What it got so far.
    pub(crate) fn got(&self) -> Vec<Value> {
        self.lines().into_iter().skip(1).collect()
    }

    /// Waits until what it got is as wanted; gives that.
    pub(crate) async fn until(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let found = wait_until("a peer's lines", LONG, async || {
            let got = self.got();
            wanted(&got).then_some(got)
        });
        found
            .await
            .unwrap_or_else(|_| panic!("it got {:#?}", self.got()))
    }

    /// Changes how a receiver of webhooks answers.
    pub(crate) async fn answer(&self, mode: &'static str) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let request = http::Request::post("/__mode").body(mode);
        let answer = esclusa_testkit::fetch(address, request.expect("a request")).await;
        assert_eq!(answer.expect("an answer").status, 204);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
