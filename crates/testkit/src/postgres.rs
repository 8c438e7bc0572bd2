//! A real PostgreSQL for one test: a cluster of its own in a folder that goes away.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without its subject has nothing to go on with"
)]

use crate::{TempDir, ports, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, chown, geteuid};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Debian keeps the programs, in a folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Longest wait for a server that starts.
const READY: Duration = Duration::from_secs(60);

/// A running server with the user `app`, who may do everything, and the database `postgres`.
/// Dropping it ends it.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    /// Root must not run it.
    user: Option<(Uid, Gid)>,
    port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Postgres {
    /// Starts one that is reached through a socket in its folder alone.
    ///
    /// # Panics
    /// When there is none: `cargo xtask setup` installs it.
    pub async fn start() -> Self {
        Self::start_with(|_| vec!["listen_addresses=".into()]).await
    }

    /// Starts one with these settings, which may speak of files that `prepare` puts into the
    /// folder. Its port is free on this machine's loopback.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let mut all = Self {
            folder: TempDir::new("esclusa-pg").expect("a temporary folder"),
            programs: programs(),
            user: geteuid().is_root().then(somebody_else),
            port: ports::free_port().expect("a port"),
            settings: Vec::new(),
            child: None,
        };
        all.settings = prepare(all.folder.path());
        all.hand_over();
        let data = all.folder.join("data");
        let made = all
            .command("initdb")
            .arg("--pgdata")
            .arg(&data)
            .args(["--username=app", "--auth=trust", "--no-sync", "--locale=C"])
            .args(["--encoding=UTF8"])
            .output()
            .expect("initdb runs");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {said}");
        all.begin().await;
        all
    }

    /// The folder and what is in it belongs to whoever runs the server.
    fn hand_over(&self) {
        let Some((user, group)) = self.user else {
            return;
        };
        let inside = std::fs::read_dir(self.folder.path()).expect("read");
        let inside = inside.map(|entry| entry.expect("read").path());
        for path in inside.chain([self.folder.path().to_owned()]) {
            chown(&path, Some(user), Some(group)).expect("root may");
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env_remove("PGOPTIONS");
        if let Some((user, group)) = self.user {
            command.uid(user.as_raw()).gid(group.as_raw());
        }
        command
    }

    /// Starts the server again on the same data.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn begin(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("opens");
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-F"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("postgres starts"));
        let ready = wait_until("PostgreSQL", READY, async || {
            self.psql("SELECT 1").status.success().then_some(())
        });
        if ready.await.is_err() {
            panic!("{}", self.log());
        }
    }

    /// Ends the server as a crash of its machine would.
    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_raw(child.id().cast_signed());
            // Ends its children too; one that is gone already is just as well.
            let _ = kill(pid, Signal::SIGQUIT);
            let _ = child.wait();
        }
    }

    /// Its address, through the socket.
    #[must_use]
    pub fn url(&self) -> String {
        let (port, folder) = (self.port, self.folder.path().display());
        format!("postgres://app@localhost:{port}/postgres?host={folder}")
    }

    /// Its port on loopback, where its settings let it listen.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Runs SQL by `psql` and gives what it answers: a line a row, columns with `|` between.
    ///
    /// # Panics
    /// When the server refuses it.
    #[track_caller]
    pub fn sql(&self, text: &str) -> String {
        let done = self.psql(text);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{text}: {said}");
        String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
    }

    /// Runs SQL beside the test, such as what holds a lock.
    ///
    /// # Panics
    /// When psql does not start.
    #[must_use]
    pub fn sql_beside(&self, text: &str) -> Child {
        self.psql_command(text).spawn().expect("psql runs")
    }

    fn psql(&self, text: &str) -> std::process::Output {
        self.psql_command(text).output().expect("psql runs")
    }

    fn psql_command(&self, text: &str) -> Command {
        let mut command = self.command("psql");
        let (port, socket) = (self.port.to_string(), self.folder.path());
        command
            .arg("-h")
            .arg(socket)
            .args(["-p", &port, "-U", "app", "-d", "postgres"])
            .args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text]);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

/// The folder with `initdb`: the first of PATH, else Debian's newest.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path);
    let found = on_path.chain(debian()).find(|folder| {
        let there = |program| folder.join(program).is_file();
        there("initdb") && there("postgres") && there("psql")
    });
    found.unwrap_or_else(|| {
        panic!("PostgreSQL is needed for this test (`cargo xtask setup` installs it)")
    })
}

fn debian() -> Vec<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let version = |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let mut all: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    all.sort_by_key(|path| std::cmp::Reverse(version(path)));
    all.into_iter().map(|path| path.join("bin")).collect()
}

fn somebody_else() -> (Uid, Gid) {
    let mut known = ["postgres", "nobody"].into_iter();
    let found = known.find_map(|name| User::from_name(name).ok().flatten());
    let user = found.expect("a user that is not root");
    (user.uid, user.gid)
}
