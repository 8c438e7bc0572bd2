//! New connections to instances.

use super::pool::Sender;
use crate::exchange::body::RequestBody;
use crate::table::Target;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection within {0:?}")]
    TooSlow(Duration),
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// Connects, TLS included, within `limit`.
pub(crate) async fn connect(target: &Target, limit: Duration) -> Result<Sender, ConnectError> {
    match tokio::time::timeout(limit, dial(target)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TooSlow(limit)),
    }
}

async fn dial(target: &Target) -> Result<Sender, ConnectError> {
    let stream = TcpStream::connect(&target.address).await?;
    stream.set_nodelay(true)?;
    match &target.tls {
        None => speak(stream).await,
        Some(tls) => {
            let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
            speak(connector.connect(tls.name.clone(), stream).await?).await
        }
    }
}

async fn speak<S>(stream: S) -> Result<Sender, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .handshake::<_, RequestBody>(TokioIo::new(stream))
        .await?;
    tokio::spawn(async move {
        // How it ended is told to the request that was on it.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}
