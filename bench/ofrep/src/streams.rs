//! A client with many event streams on one thread. It prints `ready`, and then a line for each
//! event that every stream which reads got: when each got it, as quantiles.

use crate::servers::{monotonic, raise_limit};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read as _, Write as _};

struct Stream {
    socket: TcpStream,
    events: usize,
    line_ends: u8,
}

/// Opens the streams. `slow` of them read nothing after their first event.
pub(crate) fn subscribe(address: &str, target: &str, count: &str, slow: &str) -> io::Result<()> {
    raise_limit()?;
    let count: usize = count.parse().map_err(io::Error::other)?;
    let slow: usize = slow.parse().map_err(io::Error::other)?;
    let address: std::net::SocketAddr = address.parse().map_err(io::Error::other)?;
    let mut poll = Poll::new()?;
    let mut streams = Vec::with_capacity(count);
    let mut events = Events::with_capacity(4096);
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    for i in 0..count {
        let mut socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.write_all(request.as_bytes())?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        poll.registry()
            .register(&mut socket, Token(i), Interest::READABLE)?;
        streams.push(Stream {
            socket,
            events: 0,
            line_ends: 0,
        });
    }
    let mut at: Vec<u128> = Vec::with_capacity(count);
    let mut wanted = 1;
    let mut read = vec![0; 16 * 1024];
    loop {
        let expected = if wanted == 1 { count } else { count - slow };
        while at.len() < expected {
            poll.poll(&mut events, None)?;
            for event in &events {
                let index = event.token().0;
                if wanted > 1 && index < slow {
                    continue;
                }
                let stream = &mut streams[index];
                if stream.read(&mut read)? && stream.events >= wanted {
                    at.push(monotonic());
                }
            }
        }
        match wanted {
            1 => println!("ready"),
            _ => {
                at.sort_unstable();
                let quantile = |q: f64| at[((at.len() - 1) as f64 * q) as usize];
                println!("{} {} {}", quantile(0.5), quantile(0.99), quantile(1.0));
            }
        }
        io::stdout().flush()?;
        at.clear();
        wanted += 1;
    }
}

impl Stream {
    /// Reads what there is. True when one or more events ended in it.
    fn read(&mut self, into: &mut [u8]) -> io::Result<bool> {
        let before = self.events;
        loop {
            match self.socket.read(into) {
                Ok(0) => return Err(io::Error::other("a stream ended")),
                Ok(n) => self.count(&into[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.events > before)
    }

    /// An event ends with `}` and two line ends; comments and the advice to retry do not.
    fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.line_ends = match (byte, self.line_ends) {
                (b'}', _) => 1,
                (b'\n', 1) => 2,
                (b'\n', 2) => {
                    self.events += 1;
                    0
                }
                _ => 0,
            };
        }
    }
}
