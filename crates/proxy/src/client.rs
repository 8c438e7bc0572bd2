//! The control plane's side of the control socket.
//!
//! One connection per call: a restarted proxy is simply the next call's other end.

use bytes::Bytes;
use esclusa_model::Epoch;
use esclusa_wire::{
    AskContexts, FlagDocument, FlagKill, FlagStatus, FlagsKilled, FlagsTaken, Generation,
    Heartbeat, Hello, ProxyStatus, Published, Refusal, SliceAck, SliceBatch, TakeBack, TookBack,
    WIRE_VERSION,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Longest wait for an answer that does not wait itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a call is made again that met a proxy which had just handed over.
const TAKEN_OVER_PAUSE: Duration = Duration::from_millis(5);
/// Largest answer.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The proxy keeps what it has; asking again changes nothing.
    #[error("the proxy stays at generation {}: {}", .0.current, .0.reason)]
    Refused(Refusal),
    /// No proxy answered. Whether the call took effect is not known; all calls may be
    /// made again.
    #[error("the proxy on {socket} does not answer: {why}")]
    Unreachable {
        /// The control socket.
        socket: PathBuf,
        /// What happened.
        why: String,
        /// What that says of the proxy.
        unreached: Unreached,
    },
    /// Something answered that is not a proxy of this version.
    #[error("the proxy on {socket} answers in an unknown way: {why}")]
    Protocol {
        /// The control socket.
        socket: PathBuf,
        /// What was not understood.
        why: String,
    },
}

/// What it says of a proxy that it gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreached {
    /// Nobody listens: it does not run, so it serves nobody.
    Absent,
    /// Its socket is closed to this user.
    Denied,
    /// It may run and serve.
    Silent,
}

impl Unreached {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::Absent,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Silent,
        }
    }
}

/// Speaks to one proxy.
#[derive(Debug, Clone)]
pub struct ControlClient {
    socket: PathBuf,
}

impl ControlClient {
    /// A client for the proxy on a control socket. Connects only when called.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Who the proxy is.
    ///
    /// # Errors
    /// [`ControlError`], also when it speaks another version of the protocol.
    pub async fn hello(&self) -> Result<Hello, ControlError> {
        let hello: Hello = self
            .call(Method::GET, "/v1/hello", None::<&()>, PATIENCE)
            .await?;
        if hello.v == WIRE_VERSION {
            Ok(hello)
        } else {
            Err(self.protocol(format!(
                "it speaks version {}, this is version {WIRE_VERSION}",
                hello.v
            )))
        }
    }

    /// Puts a generation in force.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when it is not newer or cannot be served.
    pub async fn publish(&self, generation: &Generation) -> Result<Published, ControlError> {
        self.call(Method::PUT, "/v1/generation", Some(generation), PATIENCE)
            .await
    }

