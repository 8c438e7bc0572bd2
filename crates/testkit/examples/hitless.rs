//! What clients notice of restarts: `cargo run --release --example hitless -- [--cycles N]`.
//!
//! Clients of six kinds that never send anything twice, against `esclusa proxy` that is
//! replaced and restarted again and again, and against nginx that reloads as often, both
//! in front of the same versions. Then 1,000 random changes of a share under load, then
//! processes that are killed in the middle of taking over. Ends with 1 when esclusa
//! failed a single request, or showed one generation after the next was acknowledged.
//!
//! `cargo build --release --bins` first. nginx is left out, and said to be, where it is
//! not installed.

#![expect(
    clippy::expect_used,
    reason = "a comparison that cannot be made says so and ends"
)]

use clap::Parser;
use esclusa_testkit::hitless::clients::{Clients, KINDS, Kind, Tally};
use esclusa_testkit::hitless::proxies::Proxies;
use esclusa_testkit::hitless::shares::Checkers;
use esclusa_testkit::hitless::versions;
use esclusa_testkit::process::{Running, built_binary};
use esclusa_testkit::{Random, TempDir, ports, wait_until};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// What clients notice of restarts.
#[derive(Debug, Parser)]
#[command(name = "hitless")]
struct Args {
    /// Replacements of the process; every second one is a restart.
    #[arg(long, default_value_t = 100)]
    cycles: u32,
    /// Clients of each kind.
    #[arg(long, default_value_t = 10)]
    each: u64,
    /// Random changes of the share.
    #[arg(long, default_value_t = 1_000)]
    changes: u32,
    /// Newcomers that are killed.
    #[arg(long, default_value_t = 20)]
    kills: u32,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    let binary = built_binary("esclusa").expect("the esclusa binary");
    let stable = versions::start("stable").await.expect("a version");
    let canary = versions::start("canary").await.expect("a version");
    let replaced = replace(&binary, [stable, canary], &args).await;
    reload_nginx(stable, &args, &replaced).await;
    let changed = change(&binary, [stable, canary], &args).await;
    let killed = kill(&binary, [stable, canary], &args).await;
    if replaced.tally.failures() == 0 && changed && killed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Replaced {
    tally: Tally,
    took: Duration,
}

async fn replace(binary: &Path, versions: [SocketAddr; 2], args: &Args) -> Replaced {
    let mut proxies = Proxies::start(binary, versions).await.expect("a proxy");
    let clients = Clients::start(proxies.listen(), &KINDS, args.each);
    let begun = Instant::now();
    for cycle in 0..args.cycles {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let done = if cycle % 2 == 0 {
            proxies.upgrade().await
        } else {
            proxies.restart().await
        };
        done.expect("the next process");
    }
    proxies.drained().await.expect("all drained");
    let took = begun.elapsed();
    let tally = clients.finish().await;
    println!(
        "esclusa: {} upgrades and restarts in {took:.0?}: {} good answers, {} failures\n{tally}",
        args.cycles,
        tally.good(),
        tally.failures()
    );
    Replaced { tally, took }
}

/// As many reloads in the same time, in front of the same version.
async fn reload_nginx(version: SocketAddr, args: &Args, replaced: &Replaced) {
    let folder = TempDir::new("hitless-nginx").expect("a folder");
    let listen = SocketAddr::from(([127, 0, 0, 1], ports::free_port().expect("a port")));
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, nginx_conf(folder.path(), listen, version)).expect("written");
    let file = file.display().to_string();
    let Ok(nginx) = Running::start(Path::new("nginx"), &["-c", &file]) else {
        println!("nginx: not installed, nothing to compare with\n");
        return;
    };
    let up = wait_until("nginx", LIMIT, async || {
        tokio::net::TcpStream::connect(listen).await.ok()
    });
    if let Err(error) = up.await {
        println!("nginx: {error}: {}\n", nginx.output());
        return;
    }
    // Plain HTTP/2 on the port for HTTP/1 is nothing that this nginx can do.
    let kinds: Vec<Kind> = KINDS.into_iter().filter(|k| *k != Kind::Http2).collect();
    let clients = Clients::start(listen, &kinds, args.each);
    for _ in 0..args.cycles {
        tokio::time::sleep(replaced.took / args.cycles).await;
        nginx.signal(Signal::SIGHUP).expect("it runs");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tally = clients.finish().await;
    println!(
        "nginx: {} reloads: {} good answers, {} failures\n{tally}",
        args.cycles,
        tally.good(),
        tally.failures()
    );
}

fn nginx_conf(folder: &Path, listen: SocketAddr, version: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 2;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream version {{ server {version}; keepalive 64; }}
  server {{
    listen {listen};
    location /ws {{
      proxy_pass http://version; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    }}
    location / {{
      proxy_pass http://version; proxy_http_version 1.1; proxy_set_header Connection \"\";
      proxy_request_buffering off; proxy_buffering off;
    }}
  }}
}}
"
    )
}

async fn change(binary: &Path, versions: [SocketAddr; 2], args: &Args) -> bool {
    let proxies = Proxies::start(binary, versions).await.expect("a proxy");
    let checkers = Checkers::start(proxies.listen(), 16, 0);
    let mut random = Random::new(7);
    let control = proxies.control();
    let mut longest = Duration::ZERO;
    for number in 0..u64::from(args.changes) {
        let next = proxies.next_number() + number;
        let begun = Instant::now();
        let changed = checkers.change(&control, &mut random, |share| {
            proxies.generation(next, share)
        });
        changed.await.expect("changed");
        longest = longest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(random.below(10))).await;
    }
    let checked = checkers.finish().await;
    println!(
        "shares: {} random changes, {} requests ({} to the canary), {} failed, {} stale, longest change {longest:.1?}\n{}",
        args.changes,
        checked.good,
        checked.canary,
        checked.failed,
        checked.stale,
        checked.examples.join("\n")
    );
    checked.failed == 0 && checked.stale == 0 && checked.canary > 0
}

/// Newcomers killed at a random moment: the older one goes on, or the next one begins
/// from what is held; nobody is refused.
async fn kill(binary: &Path, versions: [SocketAddr; 2], args: &Args) -> bool {
    let mut proxies = Proxies::start(binary, versions).await.expect("a proxy");
    let clients = Clients::start(proxies.listen(), &[Kind::Fresh], 4);
    let mut random = Random::new(11);
    let (mut went_on, mut anew) = (0, 0);
    for _ in 0..args.kills {
        let after = Duration::from_millis(random.below(120));
        if proxies.kill_newcomer(after).await.expect("a newcomer") {
            went_on += 1;
        } else {
            proxies.kill().await.expect("killed");
            proxies.revive().await.expect("the next process");
            anew += 1;
        }
    }
    let tally = clients.finish().await;
    let refused: u64 = tally.0.values().map(|sum| sum.refused).sum();
    println!(
        "killed newcomers: {}; after {went_on} the older one went on, after {anew} the next one began anew; {refused} refused",
        args.kills
    );
    refused == 0
}
