//! Sockets that outlive whoever listened on them.

use esclusa_shim::hold::HoldClient;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Holder(Child);

impl Holder {
    fn start(dir: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_esclusa-shim"))
            .arg("hold")
            .arg(dir)
            .stdin(Stdio::null())
            .spawn()
            .expect("starts");
        let until = Instant::now() + Duration::from_secs(20);
        while HoldClient::connect(dir).is_err() {
            assert!(Instant::now() < until, "the holder does not answer");
            std::thread::yield_now();
        }
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It is gone already when this fails.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

#[test]
fn a_socket_waits_with_its_clients_for_the_next_owner() {
    let dir = tempfile::tempdir().expect("a folder");
    let _holder = Holder::start(dir.path());
    let (first, address) = socket();
    let mut owner = HoldClient::connect(dir.path()).expect("connects");
    owner
        .keep(&address.to_string(), first.as_fd())
        .expect("kept");
    // Its owner is gone, and so is its connection to the holder.
    drop(first);
    drop(owner);
    let mut client = TcpStream::connect(address).expect("not refused");
    client.write_all(b"hello").expect("written");
    let mut next = HoldClient::connect(dir.path()).expect("connects");
    let mut taken = next.take().expect("taken");
    let (name, fd) = taken.pop().expect("one");
    assert_eq!((name, taken.len()), (address.to_string(), 0));
    let (mut stream, _) = TcpListener::from(fd).accept().expect("accepts");
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).expect("read");
    assert_eq!(&hello, b"hello");
    // Given up and closed everywhere, it refuses.
    next.give_up(&address.to_string()).expect("given up");
    assert!(next.list().expect("listed").is_empty());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn many_sockets_are_listed_and_taken_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let _holder = Holder::start(dir.path());
    let mut owner = HoldClient::connect(dir.path()).expect("connects");
    let mut names = Vec::new();
    for _ in 0..150 {
        let (socket, address) = socket();
        owner
            .keep(&address.to_string(), socket.as_fd())
            .expect("kept");
        names.push(address.to_string());
    }
    names.sort();
    assert_eq!(owner.list().expect("listed"), names);
    for (name, fd) in owner.take().expect("taken") {
        let address = TcpListener::from(fd).local_addr().expect("an address");
        assert_eq!(name, address.to_string());
    }
    let (socket, _) = socket();
    assert!(owner.keep("", socket.as_fd()).is_err());
    assert_eq!(owner.list().expect("still listed").len(), 150);
}

#[test]
fn one_folder_has_one_holder_and_a_killed_one_is_replaced() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut holder = Holder::start(dir.path());
    let second = Command::new(env!("CARGO_BIN_EXE_esclusa-shim"))
        .arg("hold")
        .arg(dir.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("ends");
    assert!(!second.success());
    holder.0.kill().expect("killed");
    holder.0.wait().expect("gone");
    let _next = Holder::start(dir.path());
    let mut client = HoldClient::connect(dir.path()).expect("connects");
    assert!(client.list().expect("listed").is_empty());
}
