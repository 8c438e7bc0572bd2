//! A machine of its own that systemd runs: real units, real control groups, real power
//! failures. It shares the network and the disk with the test.
//!
//! It lives in namespaces of its own (processes, mounts, control groups) below a control
//! group of its own, with no units but those that it is given.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without its machine has nothing to go on with"
)]

use crate::TempDir;
use crate::wait_until;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest wait for systemd itself.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// What units of users stand on.
const TARGETS: [&str; 9] = [
    "basic",
    "sysinit",
    "shutdown",
    "umount",
    "multi-user",
    "rescue",
    "emergency",
    "network-online",
    "network",
];

/// A machine with systemd as its first process.
pub struct Machine {
    folder: TempDir,
    group: PathBuf,
    process: Option<Child>,
}

impl Machine {
    /// A machine that is switched off.
    ///
    /// # Errors
    /// Why this machine cannot run another one within itself.
    pub fn new() -> Result<Self, String> {
        let unified = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.join("cgroup.procs").exists())
            .ok_or("no second version of control groups is mounted")?;
        let folder = TempDir::new("machine").map_err(|e| e.to_string())?;
        let name = folder.path().file_name().ok_or("no name")?;
        let group = unified.join(name);
        fs::create_dir(&group).map_err(|e| format!("{}: {e}", group.display()))?;
        let machine = Self {
            folder,
            group,
            process: None,
        };
        if !Path::new("/lib/systemd/systemd").exists() {
            return Err("systemd is not installed".into());
        }
        let units = machine.folder.join("units");
        fs::create_dir(&units).map_err(|e| e.to_string())?;
        for target in TARGETS {
            let text = "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n";
            fs::write(units.join(format!("{target}.target")), text).map_err(|e| e.to_string())?;
        }
        let probe = Command::new("unshare")
            .args([
                "--pid", "--mount", "--cgroup", "--fork", "mount", "-t", "cgroup2", "none",
            ])
            .arg(machine.folder.path().join("units"))
            .output()
            .map_err(|e| format!("unshare: {e}"))?;
        if !probe.status.success() {
            return Err(String::from_utf8_lossy(&probe.stderr).into_owned());
        }
        Ok(machine)
    }

    /// Adds a unit, which is started at each boot.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn enable(&self, name: &str, text: &str) {
        let units = self.folder.join("units");
        fs::write(units.join(name), text).expect("written");
        let wants = units.join("multi-user.target.wants");
        fs::create_dir_all(&wants).expect("a folder");
        std::os::unix::fs::symlink(units.join(name), wants.join(name)).expect("enabled");
    }

    /// Switches it on.
    ///
    /// # Panics
    /// When systemd does not come up.
    pub async fn boot(&mut self) {
        let script = format!(
            "set -e\n\
             mount --make-rprivate /\n\
             mount -t tmpfs tmpfs /run\n\
             mount -t proc proc /proc\n\
             umount -R /sys/fs/cgroup || umount -l /sys/fs/cgroup\n\
             mount -t cgroup2 none /sys/fs/cgroup\n\
             mkdir -p /run/systemd/system\n\
             export SYSTEMD_UNIT_PATH={units} container=other\n\
             exec /lib/systemd/systemd --system --unit=multi-user.target \
                --log-target=console --show-status=no\n",
            units = self.folder.join("units").display()
        );
        let enter = format!(
            "echo $$ > {}/cgroup.procs; exec unshare --pid --mount --uts --ipc --cgroup --fork \
             --kill-child sh -c \"$1\"",
            self.group.display()
        );
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("console.log"))
            .expect("a log");
        let process = Command::new("sh")
            .args(["-c", &enter, "sh", &script])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a shell");
        self.process = Some(process);
        let up = wait_until("systemd", BOOT_LIMIT, async || {
            self.systemctl(&["show", "--property=Version"]).ok()
        });
        let up = up.await;
        up.unwrap_or_else(|error| panic!("{error}\n{}", self.console()));
    }

    /// What it printed.
    #[must_use]
    pub fn console(&self) -> String {
        fs::read_to_string(self.folder.join("console.log")).unwrap_or_default()
    }

    /// The first process of the machine, by its number outside of it.
    fn first(&self) -> Option<u32> {
        let outer = i32::try_from(self.process.as_ref()?.id()).ok()?;
        esclusa_shim::procfs::processes()
            .into_iter()
            .find(|process| process.parent == outer)
            .and_then(|process| u32::try_from(process.pid).ok())
    }

    /// `systemctl` within the machine: what it prints.
    ///
    /// # Errors
    /// What it complains of.
    pub fn systemctl(&self, args: &[&str]) -> Result<String, String> {
        let first = self.first().ok_or("the machine is off")?;
        let output = Command::new("nsenter")
            .args([
                "--target",
                &first.to_string(),
                "--mount",
                "--pid",
                "--cgroup",
            ])
            .arg("systemctl")
            .args(args)
            .output()
            .map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Pulls the plug: everything in it ends at once.
    pub fn power_failure(&mut self) {
        if let Some(first) = self.first().and_then(|pid| i32::try_from(pid).ok()) {
            // The kernel ends all others with the first.
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(first),
                nix::sys::signal::Signal::SIGKILL,
            )
            .ok();
        }
        if let Some(mut process) = self.process.take() {
            // It ends with the machine.
            process.wait().ok();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.power_failure();
        remove_groups(&self.group);
    }
}

/// Empty control groups are folders that can be removed, innermost first.
fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    // A group that a dying process still holds is left to the next boot of this machine.
    fs::remove_dir(group).ok();
}
