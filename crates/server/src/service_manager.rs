//! Life under systemd: saying when we are ready, and not taking versions down with us.
//!
//! A unit's processes are ended together unless it says `KillMode=process`. Versions are
//! started by this program and would be among them. Where the unit is set up so and we
//! are allowed to, each supervisor is therefore started in a scope of its own; in any
//! case it is said what to change.

use esclusa_shim::ShimCommand;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Longest wait for an answer of systemd.
const ANSWER: Duration = Duration::from_secs(5);

static WARNINGS: OnceLock<Vec<String>> = OnceLock::new();

/// What is set up in a way that will hurt.
pub(crate) fn warnings() -> &'static [String] {
    WARNINGS.get().map_or(&[], Vec::as_slice)
}

/// Tells systemd something, if it asked to be told.
pub(crate) fn notify(what: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let told = (|| {
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        };
        UnixDatagram::unbound()?.send_to_addr(what.as_bytes(), &address)
    })();
    if let Err(error) = told {
        tracing::warn!(%error, "systemd could not be told: {what}");
    }
}

/// The unit that this program runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unit {
    name: String,
    /// Whether it belongs to a user's own manager.
    user: bool,
}

impl Unit {
    /// From `/proc/self/cgroup`; `None` outside of a service.
    fn of(cgroup: &str) -> Option<Self> {
        let path = cgroup.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let mine = controllers.is_empty() || controllers == "name=systemd";
            (mine && path != "/").then_some(path)
        })?;
        // A unit may have groups of its own below it.
        let name = path.split('/').rfind(|part| part.ends_with(".service"))?;
        let whole = path.split('/').rfind(|part| part.ends_with(".scope"));
        let session = whole.is_some() && !name.starts_with("user@");
        let own_manager = name.starts_with("user@");
        (!session && !own_manager).then(|| Self {
            name: name.to_owned(),
            user: path.contains("/user@"),
        })
    }

    fn systemctl(&self) -> Command {
        let mut command = Command::new("systemctl");
        if self.user {
            command.arg("--user");
        }
        command.args(["show", "--property=KillMode,OOMPolicy"]);
        command.arg(&self.name);
        command
    }

    fn scope(&self) -> ShimCommand {
        let mut args: Vec<OsString> = Vec::new();
        if self.user {
            args.push("--user".into());
        }
        args.extend(
            [
                "--scope",
                "--quiet",
                "--collect",
                "--slice=esclusa.slice",
                "--",
            ]
            .map(Into::into),
        );
        ShimCommand {
            program: "systemd-run".into(),
            args,
        }
    }
}

/// Whether a unit so set up leaves versions alone when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spares {
    Versions,
    Nobody,
}

/// What `systemctl show` says, and what should be changed.
fn judge(unit: &Unit, shown: &str) -> (Spares, Vec<String>) {
    let value = |key: &str| {
        shown
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .unwrap_or_default()
    };
    let (kill, oom) = (value("KillMode"), value("OOMPolicy"));
    let mut warnings = Vec::new();
    let spares = match kill {
        "process" | "none" => Spares::Versions,
        "" => {
            warnings.push(format!(
                "systemd does not say how unit {} ends: make sure that it has KillMode=process, \
                 or a restart of it may end every version",
                unit.name
            ));
            Spares::Nobody
        }
        other => {
            warnings.push(format!(
                "unit {} has KillMode={other}, so that a restart of it ends every version it has \
                 started: set KillMode=process in its [Service] section and run systemctl \
                 daemon-reload",
                unit.name
            ));
            Spares::Nobody
        }
    };
    if oom == "stop" || oom == "kill" {
        warnings.push(format!(
            "unit {} has OOMPolicy={oom}, so that one version that takes too much memory ends \
             this control plane: set OOMPolicy=continue in its [Service] section",
            unit.name
        ));
    }
    (spares, warnings)
}

/// How supervisors are started here, so that they outlive this program.
pub(crate) async fn place(shim: ShimCommand) -> ShimCommand {
    if !Path::new("/run/systemd/system").is_dir() {
        return shim;
    }
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(unit) = Unit::of(&cgroup) else {
        return shim;
    };
    let shown = output(unit.systemctl()).await.unwrap_or_default();
    let (spares, mut warnings) = judge(&unit, &shown);
    let mut placed = shim.clone();
    if spares == Spares::Nobody {
        let mut attempt = Command::new(&unit.scope().program);
        attempt.args(unit.scope().args).arg("true");
        if output(attempt).await.is_some() {
            placed = unit.scope();
            placed.args.push(shim.program.into_os_string());
            placed.args.extend(shim.args);
            warnings.push(
                "until then versions are started in scopes of their own, in esclusa.slice; those \
                 that run already end with the unit"
                    .into(),
            );
        }
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    // A second control plane in this process finds the same.
    let _ = WARNINGS.set(warnings);
    placed
}

/// What a command prints, `None` when it fails or does not end.
async fn output(mut command: Command) -> Option<String> {
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(ANSWER, run).await.ok()?.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, user: bool) -> Option<Unit> {
        let name = name.to_owned();
        Some(Unit { name, user })
    }

    #[test]
    fn the_unit_is_read_from_the_control_group() {
        let rows = [
            (
                "0::/system.slice/esclusa.service\n",
                unit("esclusa.service", false),
            ),
            (
                "0::/system.slice/esclusa.service/main",
                unit("esclusa.service", false),
            ),
            (
                "9:name=systemd:/system.slice/a.service\n8:pids:/\n0::/\n",
                unit("a.service", false),
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service",
                unit("a.service", true),
            ),
            ("0::/user.slice/user-1000.slice/session-2.scope", None),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/init.scope",
                None,
            ),
            ("0::/", None),
            ("", None),
        ];
        for (cgroup, expected) in rows {
            assert_eq!(Unit::of(cgroup), expected, "{cgroup}");
        }
    }

    #[test]
    fn a_unit_that_would_end_versions_is_told_what_to_change() {
        let unit = unit("esclusa.service", false).expect("a unit");
        let judged = |shown| judge(&unit, shown);
        assert_eq!(
            judged("KillMode=process\nOOMPolicy=continue\n"),
            (Spares::Versions, vec![])
        );
        let (spares, warnings) = judged("KillMode=control-group\nOOMPolicy=stop\n");
        assert_eq!(spares, Spares::Nobody);
        assert!(
            warnings[0].contains("KillMode=process") && warnings[1].contains("OOMPolicy=continue")
        );
        let (spares, warnings) = judged("");
        assert_eq!(
            (spares, warnings.len()),
            (Spares::Nobody, 1),
            "what is not known is not fine"
        );
    }

    #[test]
    fn a_scope_is_put_before_the_supervisor() {
        let scope = unit("a.service", true).expect("a unit").scope();
        assert_eq!(scope.program, Path::new("systemd-run"));
        assert_eq!(scope.args.first(), Some(&OsString::from("--user")));
        assert_eq!(scope.args.last(), Some(&OsString::from("--")));
    }
}
