//! Looks at the proxy's own metrics, again and again, and remembers what they showed.
//!
//! It asks on the proxy's control socket, and nothing there that changes anything: also
//! when the control plane is dead there is a witness.

use super::agreement::Shown;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// Pause between two looks.
const EVERY: Duration = Duration::from_millis(25);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// One look at the proxy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// When it was asked, microseconds since 1970.
    pub asked_us: i64,
    /// When it had answered.
    pub at_us: i64,
    /// Epoch and number of the generation in force.
    pub generation: (u64, u64),
    /// Seconds since it heard its controller, where it says so.
    pub silence_s: Option<f64>,
    /// The canary's share by release, in basis points.
    pub shares: BTreeMap<String, u32>,
    /// How far it is with telling what it counted.
    pub telling: Telling,
}

/// How far a proxy is with telling what it counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Telling {
    /// Which start of the proxy.
    pub boot: String,
    /// Number of its newest finished slice.
    pub finished: u64,
    /// Slices that are not known to be stored.
    pub waiting: u64,
    /// Whether earlier processes may still add slices.
    pub expects: bool,
}

/// A witness of what the proxy does. Ends when dropped.
#[derive(Debug)]
pub struct Watcher {
    socket: PathBuf,
    looks: Arc<Mutex<Vec<Look>>>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Begins to look at the proxy of this data folder.
    #[must_use]
    pub fn start(data: &Path) -> Self {
        let socket = data.join("proxy").join("proxy.sock");
        let looks = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(look_on(socket.clone(), Arc::clone(&looks)));
        Self {
            socket,
            looks,
            task,
        }
    }

    fn looks(&self) -> MutexGuard<'_, Vec<Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest look.
    #[must_use]
    pub fn last(&self) -> Option<Look> {
        self.looks().last().cloned()
    }

    /// What was seen of a release since `from_us`.
    #[must_use]
    pub fn shown(&self, release: &str, from_us: i64) -> Vec<Shown> {
        self.looks()
            .iter()
            .filter(|look| look.at_us >= from_us)
            .map(|look| Shown {
                at_us: look.at_us,
                generation: look.generation,
                share: look.shares.get(release).copied(),
            })
            .collect()
    }

    /// Asks now; nothing when the proxy does not answer.
    pub async fn look(&self) -> Option<Look> {
        look(&self.socket).await
    }

    /// When it was asked last before the newest cut that was seen before `at_us`: what
    /// ended since then may not be written down at `at_us`. Nothing when no cut was seen.
    #[must_use]
    pub fn before_last_cut(&self, at_us: i64) -> Option<i64> {
        before_last_cut(&self.looks(), at_us)
    }

    /// Forgets what is older; a long run would fill the memory.
    pub fn forget(&self, before_us: i64) {
        self.looks().retain(|look| look.at_us >= before_us);
    }

