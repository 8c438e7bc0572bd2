//! `serve` as the first process of a container, in a process namespace of its own where
//! the machine allows one, and as one that behaves like it where not.

use crate::esclusa;
use crate::world::LONG;
use esclusa_shim::procfs;
use esclusa_testkit::machine::processes_of;
use esclusa_testkit::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

struct Container {
    dir: tempfile::TempDir,
    child: Child,
    isolated: bool,
}

/// Whether this machine gives a process a namespace of its own.
fn may_isolate() -> bool {
    let probe = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}

impl Container {
    fn start(isolated: bool) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let serve = esclusa(dir.path());
        let mut command = if isolated {
            let mut command = Command::new("unshare");
            command
                .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
                .arg(serve.get_program());
            for (name, value) in serve.get_envs() {
                command.env(name, value.unwrap_or_default());
            }
            command
        } else {
            let mut command = serve;
            command.env("ESCLUSA_INIT", "first");
            command
        };
        let log = std::fs::File::create(dir.path().join("serve.log")).expect("a log");
        let child = command
            .args([
                "serve",
                "--dev",
                "--flags-listen",
                "off",
                "--listen",
                "127.0.0.1:0",
                "--proxy-workers",
                "1",
            ])
            .arg("--data")
            .arg(dir.path().join("data"))
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("starts");
        Self {
            dir,
            child,
            isolated,
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("serve.log")).unwrap_or_default()
    }

    /// The first process, by its number out here.
    fn first(&self) -> i32 {
        let outer = i32::try_from(self.child.id()).expect("small");
        if !self.isolated {
            return outer;
        }
        let child = procfs::processes().into_iter().find(|p| p.parent == outer);
        child.expect("the first process").pid
    }

    /// The only process whose words hold this.
    async fn only(&self, words: &str) -> i32 {
        let first = self.first();
        let found = wait_until(words, LONG, async || {
            let all = processes_of(&self.data());
            let mut all = all
                .iter()
                .filter(|one| one.words.contains(words) && one.pid != first)
                .filter(|one| !one.words.starts_with("unshare"));
            let one = all.next()?.pid;
            all.next().is_none().then_some(one)
        });
        match found.await {
            Ok(pid) => pid,
            Err(error) => panic!("{error}: {:#?}\n{}", processes_of(&self.data()), self.log()),
        }
    }

    async fn until_ready(&self, times: usize) {
        let ready = wait_until("ready", LONG, async || {
            let lines = self.log();
            (lines.matches("\nready ").count() + usize::from(lines.starts_with("ready ")) >= times)
                .then_some(())
        });
        assert!(ready.await.is_ok(), "{}", self.log());
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = esclusa_testkit::machine::power_failure(&self.data());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill_hard(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
}

fn zombies_of(parent: i32) -> Vec<i32> {
    let all = procfs::processes().into_iter();
    all.filter(|one| one.parent == parent && !one.is_alive())
        .map(|one| one.pid)
        .collect()
}

/// Threads of a process that could take these signals from the one that waits for them,
/// which is the first. A signal that another thread may have is thrown away there.
fn takers_of(pid: i32, signals: &[Signal]) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let others = tasks
        .flatten()
        .filter(|task| task.file_name() != *pid.to_string());
    let taking = others.filter_map(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let blocked = status
            .lines()
            .find_map(|line| line.strip_prefix("SigBlk:"))?;
        let blocked = u64::from_str_radix(blocked.trim(), 16).expect("a mask");
        let open = |signal: &Signal| blocked & (1 << (*signal as u64 - 1)) == 0;
        signals.iter().any(open).then_some(status)
    });
    taking.collect()
}

async fn lives_as_the_first_process(isolated: bool) {
    let mut container = Container::start(isolated);
    container.until_ready(1).await;
    let proxy = container.only(" proxy --id ").await;
    let serve = container.only(" serve --dev ").await;
    let waited_for = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT];
    assert_eq!(
        takers_of(container.first(), &waited_for),
        Vec::<String>::new()
    );

    // The control plane is killed: it is there again, and nothing else was touched.
    kill_hard(serve);
    container.until_ready(2).await;
    assert_eq!(container.only(" proxy --id ").await, proxy);

    // Orphans are collected: first a supervisor dies, then what it supervised.
    kill_hard(container.only("/instances/proxy").await);
    kill_hard(proxy);
    let again = wait_until("another proxy", LONG, async || {
        let another = container.only(" proxy --id ").await;
        (another != proxy).then_some(())
    });
    again.await.expect("another proxy");
    let first = container.first();
    let clean = wait_until("no zombies", LONG, async || {
        zombies_of(first).is_empty().then_some(())
    });
    assert!(clean.await.is_ok(), "{:?}", zombies_of(first));

    // Told to end, it ends, and leaves nothing.
    kill(Pid::from_raw(first), Signal::SIGTERM).expect("told");
    let ended = wait_until("the end", LONG, async || container.child.try_wait().ok()?);
    let ended = ended
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", container.log()));
    assert!(ended.success(), "{ended}: {}", container.log());
    assert_eq!(processes_of(&container.data()), []);
    let log =
        std::fs::read_to_string(Path::new(&container.data()).join("instances/proxy/exit.json"));
    assert!(log.expect("ended in order").contains("\"asked\":true"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_the_first_process_it_collects_orphans_and_passes_signals_on() {
    lives_as_the_first_process(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_process_namespace_it_is_the_first_process_by_itself() {
    if may_isolate() {
        lives_as_the_first_process(true).await;
    } else {
        eprintln!("this machine gives no process namespaces; shown without one only");
    }
}
