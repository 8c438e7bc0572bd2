//! The shim's one loop: signals, requests, deadlines, until nothing is left.

use crate::files::{self, EXIT, OUTPUT, SOCKET};
use crate::protocol::{MAX_LINE, Reply, Request};
use crate::reap::{reap, signal_descendants, signal_group};
use crate::record::{End, ExitRecord, SHIM_VERSION, ShimError, Spec, Status};
use crate::rotate::rotate_if_larger;
use esclusa_model::{Millis, Timestamp};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How often the log's size is looked at.
const LOG_CHECK: Duration = Duration::from_secs(2);
/// Time for processes that were left behind to end by themselves.
const LEFT_BEHIND_GRACE: Duration = Duration::from_secs(2);
/// Pauses between attempts to kill what does not die.
const KILL_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// More connections than any controller needs.
const MAX_CLIENTS: usize = 64;

/// Everything the loop works on. The current folder is the shim's folder.
pub(crate) struct Supervisor {
    pub(crate) spec: Spec,
    pub(crate) status: Status,
    pub(crate) signals: SignalFd,
    pub(crate) listener: UnixListener,
    pub(crate) lock: File,
    pub(crate) progress: Progress,
}

/// What has happened so far.
#[derive(Default)]
pub(crate) struct Progress {
    clients: Vec<Client>,
    main: Option<(End, Timestamp)>,
    stopping: Option<Stopping>,
    asked: bool,
    left_behind: BTreeSet<i32>,
    left_behind_told: bool,
    log_checked: Option<Instant>,
}

struct Client {
    stream: UnixStream,
    line: Vec<u8>,
    waits_for_end: bool,
}

#[derive(Clone, Copy)]
struct Stopping {
    kill_at: Instant,
    pause: Duration,
}

enum Next {
    Keep,
    Drop,
}

impl Supervisor {
    /// Runs until the process and all that it started are gone, and records it.
    pub(crate) fn run(mut self) -> Result<(), ShimError> {
        loop {
            self.take_signals();
            self.accept();
            self.serve_clients();
            let reaped = reap(self.main_pid());
            if let Some(end) = reaped.main {
                self.progress.main = Some((end, now()));
            }
            if let Some((end, at)) = self.progress.main
                && !reaped.any_left
            {
                return self.finish(end, at);
            }
            self.enforce(Instant::now());
            self.check_log(Instant::now());
            self.wait();
        }
    }

    fn main_pid(&self) -> Pid {
        Pid::from_raw(self.status.pid)
    }

    /// Sleeps until something happens or is due.
    fn wait(&self) {
        let until = match self.progress.stopping {
            Some(stopping) => stopping
                .kill_at
                .saturating_duration_since(Instant::now())
                .min(LOG_CHECK),
            None => LOG_CHECK,
        };
        // One more millisecond: a deadline is reached, not nearly reached.
        let millis = u16::try_from(until.as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        let clients = &self.progress.clients;
        fds.extend(
            clients
                .iter()
                .map(|c| PollFd::new(c.stream.as_fd(), PollFlags::POLLIN)),
        );
        // An interrupted or failed wait only means looking earlier.
        poll(&mut fds, PollTimeout::from(millis)).ok();
    }

    fn take_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            if number != Signal::SIGCHLD as i32 {
                let (signal, grace) = (self.spec.stop_signal, self.spec.stop_grace);
                // An unusable stop signal was refused when the spec was read.
                self.stop(signal, grace).ok();
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.progress.clients.len() < MAX_CLIENTS && stream.set_nonblocking(true).is_ok() {
                self.progress.clients.push(Client {
                    stream,
                    line: Vec::new(),
                    waits_for_end: false,
                });
            }
        }
    }

    fn serve_clients(&mut self) {
        let clients = std::mem::take(&mut self.progress.clients);
        for mut client in clients {
            if matches!(self.serve_client(&mut client), Next::Keep) {
                self.progress.clients.push(client);
            }
        }
    }

    fn serve_client(&mut self, client: &mut Client) -> Next {
        let mut chunk = [0; 1024];
        loop {
            match client.stream.read(&mut chunk) {
                Ok(0) => return Next::Drop,
                Ok(n) => client.line.extend_from_slice(chunk.get(..n).unwrap_or(&[])),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Next::Drop,
            }
            if client.line.len() > MAX_LINE {
                return Next::Drop;
            }
        }
        while let Some(end) = client.line.iter().position(|b| *b == b'\n') {
            let rest = client.line.split_off(end + 1);
            let line = std::mem::replace(&mut client.line, rest);
            match self.answer(&line) {
                Some(reply) => {
                    if send(&mut client.stream, &reply).is_err() {
                        return Next::Drop;
                    }
                }
                None => client.waits_for_end = true,
            }
        }
        Next::Keep
    }

