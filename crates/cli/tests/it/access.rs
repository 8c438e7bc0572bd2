//! Who gets in, by what, and for how long: the real server with tokens, a browser's
//! cookies, and links.

use super::{esclusa, run, told};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server that asks for tokens, ended with its proxy.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    child: Option<Child>,
    pub(crate) url: String,
    admin: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut server = Self {
            dir: tempfile::tempdir().expect("a folder"),
            child: None,
            url: String::new(),
            admin: String::new(),
        };
        server.spawn();
        server
    }

    /// Under a umask that would let everybody in.
    fn spawn(&mut self) {
        let program = env!("CARGO_BIN_EXE_esclusa");
        let line = format!("umask 0; exec {program} serve --listen 127.0.0.1:0 --proxy-workers 1");
        let log = self.dir.path().join("serve.log");
        let log = std::fs::File::options().create(true).append(true).open(log);
        let mut command = esclusa(self.dir.path());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &line]).current_dir(self.dir.path());
        shell.env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        command = shell;
        let child = command
            .stdout(Stdio::piped())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("starts");
        let child = self.child.insert(child);
        let out = BufReader::new(child.stdout.take().expect("piped"));
        for line in out.lines() {
            let line = line.expect("text");
            if let Some((_, token)) = line.split_once("admin token, shown this once: ") {
                self.admin = token.to_owned();
            }
            if let Some(rest) = line.strip_prefix("ready ") {
                self.url = rest.split(' ').next().expect("a URL").to_owned();
                return;
            }
        }
        let log = std::fs::read_to_string(self.path().join("serve.log")).unwrap_or_default();
        panic!("it did not become ready\n{log}");
    }

    /// Ends it as a crash does.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn token(&self, args: &[&str]) -> String {
        let (code, token, talk) = run(self.path(), &[&["token", "create"], args].concat());
        assert_eq!(code, 0, "{talk}");
        token.trim().to_owned()
    }

    /// The command with a token, over TCP.
    pub(crate) fn remote(&self, token: &str, args: &[&str]) -> (i32, String, String) {
        let mut command = esclusa(self.path());
        command
            .args(["--server", &self.url])
            .args(args)
            .env("ESCLUSA_TOKEN", token);
        told(&command.output().expect("runs"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The end of the test: what cannot be ended is left to the test's sandbox.
            let _ = child.kill();
            let _ = child.wait();
        }
        esclusa_testkit::plane::stop_shims(&self.dir.path().join("data/instances"));
    }
}

/// A browser: it keeps what it was given, and sends it along.
struct Browser {
    http: reqwest::Client,
    cookie: String,
    csrf: String,
}

impl Browser {
    async fn login(server: &Server, token: &str) -> Self {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("a client");
        let answer = http
            .post(format!("{}/api/v1/login", server.url))
            .json(&json!({ "token": token }))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let cookie = answer.headers()["set-cookie"].to_str().expect("text");
        assert!(
            cookie.contains("; HttpOnly; SameSite=Strict; Path=/;"),
            "{cookie}"
        );
        let cookie = cookie.split(';').next().expect("a value").to_owned();
        let me: Value = answer.json().await.expect("JSON");
        Self {
            http,
            cookie,
            csrf: me["csrf"].as_str().expect("a mark").to_owned(),
        }
    }

    async fn get(&self, server: &Server, path: &str) -> (u16, Value) {
        let asked = self.http.get(format!("{}{path}", server.url));
        let answer = asked.header("cookie", &self.cookie).send().await;
        Self::read(answer.expect("an answer")).await
    }

    async fn post(&self, server: &Server, path: &str, csrf: &str, body: &Value) -> (u16, Value) {
        let asked = self.http.post(format!("{}{path}", server.url));
        let asked = asked.header("cookie", &self.cookie).json(body);
        let answer = asked.header("x-esclusa-csrf", csrf).send().await;
        Self::read(answer.expect("an answer")).await
    }

    async fn read(answer: reqwest::Response) -> (u16, Value) {
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }
}

const PLAN: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:0 }
address: { url: 'http://127.0.0.1:9/${version}' }
requires:
  - sign-off:
      roles: [security, dba]
      within: 1h
      not-by-author: true
      items: [the restore was rehearsed]
stages:
  - { to: 5%, for: 10m }
  - { to: 100%, watch: 20m }
";

