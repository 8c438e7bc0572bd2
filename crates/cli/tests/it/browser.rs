//! A real browser, spoken to line by line (`tests/browser/driver.mjs`).

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Where the driver stands, with what it needs.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// A browser with one window, ended with the test.
pub(crate) struct Browser {
    child: Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let modules = folder().join("node_modules");
        assert!(
            modules.is_dir(),
            "{} is missing: run `cargo xtask setup`",
            modules.display()
        );
        let profile = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("node")
            .arg(folder().join("driver.mjs"))
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut browser = Self {
            child,
            to,
            from,
            _profile: profile,
        };
        assert_eq!(browser.answer(), "ready");
        browser
    }

    fn answer(&mut self) -> Value {
        let line = self.from.next().expect("the driver lives").expect("text");
        let mut answer: Value = serde_json::from_str(&line).expect("a line of JSON");
        assert!(
            answer["error"].is_null(),
            "{}",
            answer["error"].as_str().unwrap_or_default()
        );
        answer["ok"].take()
    }

    fn tell(&mut self, command: &str, mut rest: Value) -> Value {
        rest["command"] = json!(command);
        let to = self.to.as_mut().expect("piped");
        writeln!(to, "{rest}").expect("the driver lives");
        self.answer()
    }

    pub(crate) fn open(&mut self, url: &str) -> Value {
        self.tell("open", json!({ "url": url }))
    }

    pub(crate) fn reload(&mut self) {
        self.tell("reload", json!({}));
    }

    pub(crate) fn content(&mut self, html: &str) {
        self.tell("content", json!({ "html": html }));
    }

    pub(crate) fn click(&mut self, at: &str) {
        self.tell("click", json!({ "at": at }));
    }

    pub(crate) fn fill(&mut self, at: &str, text: &str) {
        self.tell("fill", json!({ "at": at, "text": text }));
    }

    pub(crate) fn choose(&mut self, at: &str, value: &str) {
        self.tell("choose", json!({ "at": at, "value": value }));
    }

    pub(crate) fn press(&mut self, keys: &[&str]) {
        self.tell("press", json!({ "keys": keys }));
    }

    /// Waits until something is in sight; gives for how many milliseconds.
    pub(crate) fn wait(&mut self, at: &str) -> u64 {
        let found = self.tell("wait", json!({ "at": at }));
        found["ms"].as_u64().expect("a time")
    }

    pub(crate) fn gone(&mut self, at: &str) {
        self.tell("gone", json!({ "at": at }));
    }

    pub(crate) fn count(&mut self, at: &str) -> u64 {
        let found = self.tell("count", json!({ "at": at }));
        found.as_u64().expect("a number")
    }

    pub(crate) fn text(&mut self, at: &str) -> String {
        let found = self.tell("text", json!({ "at": at }));
        found.as_str().expect("text").to_owned()
    }

    pub(crate) fn attribute(&mut self, at: &str, name: &str) -> Option<String> {
        let found = self.tell("attribute", json!({ "at": at, "name": name }));
        found.as_str().map(str::to_owned)
    }

    pub(crate) fn is_disabled(&mut self, at: &str) -> bool {
        self.tell("disabled", json!({ "at": at })) == json!(true)
    }

    /// Runs a script in the page; gives what came of it.
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        self.tell("evaluate", json!({ "script": script }))
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        self.tell("size", json!({ "width": width, "height": height }));
    }

    /// What the system wishes, such as `{"colorScheme": "dark"}`.
    pub(crate) fn media(&mut self, media: Value) {
        self.tell("media", media);
    }

    pub(crate) fn shot(&mut self, path: &Path, whole: bool) {
        self.tell("shot", json!({ "path": path, "whole": whole }));
    }

    /// What axe finds that is serious or critical.
    pub(crate) fn axe(&mut self) -> Vec<Value> {
        let found = self.tell("axe", json!({}));
        found.as_array().cloned().unwrap_or_default()
    }

    /// Nobody is shut out of the page as it is now, in either theme.
    pub(crate) fn is_for_everybody(&mut self, what: &str) {
        for scheme in ["light", "dark"] {
            self.media(json!({ "colorScheme": scheme }));
            let found = self.axe();
            assert!(found.is_empty(), "{what}, {scheme}: {found:#?}");
        }
        self.media(json!({ "colorScheme": "light" }));
    }

    /// Nothing was asked of anybody but `origin`, and the browser had nothing to complain
    /// about, such as something that the page's policy forbids. `expected` is a part of
    /// complaints that the test itself brought about.
    pub(crate) fn kept_to(&mut self, origin: &str, expected: &[&str]) {
        let asked = self.tell("asked", json!({}));
        let asked = asked.as_array().cloned().unwrap_or_default();
        assert!(!asked.is_empty(), "the test would notice");
        for url in asked.iter().filter_map(Value::as_str) {
            let own = url.strip_prefix(origin);
            assert!(
                own.is_some_and(|path| path.starts_with('/')),
                "asked of somebody else: {url}"
            );
        }
        let complaints = self.tell("complaints", json!({}));
        let complaints = complaints.as_array().cloned().unwrap_or_default();
        let left: Vec<&str> = complaints
            .iter()
            .filter_map(Value::as_str)
            .filter(|said| !expected.iter().any(|part| said.contains(part)))
            .collect();
        assert!(left.is_empty(), "{left:#?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its input ends the driver, which ends the browser; else by force.
        self.to = None;
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
