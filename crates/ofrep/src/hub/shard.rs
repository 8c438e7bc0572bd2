//! One thread that holds event streams.
//!
//! It owns their sockets and writes to them without a task, a queue or memory of their own:
//! the event is made once, and who cannot take it is left behind until its socket can be
//! written again. It then gets the latest state, whatever it missed, so that a slow reader
//! costs nobody anything.

use super::StreamInfo;
use super::stream::{Life, Now, Stream};
use crate::limits::Limits;
use crate::shared::{Shared, unix_second};
use crate::table::{FlagTable, Subject};
use bytes::Bytes;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const WAKER: Token = Token(usize::MAX);
/// Groups that show one after another that they live, so that not all do at once.
const GROUPS: usize = 15;

/// A stream that begins.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) socket: std::net::TcpStream,
    pub(crate) head: Bytes,
    pub(crate) subject: Subject,
    /// Of a neighbour, who has no token that could be revoked.
    pub(crate) environment: Box<str>,
    pub(crate) info: Arc<StreamInfo>,
    /// The state that the client knows already.
    pub(crate) knows: Option<u64>,
}

enum Command {
    Join(Joining),
    End,
}

/// A thread of streams as others see it.
#[derive(Debug)]
pub(super) struct ShardHandle {
    waker: Arc<Waker>,
    commands: Sender<Command>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Join(_) => "Join",
            Self::End => "End",
        })
    }
}

impl ShardHandle {
    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a thread of event streams cannot be woken");
        }
    }

    /// Whether the thread is there to take it.
    pub(super) fn join(&self, joining: Joining) -> bool {
        let sent = self.commands.send(Command::Join(joining)).is_ok();
        self.wake();
        sent
    }

    pub(super) fn end(&self) {
        // Gone already is as good.
        let _ = self.commands.send(Command::End);
        self.wake();
    }
}

struct Shard {
    poll: Poll,
    inbox: Receiver<Command>,
    shared: Arc<Shared>,
    streams: Slab<Stream>,
    now: Now,
    table: Arc<FlagTable>,
    write_timeout: Duration,
    tick: Duration,
    group: usize,
}

/// Starts a thread.
pub(super) fn spawn(
    index: usize,
    shared: &Arc<Shared>,
    limits: &Limits,
) -> io::Result<(ShardHandle, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (commands, inbox) = channel();
    let table = shared.table();
    let shard = Shard {
        poll,
        inbox,
        shared: Arc::clone(shared),
        streams: Slab::new(),
        now: Now::of(&table),
        table,
        write_timeout: limits.write_timeout,
        tick: limits.heartbeat / GROUPS as u32,
        group: 0,
    };
    let thread = std::thread::Builder::new()
        .name(format!("flag-events-{index}"))
        .spawn(move || shard.run())?;
    Ok((ShardHandle { waker, commands }, thread))
}