    /// The reply, or `None` when it is given once nothing is left.
    fn answer(&mut self, line: &[u8]) -> Option<Reply> {
        let request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(e) => {
                return Some(Reply::Refused {
                    reason: format!("not a request: {e}"),
                });
            }
        };
        let refused = |reason: String| Some(Reply::Refused { reason });
        match request {
            Request::Status => Some(Reply::Status {
                status: self.status.clone(),
                stopping: self.progress.stopping.is_some(),
            }),
            Request::Signal { signal } if self.progress.main.is_none() => {
                match Signal::try_from(signal).and_then(|s| kill(self.main_pid(), s)) {
                    Ok(()) => Some(Reply::Sent),
                    Err(e) => refused(format!("signal {signal}: {e}")),
                }
            }
            Request::Signal { .. } => refused("the process has ended".into()),
            Request::Stop { signal, grace } => match self.stop(signal, grace) {
                Ok(()) => None,
                Err(reason) => refused(reason),
            },
        }
    }

    /// Asks the group to end; a later call can only bring the deadline nearer.
    fn stop(&mut self, signal: i32, grace: Millis) -> Result<(), String> {
        let signal = Signal::try_from(signal).map_err(|e| format!("signal {signal}: {e}"))?;
        let kill_at = Instant::now() + bounded(grace);
        if !self.progress.asked && self.progress.main.is_none() {
            signal_group(self.main_pid(), signal).map_err(|e| format!("{signal}: {e}"))?;
            // A process that was halted must run to see the signal.
            signal_group(self.main_pid(), Signal::SIGCONT).ok();
        }
        self.progress.asked = true;
        let earlier = self.progress.stopping.map_or(kill_at, |s| s.kill_at);
        self.progress.stopping = Some(Stopping {
            kill_at: kill_at.min(earlier),
            pause: KILL_AGAIN.0,
        });
        Ok(())
    }

    /// Ends what was left behind, and kills what has outlived its grace.
    fn enforce(&mut self, now: Instant) {
        if self.progress.main.is_some() {
            if !self.progress.left_behind_told {
                self.progress.left_behind_told = true;
                let found = signal_descendants(Signal::SIGTERM);
                self.progress.left_behind.extend(found);
            }
            self.progress.stopping.get_or_insert(Stopping {
                kill_at: now + LEFT_BEHIND_GRACE,
                pause: KILL_AGAIN.0,
            });
        }
        let Some(stopping) = &mut self.progress.stopping else {
            return;
        };
        if now < stopping.kill_at {
            return;
        }
        stopping.kill_at = now + stopping.pause;
        stopping.pause = (stopping.pause * 2).min(KILL_AGAIN.1);
        if self.progress.main.is_none() {
            signal_group(Pid::from_raw(self.status.pid), Signal::SIGKILL).ok();
        }
        let found = signal_descendants(Signal::SIGKILL);
        let main = self.status.pid;
        let others = found.into_iter().filter(|pid| *pid != main);
        self.progress.left_behind.extend(others);
    }

    fn check_log(&mut self, now: Instant) {
        let due = self
            .progress
            .log_checked
            .is_none_or(|last| now >= last + LOG_CHECK);
        if due {
            self.progress.log_checked = Some(now);
            let limits = self.spec.log;
            if let Err(e) = rotate_if_larger(Path::new(OUTPUT), limits.max_bytes, limits.keep) {
                complain(&format!("cannot cut the log: {e}"));
            }
        }
    }

    /// Record first, then free the folder, then tell those who wait.
    fn finish(mut self, end: End, at: Timestamp) -> Result<(), ShimError> {
        let exit = ExitRecord {
            v: SHIM_VERSION,
            identity: self.status.identity.clone(),
            pid: self.status.pid,
            start_ticks: self.status.start_ticks,
            end,
            asked: self.progress.asked,
            at,
            left_behind: u32::try_from(self.progress.left_behind.len()).unwrap_or(u32::MAX),
        };
        let recorded = files::write_json(Path::new(EXIT), &exit);
        files::remove(Path::new(SOCKET)).ok();
        drop(self.listener);
        self.lock.unlock().ok();
        let reply = Reply::Ended { exit };
        for client in &mut self.progress.clients {
            if client.waits_for_end {
                // It has gone away; the record stands.
                send(&mut client.stream, &reply).ok();
            }
        }
        recorded.map_err(ShimError::io(EXIT))
    }
}

fn send(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// A grace as the clock can add it: at most a year.
pub(crate) fn bounded(grace: Millis) -> Duration {
    grace.as_std().min(Duration::from_secs(366 * 86_400))
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
}

/// Standard error is the shim's own log file.
pub(crate) fn complain(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}
