//! Changes, restarts and replacements of the proxy, with clients that never send anything
//! twice. The same with more of everything, beside nginx: the example `hitless` of the
//! testkit.

use esclusa_testkit::Random;
use esclusa_testkit::hitless::clients::{Clients, KINDS, Kind};
use esclusa_testkit::hitless::proxies::{Proxies, generation, publish};
use esclusa_testkit::hitless::shares::Checkers;
use esclusa_testkit::hitless::versions;
use esclusa_testkit::process::Running;
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

async fn proxies() -> Proxies {
    let stable = versions::start("stable").await.expect("a version");
    let canary = versions::start("canary").await.expect("a version");
    let binary = Path::new(env!("CARGO_BIN_EXE_esclusa"));
    Proxies::start(binary, [stable, canary])
        .await
        .expect("a proxy")
}

/// Waits until every kind of client has got something, so that each is at work.
async fn at_work(clients: &Clients, kinds: usize) {
    esclusa_testkit::wait_until("all clients at work", crate::world::LONG, async || {
        let tally = clients.tally();
        let working = tally.0.values().filter(|sum| sum.good > 0).count();
        (working == kinds).then_some(())
    })
    .await
    .expect("clients that work");
}

// TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_and_restarted_proxies_fail_nobody() {
    let mut proxies = proxies().await;
    let clients = Clients::start(proxies.listen(), &KINDS, 2);
    at_work(&clients, KINDS.len()).await;
    for cycle in 0..10 {
        let done = if cycle % 2 == 0 {
            proxies.upgrade().await
        } else {
            proxies.restart().await
        };
        done.expect("the next process");
    }
    proxies.drained().await.expect("all drained");
    let tally = clients.finish().await;
    assert_eq!(tally.failures(), 0, "{tally}\n{}", proxies.output());
    // Each kind was at work, and those with lasting connections were sent away properly.
    for (kind, sum) in &tally.0 {
        assert!(sum.good > 0, "{kind:?}\n{tally}");
    }
    for kind in [Kind::KeepAlive, Kind::Http2, Kind::WebSocket] {
        assert!(tally.0[&kind].sent_away > 0, "{tally}");
    }
}

// TRF-07, TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_changes_fail_nobody_and_show_nothing_old() {
    let mut proxies = proxies().await;
    let checkers = Checkers::start(proxies.listen(), 8, 0);
    let control = proxies.control();
    let mut random = Random::new(3);
    for number in 0..1_000 {
        let next = proxies.next_number() + number;
        checkers
            .change(&control, &mut random, |share| {
                proxies.generation(next, share)
            })
            .await
            .expect("changed");
        // In the middle of it the process is replaced, and old connections stay.
        if number == 500 {
            proxies.upgrade().await.expect("the next process");
        }
    }
    let checked = checkers.finish().await;
    assert_eq!((checked.failed, checked.stale), (0, 0), "{checked:?}");
    assert!(
        checked.canary > 0 && checked.good > checked.canary,
        "{checked:?}"
    );
}

/// The check above finds what it looks for: a client that believes a change which the
/// proxy never got.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_not_in_force_is_found() {
    let proxies = proxies().await;
    let checkers = Checkers::start(proxies.listen(), 4, 10_000);
    esclusa_testkit::wait_until("a stale answer", crate::world::LONG, async || {
        (checkers.checked().stale > 0).then_some(())
    })
    .await
    .expect("found");
    checkers.finish().await;
}

// TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_proxy_refuses_nobody() {
    let mut proxies = proxies().await;
    let clients = Clients::start(proxies.listen(), &[Kind::Fresh], 4);
    for _ in 0..3 {
        at_work(&clients, 1).await;
        proxies.kill().await.expect("killed");
        // Somebody connects while nobody is there.
        let waits = tokio::net::TcpStream::connect(proxies.listen()).await;
        proxies.revive().await.expect("the next process");
        drop(waits.expect("not refused"));
    }
    let tally = clients.finish().await;
    let refused: u64 = tally.0.values().map(|sum| sum.refused).sum();
    assert_eq!(refused, 0, "{tally}");
}

// TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_killed_on_its_way_changes_nothing() {
    let mut proxies = proxies().await;
    let clients = Clients::start(proxies.listen(), &KINDS, 1);
    at_work(&clients, KINDS.len()).await;
    // Before it can have asked for anything: the older one must go on.
    for _ in 0..3 {
        let went_on = proxies
            .kill_newcomer(Duration::ZERO)
            .await
            .expect("a newcomer");
        assert!(went_on, "{}", proxies.output());
    }
    proxies.upgrade().await.expect("one that lives");
    let tally = clients.finish().await;
    assert_eq!(tally.failures(), 0, "{tally}\n{}", proxies.output());
}

/// A supervisor as systemd is one: it keeps its copy of the socket and passes it as the
/// third descriptor.
fn activated(socket: &std::net::TcpListener, data: &Path) -> Running {
    let inherit = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
    nix::fcntl::fcntl(socket, inherit).expect("inheritable");
    let script = format!(
        "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec '{}' proxy --id p1 --data '{}' 3<&{}",
        env!("CARGO_BIN_EXE_esclusa"),
        data.display(),
        socket.as_raw_fd()
    );
    Running::start(Path::new("/bin/sh"), &["-c", &script]).expect("starts")
}

async fn answers(address: SocketAddr) -> bool {
    let clients = Clients::start(address, &[Kind::Fresh], 1);
    at_work(&clients, 1).await;
    clients.finish().await.failures() == 0
}

// TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_a_supervisor_survive_a_restart() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = socket.local_addr().expect("an address");
    let version = versions::start("stable").await.expect("a version");
    let folder = esclusa_testkit::TempDir::new("activated").expect("a folder");
    let data = folder.path().join("data");
    let mut proxy = activated(&socket, &data);
    let control = esclusa_proxy::client::ControlClient::new(data.join("proxy.sock"));
    let first = generation(listen, [version, version], 1, 0);
    publish(&control, &first).await.expect("published");
    assert!(answers(listen).await);
    proxy.signal(Signal::SIGTERM).expect("told to end");
    proxy.ended(crate::world::LONG).await.expect("ends");
    // Nobody is there, and nobody is refused.
    let waits = tokio::net::TcpStream::connect(listen).await;
    let _next = activated(&socket, &data);
    assert!(answers(listen).await, "from the state on disk");
    drop(waits.expect("not refused"));
}
