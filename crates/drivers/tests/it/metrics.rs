//! Metric sources: a real Prometheus, a server that answers as it is told, and commands.

use esclusa_drivers::Placeholders;
use esclusa_drivers::metrics::{Lack, MetricContext, Reading, Side, source};
use esclusa_model::{Millis, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    Timestamp(i64::try_from(since.as_micros()).expect("this age"))
}

fn context(version: &str) -> MetricContext {
    MetricContext {
        placeholders: Placeholders::new().with("version", version),
        env: BTreeMap::from([("ESCLUSA_SERVICE".into(), "shop".into())]),
        cwd: "/".into(),
        side: Side::Canary,
        at: now(),
        fresh: Millis(60_000),
        timeout: Millis(5_000),
    }
}

async fn read(name: &str, config: Value, version: &str) -> Reading {
    let source = source(name, &config).expect("fits");
    source.read(&context(version)).await
}

/// The number, or the kind of lack with its words.
fn told(reading: Reading) -> Result<f64, (Lack, String)> {
    match reading {
        Reading::Value { value, .. } => Ok(value),
        Reading::Unknown(unknown) => Err((unknown.lack, unknown.why)),
    }
}

/// A Prometheus that asks itself twice a second, under the names of two versions.
struct Prometheus {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address").to_string();
        drop(socket);
        let jobs: String = ["v1", "v2"]
            .iter()
            .map(|version| {
                format!(
                    "- job_name: {version}\n  static_configs:\n  - targets: ['{address}']\n    \
                     labels: {{ version: {version} }}\n"
                )
            })
            .collect();
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 400ms }}\nscrape_configs:\n{jobs}"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("written");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus runs; `make setup` installs it");
        Self {
            child,
            url: format!("http://{address}"),
            _folder: folder,
        }
    }

    fn query(&self, query: &str) -> Value {
        json!({ "url": self.url, "query": query })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// MET-10, trap 53: a real Prometheus; what it does not know is unknown, and so is
// everything once it is dead.
#[tokio::test]
async fn prometheus_gives_one_number_or_says_why_not() {
    let mut prometheus = Prometheus::start();
    // Whether a busy machine lets it answer itself in time is not asked here.
    let asked = prometheus.query(r#"count(up{version="${version}"})"#);
    let all = prometheus.query("count(up)");
    let mut tries = 0;
    loop {
        let found = told(read("prometheus", all.clone(), "v2").await);
        if found == Ok(2.0) {
            break;
        }
        tries += 1;
        assert!(tries < 600, "{found:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let one = told(read("prometheus", asked.clone(), "v2").await);
    assert_eq!(one, Ok(1.0));
    let lack = async |query: &str, version: &str| {
        let reading = read("prometheus", prometheus.query(query), version).await;
        told(reading).expect_err("no number")
    };
    let (absent, why) = lack(r#"up{version="${version}"}"#, "v9").await;
    assert_eq!(
        (absent, why.contains("finds nothing")),
        (Lack::Absent, true),
        "{why}"
    );
    let (several, why) = lack("sum by (version) (up)", "v2").await;
    assert_eq!(several, Lack::Question);
    assert!(
        why.contains("2 series") && why.contains("aggregate"),
        "{why}"
    );
    assert_eq!(lack("up[1m]", "v2").await.0, Lack::Question);
    let (wrong, why) = lack("sum(up", "v2").await;
    assert!(
        wrong == Lack::Question && why.contains("parse error"),
        "{why}"
    );
    // No division by nothing is a number.
    assert_eq!(lack("scalar(vector(0)) / 0", "v2").await.0, Lack::Absent);
    let scalar = read("prometheus", prometheus.query("scalar(sum(up))"), "v2").await;
    assert!(told(scalar).is_ok());
    // Each side may have a query of its own.
    let apart = json!({ "url": prometheus.url, "query-baseline": "vector(1)", "query-canary": "vector(2)" });
    let apart = source("prometheus", &apart).expect("fits");
    for (side, value) in [(Side::Baseline, 1.0), (Side::Canary, 2.0)] {
        let context = MetricContext {
            side,
            ..context("v2")
        };
        assert_eq!(told(apart.read(&context).await), Ok(value));
    }
    // A time of long ago: nothing was measured then.
    let old = MetricContext {
        at: Timestamp(now().0 - 3_600_000_000),
        ..context("v2")
    };
    let old = source("prometheus", &asked).expect("fits").read(&old).await;
    assert_eq!(told(old).expect_err("no number").0, Lack::Absent);
    prometheus.child.kill().expect("killed");
    prometheus.child.wait().expect("ended");
    let (dead, why) = told(read("prometheus", asked, "v2").await).expect_err("no number");
    assert_eq!(dead, Lack::Unreachable, "{why}");
}

/// Answers each connection with these bytes, until the test ends; gives its URL.
fn answering(answer: &str) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", socket.local_addr().expect("an address"));
    let answer = answer.to_owned();
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut asked = [0; 4_096];
            let read = stream.read(&mut asked).unwrap_or_default();
            let asked = String::from_utf8_lossy(&asked[..read]).to_lowercase();
            let good = asked.contains("authorization: bearer of-the-file");
            let status = if good { "200 OK" } else { "401 Unauthorized" };
            let length = answer.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all(format!("{head}{answer}").as_bytes());
        }
    });
    url
}

// MET-07: a vendor without a source of its own.
#[tokio::test]
async fn a_number_is_found_in_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer of-the-file\n").expect("written");
    let second = now().unix_second();
    let body = json!({
        "series": [
            { "tags": ["v1"], "last": 12.5, "at": second },
            { "tags": ["v2"], "last": "13.5", "at": second - 3_600 },
            { "tags": ["v3"], "last": null, "at": second },
        ]
    });
    let url = answering(&body.to_string());
    let block = |value: &str| {
        json!({
            "url": format!("{url}?of=${{version}}"), "value": value,
            "headers": { "authorization": format!("file:{}", token.display()) }
        })
    };
    let value = |path: &'static str| {
        let config = block(path);
        async move { told(read("http-json", config, "v1").await) }
    };
    assert_eq!(value("$.series[0].last").await, Ok(12.5));
    assert_eq!(value("$.series[1].last").await, Ok(13.5));
    let lack = async |path| value(path).await.expect_err("no number").0;
    assert_eq!(lack("$.series[2].last").await, Lack::Absent);
    assert_eq!(lack("$.series[*].last").await, Lack::Absent);
    assert_eq!(lack("$.nothing").await, Lack::Absent);
    assert_eq!(lack("$.series[0].tags").await, Lack::Question);
    // With a time, an old number is told from a new one.
    let mut timed = block("$.series[1].last");
    timed["time"] = json!("$.series[1].at");
    let stale = told(read("http-json", timed, "v1").await).expect_err("no number");
    assert_eq!(stale.0, Lack::Stale, "{}", stale.1);
    // A token never stands in the plan, and never in what is told.
    let mut open = block("$.series[0].last");
    open["headers"] = json!({ "authorization": "Bearer of-the-file" });
    let refused = told(read("http-json", open, "v1").await).expect_err("refused");
    assert!(
        refused.0 == Lack::Question && !refused.1.contains("of-the-file"),
        "{}",
        refused.1
    );
    // Nor is a placeholder's value a reference: nobody's version name is run.
    let mark = folder.path().join("ran");
    let mut named = block("$.series[0].last");
    named["headers"]["x-version"] = json!("${version}");
    let name = format!("cmd:touch {}", mark.display());
    let reading = read("http-json", named, &name).await;
    assert_eq!((told(reading), mark.exists()), (Ok(12.5), false));
    let mut none = block("$.series[0].last");
    none["headers"] = json!({});
    assert_eq!(
        told(read("http-json", none, "v1").await)
            .expect_err("401")
            .0,
        Lack::Question
    );
    let page = answering("<html>");
    let html = json!({ "url": page, "value": "$.a" });
    assert_eq!(
        told(read("http-json", html, "v1").await)
            .expect_err("no JSON")
            .0,
        Lack::Question
    );
    let nobody = json!({ "url": "http://127.0.0.1:9/", "value": "$.a" });
    let nobody = told(read("http-json", nobody, "v1").await).expect_err("nobody");
    assert_eq!(nobody.0, Lack::Unreachable);
}

