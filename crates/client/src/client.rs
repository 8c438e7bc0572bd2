//! The client: one for a process, cheap to clone.

use crate::answer::{Answer, Details, Failure, FromFlag, Origin};
use crate::cache::Question;
use crate::config::Config;
use crate::context::Context;
use crate::core::{Core, Known};
use crate::feed;
use crate::ofrep::Ofrep;
use crate::state::State;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Asks for flags and remembers the answers.
#[derive(Clone)]
pub struct Client {
    owner: Arc<Owner>,
}

/// Ends what runs behind the scenes with the last clone.
struct Owner {
    core: Arc<Core>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.owner.core.config.endpoint.as_str())
            .field("state", &self.state())
            .finish()
    }
}

/// Why a client cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// It needs the runtime of tokio.
    #[error("no runtime of tokio: start the client inside of one")]
    Runtime,
    /// There is nothing to speak HTTP with.
    #[error("no HTTP client: {0}")]
    Http(String),
}

impl Client {
    /// Starts a client. It waits for nothing: what the disk has is known at once, the
    /// server is asked behind the scenes.
    ///
    /// # Errors
    /// Outside of a runtime of tokio, or when the system's certificates cannot be read.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let handle = Handle::try_current().map_err(|_| StartError::Runtime)?;
        let ofrep = Ofrep::new(&config).map_err(StartError::Http)?;
        let saves = config.disk.is_some();
        let core = Arc::new(Core::new(config, ofrep, handle.clone()));
        let mut tasks = vec![handle.spawn(feed::watch(Arc::clone(&core)))];
        if saves {
            tasks.push(handle.spawn(feed::keep(Arc::clone(&core))));
        }
        let owner = Arc::new(Owner { core, tasks });
        Ok(Self { owner })
    }

    /// A flag's value, or `safe`: where nothing is known, where there is no such flag, and
    /// where it has another type.
    pub async fn get<T: FromFlag>(&self, flag: &str, context: &Context, safe: T) -> T {
        self.details(flag, context, safe).await.value
    }

    /// The same with all that is known of it.
    pub async fn details<T: FromFlag>(&self, flag: &str, context: &Context, safe: T) -> Details<T> {
        let asked = self.evaluate(flag, context).await;
        let (failure, reason) = match asked {
            Err(failure) => (failure, None),
            Ok((answer, origin)) => match answer.value.as_ref().map(T::from_flag) {
                Some(Some(value)) => {
                    return Details {
                        value,
                        variant: answer.variant,
                        reason: answer.reason,
                        origin,
                        failure: None,
                    };
                }
                Some(None) => (Failure::Type, None),
                // What the server leaves to the code has its own reason.
                None => (Failure::NoValue, Some(answer.reason)),
            },
        };
        Details {
            value: safe,
            variant: None,
            reason: reason.unwrap_or_else(|| "ERROR".to_owned()),
            origin: Origin::Safe,
            failure: Some(failure),
        }
    }

    /// What the server says of a flag, and how it is known. What is known is given without
    /// waiting; else it takes at most [`Config::timeout`].
    ///
    /// # Errors
    /// Why nothing is known.
    pub async fn evaluate(
        &self,
        flag: &str,
        context: &Context,
    ) -> Result<(Answer, Origin), Failure> {
        let core = &self.owner.core;
        let question = Arc::new(Question::new(flag, context.canonical()));
        if let Known::Outcome(outcome, origin) = core.known(&question) {
            return Ok((outcome?, origin));
        }
        match core.ask(&question).await {
            Ok(outcome) => Ok((outcome?, Origin::Server)),
            Err(failure) => match core.kept(&question.key) {
                Some(answer) => Ok((answer, Origin::Disk)),
                None => Err(failure),
            },
        }
    }

    /// What is remembered of a flag, without waiting for anything.
    #[must_use]
    pub fn peek<T: FromFlag>(&self, flag: &str, context: &Context) -> Option<T> {
        let question = Arc::new(Question::new(flag, context.canonical()));
        match self.owner.core.known(&question) {
            Known::Outcome(Ok(answer), _) => T::from_flag(answer.value.as_ref()?),
            _ => None,
        }
    }

    /// How good the answers are now.
    #[must_use]
    pub fn state(&self) -> State {
        self.owner.core.state.borrow().clone()
    }

    /// The state and each later one.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<State> {
        self.owner.core.state.subscribe()
    }

    /// Waits until the server has answered or could not, but not longer than this.
    pub async fn ready(&self, limit: Duration) -> State {
        let mut states = self.states();
        let wait = async move {
            let known = states.wait_for(|state| *state != State::NotReady);
            let _ = tokio::time::timeout(limit, known).await;
        };
        // On the client's own runtime: the caller's may have no timers.
        let _ = self.owner.core.handle.spawn(wait).await;
        self.state()
    }

    /// Writes the last known values to the disk now, as before the process ends. Without a
    /// file there is nothing to do.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn save(&self) -> std::io::Result<()> {
        let saved = Arc::clone(&self.owner.core).save().await;
        saved.map_err(std::io::Error::other)
    }
}