    /// The proxy's process, asked now.
    pub async fn proxy_pid(&self) -> Option<i32> {
        let text = get(&self.socket, "/v1/hello").await.ok()?;
        let hello: Value = serde_json::from_str(&text).ok()?;
        i32::try_from(hello["pid"].as_i64()?).ok()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_on(socket: PathBuf, looks: Arc<Mutex<Vec<Look>>>) {
    loop {
        if let Some(look) = look(&socket).await {
            looks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(look);
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(socket: &Path) -> Option<Look> {
    let asked_us = now_us();
    let text = get(socket, "/metrics").await.ok()?;
    let look = read(&text, now_us())?;
    Some(Look { asked_us, ..look })
}

fn before_last_cut(looks: &[Look], at_us: i64) -> Option<i64> {
    let mut before = looks.iter().rev().skip_while(|look| look.at_us > at_us);
    let last = &before.next()?.telling;
    before
        .find(|look| look.telling.boot != last.boot || look.telling.finished < last.finished)
        .map(|look| look.asked_us)
}

/// The wall clock, microseconds since 1970.
#[must_use]
pub fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

async fn get(socket: &Path, path: &str) -> io::Result<String> {
    let answer = tokio::time::timeout(PATIENCE, async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // Its faults are those of the request on it.
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", "proxy")
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(io::Error::other)?;
        String::from_utf8(body.to_bytes().to_vec()).map_err(io::Error::other)
    });
    answer.await.map_err(io::Error::other)?
}

/// Reads the lines that matter; nothing when the generation is not among them.
fn read(text: &str, at_us: i64) -> Option<Look> {
    let mut look = Look {
        at_us,
        ..Look::default()
    };
    let (mut epoch, mut number) = (None, None);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ')?;
        let value: f64 = value.parse().ok()?;
        match name.split('{').next()? {
            "esclusa_proxy_generation_epoch" => epoch = Some(value as u64),
            "esclusa_proxy_generation_number" => number = Some(value as u64),
            "esclusa_proxy_silence_seconds" => look.silence_s = Some(value),
            "esclusa_proxy_info" => look.telling.boot = label(name, "boot")?.to_owned(),
            "esclusa_proxy_slices_finished" => look.telling.finished = value as u64,
            "esclusa_proxy_slices_expected" => look.telling.expects = value > 0.0,
            "esclusa_proxy_slices_waiting" => look.telling.waiting = value as u64,
            "esclusa_canary_share_ratio" => {
                let release = label(name, "release")?;
                let share = (value * 10_000.0).round() as u32;
                look.shares.insert(release.to_owned(), share);
            }
            _ => {}
        }
    }
    look.generation = (epoch?, number?);
    Some(look)
}

fn label<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.split_once(&format!("{name}=\""))?.1;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(boot: &str, finished: u64, waiting: u64, expects: bool) -> Telling {
        Telling {
            boot: boot.to_owned(),
            finished,
            waiting,
            expects,
        }
    }

    #[test]
    fn what_a_killed_proxy_had_not_written_down_began_before_its_last_cut() {
        let look = |asked_us: i64, boot: &str, finished| Look {
            asked_us,
            at_us: asked_us + 3,
            telling: telling(boot, finished, 0, false),
            ..Look::default()
        };
        let looks = [
            look(10, "a", 3),
            look(20, "a", 6),
            look(30, "a", 6),
            look(40, "a", 6),
            look(50, "b", 0),
            look(60, "b", 3),
        ];
        assert_eq!(before_last_cut(&looks, 43), Some(10));
        // The answer of 40 was not there yet; that changes nothing.
        assert_eq!(before_last_cut(&looks, 42), Some(10));
        assert_eq!(before_last_cut(&looks, 55), Some(40));
        assert_eq!(before_last_cut(&looks, 70), Some(50));
        assert_eq!(before_last_cut(&looks, 15), None);
    }

    #[test]
    fn metrics_are_read() {
        let text = "# HELP esclusa_proxy_generation_epoch x\n\
                    esclusa_proxy_generation_epoch 3\n\
                    esclusa_proxy_generation_number 17\n\
                    esclusa_proxy_silence_seconds 0.25\n\
                    esclusa_proxy_info{proxy=\"local\",boot=\"b1\"} 1\n\
                    esclusa_proxy_slices_finished 30\n\
                    esclusa_proxy_slices_expected 1\n\
                    esclusa_proxy_slices_waiting 3\n\
                    esclusa_canary_share_ratio{service=\"shop\",release=\"r-1\"} 0.05\n\
                    esclusa_canary_share_ratio{service=\"cart\",release=\"r-2\"} 1\n\
                    esclusa_requests_total{service=\"shop\",class=\"ok\"} 12\n";
        let look = read(text, 5).expect("a look");
        assert_eq!((look.at_us, look.generation), (5, (3, 17)));
        assert_eq!(look.silence_s, Some(0.25));
        let shares = BTreeMap::from([("r-1".to_owned(), 500), ("r-2".to_owned(), 10_000)]);
        assert_eq!(look.shares, shares);
        assert_eq!(look.telling, telling("b1", 30, 3, true));
        assert_eq!(read("esclusa_proxy_generation_epoch 3\n", 5), None);
    }
}
