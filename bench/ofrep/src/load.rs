//! A client that asks as fast as it is answered, over connections that stay open.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks for that many seconds and prints how many answers came.
pub(crate) fn run(address: &str, path: &str, connections: &str, seconds: &str) -> io::Result<()> {
    let connections: usize = connections.parse().map_err(io::Error::other)?;
    let seconds: u64 = seconds.parse().map_err(io::Error::other)?;
    let body = r#"{"context":{"targetingKey":"user-4711","country":"pt"}}"#;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json; charset=utf-8\r\n\
         accept: */*\r\nuser-agent: node\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let request: Arc<[u8]> = request.into_bytes().into();
    let (answers, over) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let mut socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            let (request, answers, over) = (
                Arc::clone(&request),
                Arc::clone(&answers),
                Arc::clone(&over),
            );
            asking.spawn(async move {
                let mut read = vec![0; 4096];
                let mut expected = 0;
                while !over.load(Ordering::Relaxed) {
                    socket.write_all(&request).await?;
                    let mut got = 0;
                    while got == 0 || got < expected {
                        got += match socket.read(&mut read[got..]).await? {
                            0 => return Err(io::Error::other("the server hung up")),
                            n => n,
                        };
                        if expected == 0 {
                            expected = whole(&read[..got]).unwrap_or(0);
                        }
                    }
                    if !read.starts_with(b"HTTP/1.1 200") {
                        let text = String::from_utf8_lossy(&read[..got]).into_owned();
                        return Err(io::Error::other(text));
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        over.store(true, Ordering::Relaxed);
        while let Some(ended) = asking.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        println!("{}", answers.load(Ordering::Relaxed));
        Ok(())
    })
}

/// The length of an answer, head included, once its head is there. All answers of a run are
/// of one length.
fn whole(read: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(read).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse::<usize>()
            .ok()
    })?;
    Some(head.len() + 4 + length)
}
