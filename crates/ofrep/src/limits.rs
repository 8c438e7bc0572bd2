//! Bounds on time, memory and haste of those who ask.

use std::time::Duration;

/// How often somebody may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

/// Bounds of a flag server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Threads that answer requests; 0 for one a core, at most four.
    pub workers: usize,
    /// Threads that hold event streams; 0 for one a core, at most four.
    pub stream_threads: usize,
    /// Open connections that are no event streams; more are closed at once.
    pub max_connections: usize,
    /// Open event streams; more get 429.
    pub max_streams: usize,
    /// Largest request head in bytes, at least 8,192; 431 above.
    pub max_head_bytes: usize,
    /// Most header lines; 431 above.
    pub max_headers: usize,
    /// Largest request body in bytes; 413 above.
    pub max_body_bytes: usize,
    /// Longest time for a request's head.
    pub head_timeout: Duration,
    /// Longest time for a request's body; 408 after.
    pub body_timeout: Duration,
    /// Longest wait for the next request on an open connection.
    pub idle_timeout: Duration,
    /// Longest time that a client may leave an answer or event unread.
    pub write_timeout: Duration,
    /// How often one address may ask with a client's token or without any; 429 above.
    pub client_rate: Option<Rate>,
    /// The same with a server's token.
    pub server_rate: Option<Rate>,
    /// How often one address may show a token that does not exist.
    pub wrong_token_rate: Rate,
    /// How often a stream that has nothing to say shows that it lives.
    pub heartbeat: Duration,
    /// How long connections may go on after the end was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: 0,
            stream_threads: 0,
            max_connections: 10_000,
            max_streams: 20_000,
            max_head_bytes: 16 * 1024,
            max_headers: 64,
            max_body_bytes: 64 * 1024,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            // Many browsers stand behind one address, and all of them come back at once
            // after a change. Who is turned away keeps what it had.
            client_rate: Some(Rate {
                per_second: 500,
                burst: 5_000,
            }),
            server_rate: None,
            wrong_token_rate: Rate {
                per_second: 1,
                burst: 20,
            },
            heartbeat: Duration::from_secs(15),
            drain: Duration::from_secs(10),
        }
    }
}

impl Limits {
    pub(crate) fn threads(wanted: usize) -> usize {
        match wanted {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get().min(4)),
            wanted => wanted,
        }
    }
}