// MET-07: whatever else there is, by a program of the user's own.
#[tokio::test]
async fn a_command_prints_a_number() {
    let command = async |script: &str| {
        let config = json!({ "run": ["/bin/sh", "-c", script] });
        told(read("command", config, "2.4.1").await)
    };
    assert_eq!(command("echo asking; echo 0.25; echo").await, Ok(0.25));
    assert_eq!(
        command("test $ESCLUSA_SERVICE = shop && test ${version} = 2.4.1 && echo 1").await,
        Ok(1.0)
    );
    let lack = async |script: &str| command(script).await.expect_err("no number").0;
    assert_eq!(lack("echo 1; exit 3").await, Lack::Unreachable);
    assert_eq!(lack("true").await, Lack::Absent);
    assert_eq!(lack("echo NaN").await, Lack::Absent);
    assert_eq!(lack("echo 12 ms").await, Lack::Question);
    assert_eq!(lack("no-such-program-here").await, Lack::Question);
    let sleepy = source("command", &json!({ "run": ["/bin/sleep", "60"] })).expect("fits");
    let soon = MetricContext {
        timeout: Millis(200),
        ..context("v1")
    };
    assert_eq!(
        told(sleepy.read(&soon).await).expect_err("late").0,
        Lack::Unreachable
    );
    assert!(Path::new("/bin/sleep").exists());
}
