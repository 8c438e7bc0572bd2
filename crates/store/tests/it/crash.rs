//! Killed with SIGKILL in the middle of appends: nothing acknowledged is lost.

use crate::world::{NOW, event, folder, open, stream};
use esclusa_model::Epoch;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Tells the test binary that it is the child, and where the data is.
const CHILD: &str = "ESCLUSA_STORE_TEST_CHILD";

/// The child's work: appends until it is killed, saying each acknowledged position.
/// By itself, without the variable, there is nothing for it to do.
#[tokio::test(flavor = "current_thread")]
async fn child_appends_until_killed() {
    let Ok(dir) = std::env::var(CHILD) else {
        return;
    };
    let store = open(dir.as_ref()).await;
    let name = stream("release/crash");
    let streams = store.streams("").await.expect("listed");
    let mut position = streams.first().map_or(0, |(_, position)| *position);
    let mut out = std::io::stdout().lock();
    loop {
        let count = position % 3 + 1;
        let events: Vec<_> = (1..=count).map(|n| event(position + n)).collect();
        store
            .append(&name, position, NOW, &events)
            .await
            .expect("appended");
        position += count;
        writeln!(out, "acknowledged {position}").expect("the parent reads");
        out.flush().expect("the parent reads");
    }
}

// Mission system 1: kill -9 while it writes, again and again, on one folder.
#[tokio::test]
async fn no_acknowledged_event_is_lost() {
    const ROUNDS: u64 = 12;
    let dir = folder();
    for round in 0..ROUNDS {
        let acknowledged = run_child_and_kill(dir.path(), 1 + round * 7 % 23);
        let store = open(dir.path()).await;
        // Each child counted once, each check once.
        assert_eq!(store.epoch(), Epoch(2 * round + 2));
        let all = store
            .read(&stream("release/crash"), 0, usize::MAX)
            .await
            .expect("read");
        assert!(
            all.len() as u64 >= acknowledged,
            "{} < {acknowledged}",
            all.len()
        );
        for (envelope, number) in all.iter().zip(1_u64..) {
            assert_eq!(envelope.payload["number"], number);
        }
        let found = store.verify().await.expect("verified");
        assert_eq!((found.events, found.broken), (all.len() as u64, Vec::new()));
        store.close().await;
    }
}

/// Kills the child after it acknowledged `appends` times; gives the last position it said.
fn run_child_and_kill(dir: &std::path::Path, appends: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args([
            "--exact",
            "crash::child_appends_until_killed",
            "--nocapture",
        ])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut last = 0;
    let mut seen = 0;
    let mut note = |line: String| {
        if let Some((_, position)) = line.split_once("acknowledged ") {
            last = position.trim().parse().expect("a position");
            seen += 1;
        }
        seen
    };
    for line in lines.by_ref() {
        if note(line.expect("a line")) >= appends {
            break;
        }
    }
    child.kill().expect("SIGKILL is sent");
    // What it said before it died counts too; a line cut short was not said.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    for line in rest {
        note(line);
    }
    child.wait().expect("the child is gone");
    assert!(last >= appends, "the child said {last}");
    last
}
