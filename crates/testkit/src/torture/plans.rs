//! The plans and versions of a torture: real folders, real scripts, stages of seconds.

use super::control::Control;
use super::script::{Kind, Script};
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How fast releases go and how much load is on them.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Requests a second on each service.
    pub rate: f64,
    /// People on each service.
    pub users: usize,
    /// Shares in basis points, in order; the last is everybody.
    pub stages: Vec<u32>,
    /// Least watch of each stage.
    pub watch: Duration,
    /// When a release must be over, whatever happens to it.
    pub deadline: Duration,
}

impl Pace {
    /// How long a release takes when nothing happens to it.
    #[must_use]
    pub fn span(&self) -> Duration {
        let stages = u32::try_from(self.stages.len()).unwrap_or(u32::MAX);
        self.watch * stages + Duration::from_secs(2)
    }
}

/// One service behind a port of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shop {
    /// The service's name.
    pub name: String,
    /// Where its users come in.
    pub port: u16,
}

impl Shop {
    /// Where its users come in.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn head(&self, lost_control_ms: u64) -> String {
        let Self { name, port } = self;
        format!(
            "esclusa: 1\nservice: {name}\n\
             route: {{ listen: 127.0.0.1:{port}, lost-control: {{ after: {lost_control_ms}ms, then: return }} }}\n\
             artifact: ./dist/${{version}}\n\
             process:\n  command: [\"${{dir}}/start\", \"${{port}}\"]\n  \
             ready: {{ http: /health, within: 60s }}\n  drain: 5s\n"
        )
    }

    /// A plan for the first version: nothing to compare with.
    #[must_use]
    pub fn first_plan(&self) -> String {
        let head = self.head(120_000);
        format!("{head}stages: [ {{ to: 100%, watch: 1s }} ]\n")
    }

    /// A plan for `version`, whose end in either direction waits for a [`Gate`].
    #[must_use]
    pub fn plan(&self, gates: &Gates, script: &Script, pace: &Pace) -> String {
        let mut text = self.head(script.lost_control_ms);
        let latency = if matches!(script.kind, Kind::Slow) {
            "{ p50: { worse-by: 50% }, p95: off, p99: off }"
        } else {
            // The machine of a test is no place for comparing milliseconds.
            "{ p50: off, p95: off, p99: off }"
        };
        let waits = |gate: &str| format!("while [ ! -e {gate} ]; do sleep 0.1; done");
        let (undo, after) = (waits(&gates.undo), waits(&gates.after));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "hold: {{ for: 1m, then: rollback }}\nkeep-warm: {{ for: 30m }}\n\
             judge:\n  floor: {{ min-requests: 1 }}\n  bake: {{ min-requests: 1 }}\n  \
             warm-up: {{ arm-s: 1, max-s: 2 }}\n  latency: {latency}\n\
             before: [ {{ name: gate, command: 'true', undo: {{ command: '{undo}', timeout: 10m }} }} ]\n\
             after: [ {{ name: gate, command: '{after}', undo: none, timeout: 10m }} ]\nstages:\n"
        );
        let watch = pace.watch.as_millis();
        for (index, share) in pace.stages.iter().enumerate() {
            let percent = f64::from(*share) / 100.0;
            let word = if index + 1 == pace.stages.len() {
                "watch"
            } else {
                "for"
            };
            let _ = writeln!(text, "- {{ to: {percent}%, {word}: {watch}ms }}");
        }
        text
    }
}

/// The files that a release's last steps wait for: users are served until the books can
/// be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    undo: String,
    after: String,
}

impl Gates {
    /// The gates of this version.
    #[must_use]
    pub fn of(version: &str) -> Self {
        Self {
            undo: format!("gates/{version}-undo"),
            after: format!("gates/{version}-after"),
        }
    }

    /// Lets the release be promoted.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open_after(&self, work: &Path) -> io::Result<()> {
        open(&work.join(&self.after))
    }

    /// Lets its return be finished.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open_undo(&self, work: &Path) -> io::Result<()> {
        open(&work.join(&self.undo))
    }
}

fn open(gate: &Path) -> io::Result<()> {
    if let Some(folder) = gate.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(gate, "")
}

/// Writes a version: a folder with a `start` script that becomes the demo app.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_version(
    control: &Control,
    app: &Path,
    name: &str,
    kind: Kind,
) -> io::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = control.work().join("dist").join(name);
    std::fs::create_dir_all(&folder)?;
    let app = app.display();
    let run =
        |more: &str| format!("exec {app} --port \"$1\" --version-name {name} --latency 4ms {more}");
    let line = match kind {
        Kind::Good => run(""),
        Kind::Failing { rate, after_ms } => run(&format!(
            "--behaviour failing --fail-rate {rate} --fail-after {after_ms}ms"
        )),
        Kind::Slow => run("--behaviour slow --slow-factor 20"),
        Kind::NeverStarts => format!("echo {name} cannot start >&2; exit 7"),
    };
    let path = folder.join("start");
    std::fs::write(&path, format!("#!/bin/sh\n{line}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}
