//! The subscriber: a client of flags that notes when things arrive.

use super::event::Lines;
use super::{Propagation, State};
use crate::backoff::Backoff;
use crate::flags::Flags;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// A stream that says nothing for so long is lost; it shows every 15 s that it lives.
const SILENCE: Duration = Duration::from_secs(40);
/// Shortest and longest pause before the next try.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// Largest answer.
const LARGEST: usize = 64 * 1024 * 1024;

/// Asks for flags as a client does.
#[derive(Clone)]
struct Asking {
    http: Client,
    base: String,
    secret: String,
}

/// What of an answer with all flags matters here.
#[derive(Deserialize)]
struct Bulk {
    metadata: Metadata,
    #[serde(default, rename = "eventStreams")]
    streams: Vec<EventStream>,
}

#[derive(Deserialize)]
struct Metadata {
    revision: u64,
    kills: u64,
}

#[derive(Deserialize)]
struct EventStream {
    endpoint: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "requestUri")]
    uri: String,
}

/// Subscribes to the flags at `address` until the program ends.
pub(crate) async fn keep(flags: Arc<Flags>, address: SocketAddr) {
    let measures = &flags.propagation;
    let http = Client::builder().no_proxy().connect_timeout(ANSWER).build();
    let (Ok(http), Some(secret)) = (http, esclusa_ofrep::watcher_secret(&flags.key)) else {
        measures.lost("no client for it can be made".into());
        return;
    };
    let asking = Asking {
        http,
        base: format!("http://{}", reachable(address)),
        secret,
    };
    let mut backoff = Backoff::default();
    let mut last_id = None;
    loop {
        let begun = Instant::now();
        let why = follow(measures, &asking, &mut last_id).await;
        measures.lost(why);
        let pause = backoff.pause_after(begun.elapsed());
        tokio::time::sleep(pause.clamp(SHORTEST, LONGEST)).await;
    }
}

/// An address that listens everywhere is asked here.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// Follows one stream to its end, and says how it ended.
async fn follow(measures: &Propagation, asking: &Asking, last_id: &mut Option<String>) -> String {
    let stream = match asking.ask().await {
        Ok((state, stream)) => {
            measures.seen(state, Instant::now());
            stream
        }
        Err(why) => return why,
    };
    let mut stream = match asking.open(&stream, last_id.as_deref()).await {
        Ok(stream) => stream,
        Err(why) => return why,
    };
    measures.connected();
    let mut lines = Lines::default();
    let mut asked = JoinSet::new();
    let mut behind = false;
    let mut silent = tokio::time::Instant::now() + SILENCE;
    loop {
        if behind && asked.is_empty() {
            behind = false;
            let asking = asking.clone();
            asked.spawn(async move { (asking.ask().await, Instant::now()) });
        }
        tokio::select! {
            biased;
            piece = tokio::time::timeout_at(silent, stream.chunk()) => {
                let now = Instant::now();
                silent = tokio::time::Instant::now() + SILENCE;
                let piece = match piece {
                    Ok(Ok(Some(piece))) => piece,
                    Ok(Ok(None)) => return "the proxy ended the event stream".into(),
                    Ok(Err(error)) => return said(&error),
                    Err(_) => return "the event stream is silent".into(),
                };
                let Ok(events) = lines.push(&piece) else {
                    return "the event stream is none".into();
                };
                behind |= !events.is_empty();
                for state in events.into_iter().flatten() {
                    measures.told(state, now);
                }
                if let Some(id) = lines.last_id() {
                    *last_id = Some(id.to_owned());
                }
            }
            Some(answer) = asked.join_next(), if !asked.is_empty() => match answer {
                Ok((Ok((state, _)), at)) => measures.seen(state, at),
                Ok((Err(why), _)) => return why,
                Err(error) => return error.to_string(),
            },
        }
    }
}

impl Asking {
    /// Asks for all flags: of which state they are, and where their event stream is.
    async fn ask(&self) -> Result<(State, String), String> {
        let url = format!("{}/ofrep/v1/evaluate/flags", self.base);
        let asked = self.http.post(url).bearer_auth(&self.secret).body("{}");
        let answer = asked.timeout(ANSWER).send().await;
        let mut answer = good(answer.map_err(|error| said(&error))?)?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| said(&error))? {
            body.extend_from_slice(&piece);
            if body.len() > LARGEST {
                return Err("the answer with all flags is too large".into());
            }
        }
        let bulk: Bulk = serde_json::from_slice(&body)
            .map_err(|_| "the answer with all flags is not understood".to_owned())?;
        let stream = bulk.streams.into_iter().next();
        let stream = stream.ok_or("the answer with all flags names no event stream")?;
        let state = State {
            revision: bulk.metadata.revision,
            kills: bulk.metadata.kills,
        };
        Ok((state, stream.endpoint.uri))
    }

    async fn open(&self, uri: &str, last_id: Option<&str>) -> Result<Response, String> {
        let mut asked = self.http.get(format!("{}{uri}", self.base));
        if let Some(id) = last_id {
            asked = asked.header("last-event-id", id);
        }
        let opened = tokio::time::timeout(ANSWER, asked.send()).await;
        let opened = opened.map_err(|_| "the event stream does not begin".to_owned())?;
        good(opened.map_err(|error| said(&error))?)
    }
}

fn good(answer: Response) -> Result<Response, String> {
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::SERVICE_UNAVAILABLE => Err("the proxy has no flags yet".into()),
        status => Err(format!("the proxy answers {status}")),
    }
}

/// Why, without the address: that of a stream is a secret.
fn said(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    let mut deepest = error.source();
    while let Some(next) = deepest.and_then(|one| one.source()) {
        deepest = Some(next);
    }
    match deepest {
        _ if error.is_timeout() => "the proxy does not answer in time".into(),
        Some(cause) => cause.to_string(),
        None => "the proxy cannot be asked".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listens, asked) in [
            ("0.0.0.0:8016", "127.0.0.1:8016"),
            ("[::]:8016", "[::1]:8016"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            let listens = listens.parse().expect("an address");
            assert_eq!(reachable(listens).to_string(), asked);
        }
    }
}
