//! Sockets that outlive the proxy.

use crate::support::{World, config, eventually, get, whole_answer};
use esclusa_shim::hold::HoldClient;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A holder as a process of its own, ended with this.
pub(crate) struct Holder {
    child: Child,
    folder: PathBuf,
}

impl Holder {
    pub(crate) fn start(folder: &Path) -> Self {
        let program = built("esclusa-shim");
        let child = Command::new(program)
            .arg("hold")
            .arg(folder)
            .stdin(Stdio::null())
            .spawn()
            .expect("starts");
        let until = std::time::Instant::now() + crate::support::BOUND;
        while HoldClient::connect(folder).is_err() {
            assert!(
                std::time::Instant::now() < until,
                "the holder does not answer"
            );
            std::thread::yield_now();
        }
        Self {
            child,
            folder: folder.to_owned(),
        }
    }

    pub(crate) async fn holds(&self, count: usize) {
        eventually(|| async {
            let mut client = HoldClient::connect(&self.folder).ok()?;
            (client.list().ok()?.len() == count).then_some(())
        })
        .await;
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It is gone already when this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A binary of the workspace beside the running test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let folder = test.ancestors().nth(2).expect("target/debug");
    folder.join(name)
}

async fn ask(stream: &mut TcpStream) {
    let asked = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    stream.write_all(asked).await.expect("written");
}

// TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_wait_for_the_next_proxy_and_are_not_refused() {
    let held = tempfile::tempdir().expect("folder");
    let holder = Holder::start(held.path());
    let folder = held.path().to_owned();
    let mut world = World::with(|config| config.holder = Some(folder.clone())).await;
    world.share(0).await;
    assert_eq!(get(world.listen, "/", &[]).await.status, 200);
    holder.holds(1).await;
    world.stop().await;
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(world.listen).await.expect("not refused");
        ask(&mut stream).await;
        waiting.push(stream);
    }
    let mut next = config(&world.dir);
    next.holder = Some(folder);
    world.proxy = Some(esclusa_proxy::Proxy::start(next).expect("starts"));
    for mut stream in waiting {
        let answer = whole_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_was_restarted_gets_the_sockets_again() {
    let held = tempfile::tempdir().expect("folder");
    let holder = Holder::start(held.path());
    let folder = held.path().to_owned();
    let mut world = World::with(|config| config.holder = Some(folder)).await;
    world.share(0).await;
    holder.holds(1).await;
    drop(holder);
    assert_eq!(get(world.listen, "/", &[]).await.status, 200);
    let holder = Holder::start(held.path());
    holder.holds(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_anybody_to_hold_them_the_sockets_close() {
    // The known-bad case of the first test: the same end, nobody who holds.
    let mut world = World::new().await;
    world.share(0).await;
    world.stop().await;
    assert!(TcpStream::connect(world.listen).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_a_supervisor_are_kept_for_later() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let listen = socket.local_addr().expect("address");
    let copy = socket.try_clone().expect("copy");
    let mut world = World::with(|config| config.activated.push(copy)).await;
    let old_listen = std::mem::replace(&mut world.listen, listen);
    world.share(0).await;
    assert_eq!(get(listen, "/", &[]).await.status, 200);
    // Not wanted for a while, then wanted again: it was never let go.
    world.listen = old_listen;
    world.share(0).await;
    world.listen = listen;
    world.share(0).await;
    assert_eq!(get(listen, "/", &[]).await.status, 200);
    world.stop().await;
    // The supervisor's own copy still queues.
    assert!(TcpStream::connect(listen).await.is_ok());
}
