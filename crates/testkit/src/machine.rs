//! The processes of a data folder, and what a power failure does to them.

use esclusa_shim::procfs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// One living process that belongs to a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belonging {
    /// Its number.
    pub pid: i32,
    /// Its words, with spaces between.
    pub words: String,
}

impl Belonging {
    /// Whether it is a supervisor.
    #[must_use]
    pub fn is_shim(&self) -> bool {
        self.words.contains(" shim run ")
    }
}

/// Every living process whose words or environment name something below `data`, and
/// whatever those have started: the control plane, the proxy, supervisors, versions.
#[must_use]
pub fn processes_of(data: &Path) -> Vec<Belonging> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found: Vec<i32> = procfs::processes()
        .into_iter()
        .filter(|process| process.pid != own && process.is_alive())
        .filter(|process| names(process.pid, data))
        .map(|process| process.pid)
        .collect();
    for root in found.clone() {
        found.extend(procfs::descendants(root).iter().map(|p| p.pid));
    }
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .map(|pid| Belonging {
            pid,
            words: words(pid),
        })
        .collect()
}

/// Whether a process names something below the folder.
fn names(pid: i32, data: &Path) -> bool {
    let data = data.as_os_str().as_bytes();
    ["cmdline", "environ"].iter().any(|file| {
        let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        text.split(|byte| *byte == 0)
            .any(|word| word.windows(data.len()).any(|part| part == data))
    })
}

fn words(pid: i32) -> String {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.trim_end_matches('\0').replace('\0', " ")
}

/// Ends every process of a data folder as a power failure does: none of them sees
/// another one's end. Returns how many there were, once nothing is left.
///
/// # Panics
/// When something does not die.
#[must_use]
pub fn power_failure(data: &Path) -> usize {
    let all = processes_of(data);
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for one in &all {
            // It may have ended by itself.
            kill(Pid::from_raw(one.pid), signal).ok();
        }
    }
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let left = processes_of(data);
        if left.is_empty() {
            return all.len();
        }
        assert!(Instant::now() < give_up, "{left:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
