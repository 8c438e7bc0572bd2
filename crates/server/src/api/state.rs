//! What all handlers share.

use super::count::Count;
use super::door::Door;
use crate::app::App;
use crate::auth::Auth;
use crate::error::{ApiError, ErrorKind};
use esclusa_proxy::client::ControlClient;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Live streams at once. Each holds a connection and a task, so that a page left open
/// in many tabs cannot take all of the server's memory.
const STREAMS: usize = 256;

/// What all handlers share.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub app: Arc<App>,
    pub auth: Arc<Auth>,
    pub door: Door,
    pub count: Arc<Count>,
    /// Answers the proxy's metrics.
    pub proxy: ControlClient,
    /// True once the program is ending; streams end with it.
    pub ending: watch::Receiver<bool>,
    streams: Arc<Semaphore>,
}

impl ApiState {
    pub(crate) fn new(
        app: Arc<App>,
        door: Door,
        proxy: ControlClient,
        ending: watch::Receiver<bool>,
    ) -> Self {
        let shared = &app.shared;
        let auth = Auth::new(
            shared.store.clone(),
            shared.keys.clone(),
            Arc::clone(&shared.spent),
        );
        let auth = Arc::new(auth);
        let streams = Arc::new(Semaphore::new(STREAMS));
        Self {
            app,
            auth,
            door,
            count: Arc::default(),
            proxy,
            ending,
            streams,
        }
    }

    /// The same behind another door.
    pub(crate) fn behind(&self, door: Door) -> Self {
        Self {
            door,
            ..self.clone()
        }
    }

    /// A place for one more stream.
    ///
    /// # Errors
    /// 503 when there is none.
    pub(crate) fn stream_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            ApiError::new(
                ErrorKind::Unavailable,
                "ESC-0415",
                format!("{STREAMS} live streams are open already"),
                "close pages that nobody looks at, or ask without streaming",
            )
        })
    }
}
