//! Against a real server with a real proxy, both of this binary.

use super::{esclusa, run, told};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

/// A server that is ended with its proxy.
struct Server {
    dir: tempfile::TempDir,
    child: Child,
    /// What it printed until it was ready.
    lines: Vec<String>,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let log = std::fs::File::create(dir.path().join("serve.log")).expect("a log");
        let child = esclusa(dir.path())
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--proxy-workers",
                "1",
                "--flags-listen",
                "off",
            ])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("starts");
        // Whole from here on, so that it is ended also when it does not become ready.
        let mut server = Self {
            dir,
            child,
            lines: Vec::new(),
        };
        let out = BufReader::new(server.child.stdout.take().expect("piped"));
        for line in out.lines() {
            let line = line.expect("text");
            let ready = line.starts_with("ready ");
            server.lines.push(line);
            if ready {
                return server;
            }
        }
        let log = std::fs::read_to_string(server.path().join("serve.log")).unwrap_or_default();
        panic!("it did not become ready: {:?}\n{log}", server.lines);
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn url(&self) -> String {
        let ready = self.lines.last().expect("ready");
        ready.split(' ').nth(1).expect("a URL").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of the test: what cannot be ended is left to the test's sandbox.
        let _ = self.child.kill();
        let _ = self.child.wait();
        esclusa_testkit::plane::stop_shims(&self.dir.path().join("data/instances"));
    }
}

fn json(dir: &Path, args: &[&str]) -> Value {
    let (code, data, talk) = run(dir, args);
    assert_eq!(code, 0, "{args:?}: {talk}");
    serde_json::from_str(&data).unwrap_or_else(|_| panic!("JSON, not {data}"))
}

#[test]
fn tokens_are_made_used_and_taken_away() {
    let server = Server::start(&[]);
    let admin = server.lines[0]
        .rsplit(' ')
        .next()
        .expect("a token")
        .to_owned();
    assert!(admin.starts_with("esclusa_admin_"), "{:?}", server.lines);

    let made = [
        "token", "create", "ci", "--role", "viewer", "--role", "security",
    ];
    let (code, token, talk) = run(server.path(), &made);
    assert_eq!(code, 0, "{talk}");
    let url = server.url();
    let remote = |token: &str, args: &[&str]| {
        let mut command = esclusa(server.path());
        command
            .args(["--server", &url])
            .args(args)
            .env("ESCLUSA_TOKEN", token);
        told(&command.output().expect("runs"))
    };
    let (code, data, talk) = remote(token.trim(), &["release", "history", "--json"]);
    assert_eq!((code, data.trim()), (0, "[]"), "{talk}");
    let (code, _, talk) = remote(token.trim(), &["token", "list"]);
    assert_eq!(code, 2);
    assert!(talk.contains("ESC-0403"), "{talk}");
    let (code, _, talk) = remote("esclusa_nobody_0", &["release", "history"]);
    assert_eq!(code, 2);
    assert!(talk.contains("ESC-0401"), "{talk}");

    let (code, data, _) = remote(&admin, &["token", "list"]);
    assert_eq!(code, 0);
    assert!(
        data.contains("security,viewer") && !data.contains("esclusa_ci"),
        "{data}"
    );
    assert_eq!(run(server.path(), &["token", "revoke", "ci"]).0, 0);
    let (code, _, talk) = remote(token.trim(), &["release", "history"]);
    assert!(code == 2 && talk.contains("ESC-0401"), "{talk}");
}

const PLAN: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:0 }
address: { url: 'http://127.0.0.1:9/${version}' }
requires:
  - sign-off: { roles: [security], within: 1h }
stages:
  - { to: 5%, for: 10m }
  - { to: 100%, watch: 20m }
";

#[test]
fn a_release_is_started_looked_at_and_aborted() {
    let server = Server::start(&["--dev"]);
    assert!(
        server.lines.len() == 1,
        "no token in development: {:?}",
        server.lines
    );
    let dir = server.path();
    std::fs::write(dir.join("esclusa.yaml"), PLAN).expect("written");

    let (code, _, talk) = run(dir, &["release", "status"]);
    assert!(code == 2 && talk.contains("ESC-0503"), "{talk}");
    let started = json(dir, &["release", "start", "--version", "2.4.1", "--json"]);
    let id = started["release"].as_str().expect("an id").to_owned();
    let (code, _, talk) = run(dir, &["release", "start", "--version", "2.4.2"]);
    assert!(code == 6 && talk.contains("ESC-0301"), "{talk}");

    let status = json(dir, &["release", "status", "--json"]);
    assert_eq!(
        (&status["release"], &status["service"]),
        (&id.clone().into(), &"shop".into())
    );
    let (code, data, _) = run(dir, &["release", "status"]);
    assert!(code == 0 && data.contains("shop 2.4.1"), "{data}");
    // Its own deadline passes: held, and the release goes on.
    let (code, _, talk) = run(dir, &["release", "watch", "--timeout", "300ms"]);
    assert_eq!(code, 4, "{talk}");
    let (code, _, talk) = run(dir, &["release", "can-return"]);
    assert_eq!(code, 6, "{talk}");

    // CHK-14: what people ask is recorded with what they say.
    let pause = ["release", "pause", &id, "--reason", "lunch"];
    assert_eq!(run(dir, &pause).0, 0);
    let status = json(dir, &["release", "status", "--json"]);
    assert_eq!(status["paused_because"], "lunch", "{status:#}");
    let (_, data, _) = run(dir, &["release", "status"]);
    assert!(data.contains("(lunch)"), "{data}");
    let resume = ["release", "resume", &id, "--reason", "back again"];
    assert_eq!(run(dir, &resume).0, 0);
    let status = json(dir, &["release", "status", "--json"]);
    assert_eq!(status["paused_because"], Value::Null, "{status:#}");
    let (_, data, _) = run(dir, &["release", "report", &id]);
    assert!(
        data.contains("lunch") && data.contains("back again"),
        "{data}"
    );

    let abort = ["release", "abort", &id, "--reason", "not today"];
    let (code, _, talk) = run(dir, &abort);
    assert_eq!(code, 0, "{talk}");
    // Ended before anybody was exposed, by a person.
    let (code, data, talk) = run(dir, &["release", "watch", &id, "--timeout", "30s"]);
    assert!([5, 6].contains(&code), "{code} {data} {talk}");
    assert!(data.contains("not today"), "{data}");
    let report = json(dir, &["release", "report", &id, "--json"]);
    assert_eq!(report["verdict"], "rollback");
    let (code, data, _) = run(dir, &["release", "report", &id]);
    assert!(code == 0 && data.starts_with("# shop 2.4.1: "), "{data}");
    let history = json(dir, &["release", "history", "--json"]);
    assert_eq!(history.as_array().map(Vec::len), Some(1));
    assert_eq!(json(dir, &["audit", "verify", "--json"])["intact"], true);
}

#[test]
fn a_refused_plan_exits_6_with_its_findings() {
    let server = Server::start(&["--dev"]);
    let dir = server.path();
    std::fs::write(dir.join("bad.yaml"), PLAN.replace("5%", "5")).expect("written");
    let start = ["release", "start", "--version", "1", "--plan", "bad.yaml"];
    let (code, _, talk) = run(dir, &start);
    assert_eq!(code, 6, "{talk}");
    assert!(
        talk.contains("bad.yaml:9:") && talk.contains("ESC-0100"),
        "{talk}"
    );
}
