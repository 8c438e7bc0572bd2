//! Collecting ended children, and ending those that were left behind.

use crate::procfs;
use crate::record::End;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What a round of collecting found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reaped {
    /// How the supervised process ended, if it did in this round.
    pub(crate) main: Option<End>,
    /// Whether any child is left. As sub-reaper the shim inherits the children of
    /// its children, so none left means that nothing at all is left.
    pub(crate) any_left: bool,
}

/// Collects every child that has ended by now.
pub(crate) fn reap(main: Pid) -> Reaped {
    let mut found = Reaped {
        main: None,
        any_left: true,
    };
    loop {
        let (pid, end) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, End::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, End::Signal(signal as i32)),
            Err(Errno::EINTR) => continue,
            Err(Errno::ECHILD) => {
                found.any_left = false;
                return found;
            }
            // Children are left, and none of them has ended.
            Ok(_) | Err(_) => return found,
        };
        if pid == main {
            found.main = Some(end);
        }
    }
}

/// Signals the whole group; that it is empty already is no error.
pub(crate) fn signal_group(group: Pid, signal: Signal) -> nix::Result<()> {
    match killpg(group, signal) {
        Err(Errno::ESRCH) | Ok(()) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Signals everything below this process, in whatever group or session it hides.
/// Returns the numbers of those that were found.
pub(crate) fn signal_descendants(signal: Signal) -> Vec<i32> {
    let found: Vec<i32> = procfs::descendants(Pid::this().as_raw())
        .into_iter()
        .map(|p| p.pid)
        .collect();
    for pid in &found {
        // It may have ended meanwhile. Its number cannot have been given out again
        // unless somebody else collected it, which only its parent can.
        kill(Pid::from_raw(*pid), signal).ok();
    }
    found
}
