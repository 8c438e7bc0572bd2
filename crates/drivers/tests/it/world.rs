//! What the tests share: a service in Python, its instances, bounded waiting.

use crate::subject;
pub(crate) use crate::subject::{PATIENCE, app, named_spec};
use esclusa_drivers::run::{Drain, InstanceAddress, InstanceSpec, RunDriver, Running};
use esclusa_model::Millis;
use esclusa_shim::{ShimCommand, procfs};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A service that says what it was given.
const APP: &str = r#"
import http.server, os, sys
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = {"/health": "HEALTHY", "/sick": "UNHEALTHY",
                "/env": "\n".join(f"{k}={v}" for k, v in sorted(os.environ.items())),
                "/json": '{"status":"ok","checks":{"db":"down"}}',
                "/track": open(os.environ.get("ESCLUSA_TRACK_FILE", "/dev/null")).read()}.get(self.path)
        if self.path == "/moved":
            self.send_response(302); self.send_header("location", "/health"); self.end_headers(); return
        self.send_response(200 if said is not None else 404)
        self.send_header("x-version", os.environ.get("ESCLUSA_VERSION", ""))
        self.end_headers()
        self.wfile.write((said or "").encode())
    def log_message(self, *a):
        print("asked for", self.path, flush=True)
print("starting", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
"#;

pub(crate) struct World {
    pub(crate) root: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            root: tempfile::tempdir().expect("folder"),
        };
        fs::create_dir_all(world.path("dist/1.0")).expect("folder");
        fs::write(world.path("dist/1.0/app.py"), APP).expect("writes");
        world
    }

    pub(crate) fn path(&self, inside: &str) -> std::path::PathBuf {
        self.root.path().join(inside)
    }

    pub(crate) async fn prepared(&self, config: Value) -> InstanceSpec {
        spec(self.root.path(), config).await
    }
}

/// The block that runs a shell script as it is.
pub(crate) fn shell(script: &str) -> Value {
    json!({"command": ["/bin/sh", "-c", script], "drain": 5_000})
}

pub(crate) fn process() -> Arc<dyn RunDriver> {
    named("process")
}

pub(crate) fn shim() -> ShimCommand {
    ShimCommand {
        program: env!("CARGO_BIN_EXE_esclusa-drivers-harness").into(),
        args: vec!["shim".into()],
    }
}

pub(crate) fn named(name: &str) -> Arc<dyn RunDriver> {
    subject::driver_called(name, shim())
}

/// The first instance of version 1.0, its artifact kept.
pub(crate) async fn spec(root: &Path, config: Value) -> InstanceSpec {
    subject::spec(&process(), root, config).await
}

pub(crate) fn instance_file(spec: &InstanceSpec, name: &str) -> std::path::PathBuf {
    let folder = spec.data_dir.join("instances/shop/web/web-1");
    folder.join(name)
}

/// GET over a plain socket, so that no client under test vouches for itself.
pub(crate) fn get(running: &Running, path: &str) -> String {
    let address: &InstanceAddress = running.address.as_ref().expect("a web component");
    let mut stream = TcpStream::connect(&address.host_port).expect("connects");
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    answer
}

pub(crate) async fn stop(driver: &dyn RunDriver, spec: &InstanceSpec) {
    driver
        .stop(spec, Drain::Within(Millis(2_000)))
        .await
        .expect("stops");
}

pub(crate) fn is_alive(pid: i32) -> bool {
    procfs::process(pid).is_some_and(|p| p.is_alive())
}

/// Looks again until there is a value, for at most thirty seconds.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE.as_std();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < give_up, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

pub(crate) fn kill(pid: &str) {
    let killed = std::process::Command::new("kill")
        .args(["-9", "--", pid])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
}