    /// The generation in force; none before the first. It holds the keys of cookies.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn generation(&self) -> Result<Option<Generation>, ControlError> {
        self.call(Method::GET, "/v1/generation", None::<&()>, PATIENCE)
            .await
    }

    /// Sends everybody of the named services to their stable versions, whoever else
    /// controls the proxy. May be asked again.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn take_back(&self, asked: &TakeBack) -> Result<TookBack, ControlError> {
        self.call(Method::POST, "/v1/take-back", Some(asked), PATIENCE)
            .await
    }

    /// Puts a flag document in force.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when it is not newer or not valid; the one in force stays.
    pub async fn put_flags(&self, document: &FlagDocument) -> Result<FlagsTaken, ControlError> {
        self.call(Method::PUT, "/v1/flags", Some(document), PATIENCE)
            .await
    }

    /// The flag document in force, with all kills that hold; none before the first. It
    /// holds a key.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn flags(&self) -> Result<Option<FlagDocument>, ControlError> {
        self.call(Method::GET, "/v1/flags", None::<&()>, PATIENCE)
            .await
    }

    /// How flags stand at the proxy.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn flag_status(&self) -> Result<FlagStatus, ControlError> {
        self.call(Method::GET, "/v1/flags/status", None::<&()>, PATIENCE)
            .await
    }

    /// Contexts that applications asked with lately in an environment, newest first, each
    /// once.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn recent_contexts(
        &self,
        environment: &str,
    ) -> Result<Vec<Map<String, Value>>, ControlError> {
        let asked = AskContexts {
            environment: environment.to_owned(),
        };
        self.call(Method::POST, "/v1/flags/contexts", Some(&asked), PATIENCE)
            .await
    }

    /// Turns features off, or lifts that, whoever else controls the proxy. May be asked
    /// again.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn kill_flags(&self, kill: &FlagKill) -> Result<FlagsKilled, ControlError> {
        self.call(Method::POST, "/v1/flags/kill", Some(kill), PATIENCE)
            .await
    }

    /// What the proxy does right now, as told to the controller of an epoch: a later
    /// generation of that epoch is one of a controller that knows what was returned.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn status_as(&self, epoch: Epoch) -> Result<ProxyStatus, ControlError> {
        let path = format!("/v1/status?epoch={}", epoch.0);
        self.call(Method::GET, &path, None::<&()>, PATIENCE).await
    }

    /// What the proxy does right now, for a reader who decides nothing.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn status(&self) -> Result<ProxyStatus, ControlError> {
        self.call(Method::GET, "/v1/status", None::<&()>, PATIENCE)
            .await
    }

    /// Slices behind `after` of the running boot and all of earlier boots, oldest first.
    /// Waits up to `wait` (60 s at most) while there are none.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn slices(&self, after: u64, wait: Duration) -> Result<SliceBatch, ControlError> {
        let path = format!("/v1/slices?after={after}&wait_ms={}", wait.as_millis());
        self.call(Method::GET, &path, None::<&()>, wait + PATIENCE)
            .await
    }

    /// Lets the proxy forget slices that are stored.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn ack(&self, ack: &SliceAck) -> Result<(), ControlError> {
        let body = self.encode(ack)?;
        self.exchange(Method::POST, "/v1/slices/ack", body, PATIENCE)
            .await
            .map(|_| ())
    }

    /// Says that the controller lives and which generation it believes in force.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when a later controller is in charge.
    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<ProxyStatus, ControlError> {
        self.call(Method::POST, "/v1/heartbeat", Some(heartbeat), PATIENCE)
            .await
    }

    /// The metrics as Prometheus text.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn metrics(&self) -> Result<String, ControlError> {
        let text = self
            .exchange(Method::GET, "/metrics", Bytes::new(), PATIENCE)
            .await?;
        String::from_utf8(text.to_vec()).map_err(|e| self.protocol(e.to_string()))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
        patience: Duration,
    ) -> Result<T, ControlError> {
        let body = match body {
            Some(body) => self.encode(body)?,
            None => Bytes::new(),
        };
        let answer = self.exchange(method, path, body, patience).await?;
        serde_json::from_slice(&answer).map_err(|e| self.protocol(e.to_string()))
    }

    fn encode(&self, body: &impl Serialize) -> Result<Bytes, ControlError> {
        serde_json::to_vec(body)
            .map(Bytes::from)
            .map_err(|e| self.protocol(e.to_string()))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Bytes, ControlError> {
        let asked = async {
            loop {
                let answer = self.ask(method.clone(), path, body.clone()).await?;
                if answer.0 != StatusCode::MISDIRECTED_REQUEST {
                    return Ok(answer);
                }
                // Another process has taken over; the next connection reaches it.
                tokio::time::sleep(TAKEN_OVER_PAUSE).await;
            }
        };
        let asked = tokio::time::timeout(patience, asked).await;
        let (status, answer) = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err((why, unreached))) => return Err(self.unreachable(why, unreached)),
            Err(_) => {
                let why = format!("no answer within {patience:?}");
                return Err(self.unreachable(why, Unreached::Silent));
            }
        };
        match status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(answer),
            StatusCode::CONFLICT => match serde_json::from_slice(&answer) {
                Ok(refusal) => Err(ControlError::Refused(refusal)),
                Err(error) => Err(self.protocol(error.to_string())),
            },
            other => {
                let text: String = String::from_utf8_lossy(&answer).chars().take(300).collect();
                Err(self.protocol(format!("{other}: {text}")))
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), (String, Unreached)> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|e| (e.to_string(), Unreached::of(&e)))?;
        Self::ask_on(stream, method, path, body)
            .await
            .map_err(|why| (why, Unreached::Silent))
    }

    async fn ask_on(
        stream: UnixStream,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| e.to_string())?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "esclusa")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|e| e.to_string())?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|e| e.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
                .collect()
                .await;
            body.map(|body| (status, body.to_bytes()))
                .map_err(|e| e.to_string())
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            // The answer may be complete when the other side closes.
            _ = connection => answer.await,
        }
    }

    fn unreachable(&self, why: String, unreached: Unreached) -> ControlError {
        ControlError::Unreachable {
            socket: self.socket.clone(),
            why,
            unreached,
        }
    }

    fn protocol(&self, why: String) -> ControlError {
        ControlError::Protocol {
            socket: self.socket.clone(),
            why,
        }
    }
}