// SEC-15, CHK-10, CHK-12, PIP-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_log_in_sign_off_and_take_back() {
    let mut server = Server::start();
    assert!(server.admin.starts_with("esclusa_admin_"));
    let author = server.token(&[
        "ana-ci", "--role", "operator", "--role", "security", "--person", "ana",
    ]);
    let viewer = server.token(&["eve", "--role", "viewer"]);
    let approver = server.token(&[
        "ben",
        "--role",
        "approver",
        "--role",
        "security",
        "--expires",
        "30d",
    ]);
    std::fs::write(server.path().join("esclusa.yaml"), PLAN).expect("written");
    let start = ["release", "start", "--version", "2.4.1", "--json"];
    let (code, started, talk) = server.remote(&author, &start);
    assert_eq!(code, 0, "{talk}");
    let started: Value = serde_json::from_str(&started).expect("JSON");
    let id = started["release"].as_str().expect("an id").to_owned();
    let at = |rest: &str| format!("/api/v1/releases/{id}{rest}");

    // A viewer sees and moves nothing, by token and by cookie.
    let eve = Browser::login(&server, &viewer).await;
    assert_eq!(eve.get(&server, &at("")).await.0, 200);
    let (status, body) = eve
        .post(&server, &at("/promote"), &eve.csrf, &json!({}))
        .await;
    assert_eq!(
        (status, &body["code"]),
        (403, &json!("ESC-0403")),
        "{body:#}"
    );

    // Without what the page knows, nothing.
    let ben = Browser::login(&server, &approver).await;
    let signs = json!({
        "role": "security", "comment": "seen",
        "items": [{ "item": "the restore was rehearsed", "done": true }]
    });
    let (status, body) = ben
        .post(&server, &at("/sign-offs"), &eve.csrf, &signs)
        .await;
    assert_eq!(
        (status, &body["code"]),
        (403, &json!("ESC-0430")),
        "{body:#}"
    );

    // The author does not agree to it, and nobody without the checklist.
    let sign = ["release", "sign-off", &id, "--role", "security"];
    let (code, _, talk) = server.remote(&author, &[&sign[..], &["--all-items"]].concat());
    assert!(code != 0 && talk.contains("ESC-0432"), "{code} {talk}");
    let (code, _, talk) = server.remote(&approver, &sign);
    assert!(
        code != 0 && talk.contains("the restore was rehearsed"),
        "{code} {talk}"
    );
    let (_, shown, _) = server.remote(&viewer, &["release", "status", &id]);
    assert!(
        shown.contains("[ ] 1. the restore was rehearsed"),
        "{shown}"
    );
    assert!(shown.contains("not by ana-ci"), "{shown}");
    let (status, body) = ben
        .post(&server, &at("/sign-offs"), &ben.csrf, &signs)
        .await;
    assert_eq!(status, 200, "{body:#}");

    // A session outlives a crash of the server.
    server.kill();
    server.spawn();
    let (status, view) = ben.get(&server, &at("")).await;
    assert_eq!(status, 200);
    assert_eq!(view["missing_sign_offs"], json!(["dba"]), "{view:#}");
    assert_eq!(view["sign_offs"][0]["by"], "ben", "{view:#}");
    let (status, body) = ben
        .post(&server, &at("/promote"), &ben.csrf, &json!({}))
        .await;
    assert_eq!(status, 403, "{body:#}");

    // And not its token.
    assert_eq!(run(server.path(), &["token", "revoke", "ben"]).0, 0);
    assert_eq!(ben.get(&server, "/api/v1/me").await.0, 401);
    let (_, listed, _) = run(server.path(), &["token", "list"]);
    assert!(
        listed.contains("LAST USED") && listed.contains("ana"),
        "{listed}"
    );

    a_link_works_once(&server, &author, &id).await;
}

/// By link, whoever has no token: once, also after a crash.
async fn a_link_works_once(server: &Server, author: &str, id: &str) {
    let link = [
        "release", "link", "abort", id, "--for", "on-call", "--valid", "2h",
    ];
    let (code, url, talk) = server.remote(author, &link);
    assert_eq!(code, 0, "{talk}");
    assert!(talk.contains("link.on-call"), "{talk}");
    let url = url.trim();
    assert!(url.starts_with(&format!("{}/l/", server.url)), "{url}");
    let nobody = reqwest::Client::builder().no_proxy().build();
    let nobody = nobody.expect("a client");
    let page = nobody.get(url).send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    let page = page.text().await.expect("a page");
    assert!(
        page.contains("2.4.1") && page.contains("link.on-call"),
        "{page}"
    );
    let forged = format!("{url}0");
    for (address, status) in [(forged.as_str(), 403), (url, 200), (url, 410)] {
        let used = nobody.post(address).body("reason=too+slow").send().await;
        assert_eq!(used.expect("an answer").status(), status);
    }
    let (code, _, talk) = run(server.path(), &["release", "watch", id, "--timeout", "60s"]);
    assert!([5, 6].contains(&code), "{code} {talk}");
    let (_, report, _) = run(server.path(), &["release", "report", id]);
    for said in [
        "link.on-call",
        "by a link that ana-ci gave to on-call: too slow",
    ] {
        let plain = report.replace('\\', "");
        assert!(plain.contains(said), "{report}");
    }
}

// SEC-15: the socket is its owner's, whatever the umask.
#[test]
fn nobody_else_opens_the_socket() {
    let server = Server::start();
    let (data, socket) = (
        server.path().join("data"),
        server.path().join("data/esclusa.sock"),
    );
    let mode = |path: &Path| {
        let found = std::fs::symlink_metadata(path).expect("there");
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode(&data), mode(&socket)), (0o700, 0o600));
    assert!(!data.join(".door").exists());

    // What another user is told, the way in as open as its owner could make it.
    let program = server.path().join("esclusa");
    let linked = std::fs::hard_link(env!("CARGO_BIN_EXE_esclusa"), &program);
    if linked.is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_esclusa"), &program).expect("copied");
    }
    let open = |path: &Path, mode: u32| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("allowed");
    };
    open(server.path(), 0o755);
    let nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(args)
            .arg("--data")
            .arg(&data)
            .current_dir("/")
            .env_clear();
        command.output()
    };
    match nobody(&["--version"]) {
        Ok(output) if output.status.success() => {}
        refused => {
            eprintln!("skipped: another user cannot be tried here ({refused:?})");
            return;
        }
    }
    for folder in [0o700, 0o755] {
        open(&data, folder);
        let output = nobody(&["token", "list"]).expect("runs");
        let (code, _, talk) = told(&output);
        assert!(
            code != 0 && talk.contains("ESC-0501"),
            "{folder:o}: {code} {talk}"
        );
        assert!(talk.to_lowercase().contains("permission denied"), "{talk}");
    }
    // It would be let in if it could open it.
    open(&socket, 0o666);
    let output = nobody(&["token", "list"]).expect("runs");
    assert_eq!(told(&output).0, 0, "the test would notice");
    open(&socket, 0o600);
}
