//! Sending by the clock.

use super::connections::{Connections, Failure};
use super::jar::Jar;
use super::report::LoadReport;
use super::tally::{Clock, Departure, Tally};
use super::{Arrivals, LoadConfig, Protocol, RequestTemplate};
use crate::Random;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Uri, Version};
use http_body_util::Full;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Not "esclusa/": a controller's own requests say that, and this one stands for people.
const AGENT: HeaderValue = HeaderValue::from_static("demo-load/1");

/// A load generator.
#[derive(Debug)]
pub struct Load;

/// A running load. Dropped without [`LoadHandle::stop`], it stops at once.
#[derive(Debug)]
pub struct LoadHandle {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    sender: JoinHandle<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    config: LoadConfig,
    connections: Connections,
    jars: Vec<Mutex<Jar>>,
    tally: Mutex<Tally>,
}

impl Load {
    /// Begins to send.
    ///
    /// # Errors
    /// When the configuration makes no load: no rate, no user, no request.
    pub fn start(config: LoadConfig) -> io::Result<LoadHandle> {
        let possible = config.rate.is_finite()
            && config.rate > 0.0
            && config.users > 0
            && !config.requests.is_empty();
        if !possible {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a load needs a rate above 0, a user and a request",
            ));
        }
        let shared = Arc::new(Shared {
            connections: Connections::new(config.target, config.protocol),
            jars: (0..config.users).map(|_| Mutex::default()).collect(),
            tally: Mutex::new(Tally::new(Clock::start(), config.users)),
            config,
        });
        let (stop, stopped) = watch::channel(false);
        let sender = tokio::spawn(send_by_the_clock(Arc::clone(&shared), stopped));
        Ok(LoadHandle {
            shared,
            stop,
            sender,
        })
    }
}

impl LoadHandle {
    /// The state of things now.
    #[must_use]
    pub fn snapshot(&self) -> LoadReport {
        self.shared.report()
    }

    /// Tells how many requests have ended so far, also after this handle is gone.
    pub fn counter(&self) -> impl Fn() -> u64 + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.tally().ended()
    }

    /// Whether its duration is over; what is under way may still end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sender.is_finished()
    }

    /// Sends nothing more, waits for what is under way (each request at most for its
    /// timeout) and reports.
    pub async fn stop(self) -> LoadReport {
        // An error means that nobody listens any more: it has stopped by itself.
        let _ = self.stop.send(true);
        self.finished().await
    }

    /// Waits until its duration is over and everything has ended, and reports. Never
    /// returns where there is no duration.
    pub async fn finished(mut self) -> LoadReport {
        if let Ok(under_way) = (&mut self.sender).await {
            under_way.join_all().await;
        }
        self.shared.report()
    }
}

impl Drop for LoadHandle {
    fn drop(&mut self) {
        // Its set of requests goes with it.
        self.sender.abort();
    }
}

/// Gives the requests that are still under way at the end.
async fn send_by_the_clock(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) -> JoinSet<()> {
    let config = &shared.config;
    let mut random = Random::new(config.seed);
    let mut under_way = JoinSet::new();
    let start = Instant::now();
    let mut due = start;
    for number in 0_u64.. {
        if config.duration.is_some_and(|span| due >= start + span) {
            break;
        }
        if due > Instant::now() {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
        } else if *stopped.borrow() {
            break;
        } else {
            // Behind its time: catches up, but lets the replies be read too.
            tokio::task::yield_now().await;
        }
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= config.max_under_way {
            shared.tally().not_sent();
        } else {
            let now = Instant::now();
            shared.tally().leaves(now.saturating_duration_since(due));
            let departure = Departure {
                user: (number % config.users as u64) as usize,
                at: now,
            };
            under_way.spawn(one(Arc::clone(&shared), number, departure));
        }
        let pause = match config.arrivals {
            Arrivals::Even => 1.0,
            Arrivals::Poisson => -(1.0 - random.unit()).ln(),
        };
        due += Duration::from_secs_f64(pause / config.rate);
    }
    under_way
}

async fn one(shared: Arc<Shared>, number: u64, departure: Departure) {
    let timeout = shared.config.timeout;
    let end = match shared.request(number, departure.user) {
        Ok(request) => tokio::time::timeout(timeout, shared.connections.send(request))
            .await
            .unwrap_or_else(|late| Err(Failure::new("timeout", &late))),
        Err(error) => Err(Failure::new("request", &error)),
    };
    if let Ok(reply) = &end {
        shared.jar(departure.user).receive(&reply.headers);
    }
    shared.tally().ends(departure, end.as_ref());
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jar(&self, user: usize) -> MutexGuard<'_, Jar> {
        self.jars[user]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> LoadReport {
        self.tally().report(self.connections.opened())
    }

    /// Each person goes through all kinds of requests, also when their number and that
    /// of the kinds have a common factor.
    fn template(&self, number: u64) -> &RequestTemplate {
        let round = number / self.config.users as u64;
        let index = (number + round) % self.config.requests.len() as u64;
        &self.config.requests[index as usize]
    }

    fn request(&self, number: u64, user: usize) -> Result<Request<Full<Bytes>>, http::Error> {
        let template = self.template(number);
        let path = template.path.replace("{n}", &(number % 1_000).to_string());
        let host = if self.config.host.is_empty() {
            self.config.target.to_string()
        } else {
            self.config.host.clone()
        };
        let mut request = Request::builder().method(&template.method);
        request = match self.config.protocol {
            Protocol::H1 => request.uri(path).header(HOST, host),
            Protocol::H2c => request.version(Version::HTTP_2).uri(
                Uri::builder()
                    .scheme("http")
                    .authority(host)
                    .path_and_query(path)
                    .build()?,
            ),
        };
        if let Some(name) = &self.config.user_header {
            request = request.header(name, format!("user-{user}"));
        }
        if !template.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let mut request = request.body(Full::new(template.body.clone()))?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        self.jar(user).send(headers);
        // The template's own lines win, also over a person's cookies.
        headers.extend(template.headers.clone());
        Ok(request)
    }
}
