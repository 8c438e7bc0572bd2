//! Random changes of a share, and clients that know what they may see.
//!
//! Each request is checked against the generations that can have been in force while it
//! ran: the one that was acknowledged last when it began, and those that were sent until
//! it ended. Nothing older is allowed.

use super::proxies::{SALT, publish};
use crate::Random;
use bytes::Bytes;
use esclusa_flags::{bucket, in_share};
use esclusa_model::{BasisPoints, Salt};
use esclusa_proxy::client::ControlClient;
use esclusa_wire::Generation;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Shares in the order in which they were sent, and how far they are known.
#[derive(Debug, Default)]
struct Course {
    sent: Mutex<Vec<u16>>,
    acknowledged: AtomicUsize,
}

impl Course {
    fn sent(&self) -> usize {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether `canary` is what one of the shares between the two places asks for.
    fn allows(&self, from: usize, to: usize, tenant: u64, canary: bool) -> bool {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.get(from..to).is_some_and(|shares| {
            shares.iter().any(|share| {
                BasisPoints::new(*share).is_ok_and(|share| in_share(tenant, share) == canary)
            })
        })
    }
}

/// What checked clients saw.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Requests that were answered as they had to be.
    pub good: u64,
    /// Of those, how many went to the canary.
    pub canary: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Answers of a generation that was over when the request began.
    pub stale: u64,
    /// The first of both, in words.
    pub examples: Vec<String>,
}

/// Clients that check every answer against the course of the shares.
#[derive(Debug)]
pub struct Checkers {
    course: Arc<Course>,
    checked: Arc<Mutex<Checked>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Checkers {
    /// Starts `count` clients against `address`, where `share` is in force.
    #[must_use]
    pub fn start(address: SocketAddr, count: u64, share: u16) -> Self {
        let course = Arc::new(Course {
            sent: Mutex::new(vec![share]),
            acknowledged: AtomicUsize::new(1),
        });
        let (checked, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let tasks = (0..count)
            .map(|seed| {
                let checker = Checker {
                    address,
                    course: Arc::clone(&course),
                    checked: Arc::clone(&checked),
                    stop: Arc::clone(&stop),
                    random: Random::new(seed + 100),
                };
                tokio::spawn(checker.run())
            })
            .collect();
        Self {
            course,
            checked,
            stop,
            tasks,
        }
    }

    /// Publishes a random share, made a generation by `make`, and waits for the answer.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn change(
        &self,
        control: &ControlClient,
        random: &mut Random,
        make: impl FnOnce(u16) -> Generation,
    ) -> io::Result<()> {
        let share = u16::try_from(random.below(10_001)).unwrap_or(0);
        let place = {
            let mut sent = self
                .course
                .sent
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            sent.push(share);
            sent.len()
        };
        publish(control, &make(share)).await?;
        self.course.acknowledged.store(place, Ordering::SeqCst);
        Ok(())
    }

    /// What was seen up to now.
    #[must_use]
    pub fn checked(&self) -> Checked {
        self.checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lets each finish its request; what all saw.
    pub async fn finish(self) -> Checked {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            // A checker that panics is a bug of the harness; its counts remain.
            let _ = task.await;
        }
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.clone()
    }
}

struct Checker {
    address: SocketAddr,
    course: Arc<Course>,
    checked: Arc<Mutex<Checked>>,
    stop: Arc<AtomicBool>,
    random: Random,
}

type Sender = http1::SendRequest<Empty<Bytes>>;

impl Checker {
    fn note(&self, change: impl FnOnce(&mut Checked)) {
        change(&mut self.checked.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn fail(&self, why: String) {
        self.note(|checked| {
            checked.failed += 1;
            if checked.examples.len() < 5 {
                checked.examples.push(why);
            }
        });
    }

    async fn run(mut self) {
        let Ok(salt) = Salt::new(SALT) else { return };
        while !self.stop.load(Ordering::SeqCst) {
            match self.connect().await {
                Ok(sender) => self.use_up(sender, &salt).await,
                Err(error) => {
                    self.fail(format!("connect: {error}"));
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    async fn connect(&self) -> io::Result<Sender> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn use_up(&mut self, mut sender: Sender, salt: &Salt) {
        while !self.stop.load(Ordering::SeqCst) && sender.ready().await.is_ok() {
            let tenant = format!("t{}", self.random.below(1_000_000));
            // What is acknowledged now must hold for what begins now.
            let from = self.course.acknowledged.load(Ordering::SeqCst) - 1;
            let answer = ask(&mut sender, &tenant).await;
            let to = self.course.sent();
            let (canary, closes) = match answer {
                Ok(answer) => answer,
                Err(why) => return self.fail(why),
            };
            let place = bucket(salt, &tenant);
            let allowed = self.course.allows(from, to, place, canary);
            self.note(|checked| {
                checked.good += u64::from(allowed);
                checked.canary += u64::from(canary);
                checked.stale += u64::from(!allowed);
                if !allowed && checked.examples.len() < 5 {
                    checked.examples.push(format!(
                        "{tenant} saw the canary: {canary}, between changes {from} and {to}"
                    ));
                }
            });
            if closes {
                return;
            }
            let pause = self.random.below(5);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

/// Whether the canary answered, and whether this was the connection's last answer.
async fn ask(sender: &mut Sender, tenant: &str) -> Result<(bool, bool), String> {
    let request = Request::builder()
        .uri("/")
        .header("host", "shop.example")
        .header("x-tenant", tenant)
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| format!("{error:?}"))?;
    let status = response.status();
    let is = |name: &str, value: &str| response.headers().get(name).is_some_and(|v| v == value);
    let (canary, closes) = (is("x-version", "canary"), is("connection", "close"));
    let body = response.into_body().collect().await;
    body.map_err(|error| format!("the answer broke off: {error:?}"))?;
    if status != 200 {
        return Err(format!("{status}"));
    }
    Ok((canary, closes))
}