impl Shard {
    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut next_tick = Instant::now() + self.tick;
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "event streams end: their sockets cannot be watched");
                break;
            }
            // First what waits for nobody: a change.
            self.look();
            for event in &events {
                if event.token() != WAKER {
                    self.ready(event);
                }
            }
            if !self.obey() {
                break;
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + self.tick;
                self.pulse();
            }
        }
        for (_, stream) in std::mem::take(&mut self.streams) {
            self.shared.hub().unlist(&stream.info);
        }
        while let Ok(Command::Join(joining)) = self.inbox.try_recv() {
            self.shared.hub().unlist(&joining.info);
        }
    }

    /// Tells everybody what has changed, if it has.
    fn look(&mut self) {
        let table = self.shared.table();
        if Arc::ptr_eq(&table, &self.table) {
            return;
        }
        self.table = table;
        if self.table.state.tag != self.now.state.tag {
            self.now = Now::of(&self.table);
            self.each(|stream, now| stream.tell(now));
        } else if self.table.state != self.now.state {
            // Another revision with the same answers: known without an event.
            self.now = Now::of(&self.table);
            self.each(|stream, now| {
                if stream.told == now.state.tag {
                    stream.info.told(now.state);
                }
                Life::Goes
            });
        }
        self.turn_out();
    }

    /// Ends the streams of those who may ask no longer.
    fn turn_out(&mut self) {
        let (table, second) = (Arc::clone(&self.table), unix_second());
        self.each(|stream, _| {
            let access = match &stream.subject {
                Subject::Token(id) => table.by_id(id),
                Subject::Neighbour => table.neighbour(&stream.environment),
            };
            match access.is_some_and(|access| !access.has_expired(second)) {
                true => Life::Goes,
                false => Life::Over,
            }
        });
    }

    fn each(&mut self, mut act: impl FnMut(&mut Stream, &Now) -> Life) {
        self.each_slot(|_, stream, now| act(stream, now));
    }

    fn each_slot(&mut self, mut act: impl FnMut(usize, &mut Stream, &Now) -> Life) {
        let (now, hub) = (&self.now, self.shared.hub());
        self.streams.retain(|slot, stream| {
            let goes = act(slot, stream, now) == Life::Goes;
            if !goes {
                hub.unlist(&stream.info);
            }
            goes
        });
    }

    fn ready(&mut self, event: &mio::event::Event) {
        let slot = event.token().0;
        let Some(stream) = self.streams.get_mut(slot) else {
            return;
        };
        let mut life = Life::Goes;
        if event.is_error() || event.is_write_closed() {
            life = Life::Over;
        }
        if life == Life::Goes && event.is_readable() {
            life = stream.hear();
        }
        if life == Life::Goes && event.is_writable() {
            life = stream.flush();
            if life == Life::Goes {
                life = stream.tell(&self.now);
            }
        }
        if life == Life::Over {
            self.drop_stream(slot);
        }
    }

    fn drop_stream(&mut self, slot: usize) {
        if let Some(stream) = self.streams.try_remove(slot) {
            self.shared.hub().unlist(&stream.info);
        }
    }

    /// Takes new streams. False when it is over.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Join(joining)) => self.take(joining),
                Ok(Command::End) | Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                    return false;
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return true,
            }
        }
    }

    fn take(&mut self, joining: Joining) {
        let entry = self.streams.vacant_entry();
        let slot = entry.key();
        let (head, knows) = (joining.head.clone(), joining.knows);
        let mut stream = Stream::new(joining);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self
            .poll
            .registry()
            .register(&mut stream.socket, Token(slot), interest);
        if let Err(error) = registered {
            tracing::warn!(%error, "an event stream cannot be watched");
            self.shared.hub().unlist(&stream.info);
            return;
        }
        // Clients that lose their stream together come back one after another.
        let retry = 1_000 + (slot * 37) % 2_000;
        let mut first = head.to_vec();
        first.extend_from_slice(format!("retry: {retry}\n\n").as_bytes());
        // A client that knows another state, or does not say, is told: what changed between
        // its fetch and now would be lost otherwise.
        if knows != Some(self.now.state.tag) {
            first.extend_from_slice(&self.now.event);
        }
        let life = stream.write(&first.into(), Some(self.now.state));
        entry.insert(stream);
        if life == Life::Over {
            self.drop_stream(slot);
        }
    }

    /// Shows one group that its streams live, and ends those that nobody reads.
    fn pulse(&mut self) {
        static PULSE: &[u8] = b":\n\n";
        self.group = (self.group + 1) % GROUPS;
        let (group, timeout) = (self.group, self.write_timeout);
        self.each_slot(|slot, stream, _| {
            if stream
                .blocked
                .is_some_and(|since| since.elapsed() > timeout)
            {
                return Life::Over;
            }
            if slot % GROUPS == group && stream.unsent.is_empty() {
                return stream.write(&Bytes::from_static(PULSE), None);
            }
            Life::Goes
        });
        if group == 0 {
            self.turn_out();
        }
    }
}
