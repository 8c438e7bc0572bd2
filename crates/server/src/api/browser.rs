//! What a request says about where it comes from, and how much of that is believed.
//!
//! `X-Forwarded-*` is believed from a loopback peer alone: that is the proxy with TLS in
//! front of us, or somebody on this machine, who could do worse.

use super::ApiState;
use crate::auth::Session;
use crate::error::{ApiError, ErrorKind};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, header};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// The header that a page sends along with everything that is more than looking.
pub(super) const CSRF: HeaderName = HeaderName::from_static("x-esclusa-csrf");

/// Who is at the other end, as far as it can be known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// The address, that behind a proxy of this machine if there is one.
    pub address: Option<IpAddr>,
    /// Whether they came over https.
    pub https: bool,
    /// The host that they asked for, where a proxy says so.
    host: Option<String>,
}

impl Peer {
    pub(super) fn of(extensions: &Extensions, headers: &HeaderMap) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let Some(ConnectInfo(peer)) = peer else {
            return Self::default();
        };
        if !peer.ip().is_loopback() {
            return Self {
                address: Some(peer.ip()),
                ..Self::default()
            };
        }
        // A proxy adds itself at the end; what stands before was sent to it.
        let last = |name: &str| {
            let all = headers.get_all(name).iter().next_back()?.to_str().ok()?;
            all.rsplit(',').next().map(|one| one.trim().to_owned())
        };
        let forwarded = last("x-forwarded-for").and_then(|one| one.parse().ok());
        Self {
            address: Some(forwarded.unwrap_or(peer.ip())),
            https: last("x-forwarded-proto").is_some_and(|one| one.eq_ignore_ascii_case("https")),
            host: last("x-forwarded-host"),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions, &parts.headers))
    }
}

/// Whether a browser says that somebody else's page sent this.
///
/// # Errors
/// 403 when it does. A program that says nothing of the kind is let through: it has no
/// cookies of anybody.
pub(super) fn same_origin(
    state: &ApiState,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let text = |name: &HeaderName| -> Option<String> {
        let value = headers.get(name)?;
        Some(value.to_str().unwrap_or_default().to_owned())
    };
    let site = text(&HeaderName::from_static("sec-fetch-site"));
    // `none` is somebody who typed the address.
    let by_site = site
        .as_deref()
        .map(|site| matches!(site, "same-origin" | "none"));
    let by_origin = match text(&header::ORIGIN).as_deref() {
        None => true,
        // A page that tells nobody where it is; the other header decides.
        Some("null") => site.as_deref() == Some("same-origin"),
        Some(origin) => {
            let host = text(&header::HOST);
            let asked = [host.as_deref(), peer.host.as_deref()];
            let bare = origin.split_once("://").map(|(_, bare)| bare);
            let same = bare.is_some_and(|bare| {
                let mut asked = asked.into_iter().flatten();
                asked.any(|host| host.eq_ignore_ascii_case(bare))
            });
            same || state
                .app
                .shared
                .links
                .front()
                .is_some_and(|front| front.is_ours(origin))
        }
    };
    if by_site != Some(false) && by_origin {
        return Ok(());
    }
    Err(refused("the request comes from another site's page"))
}

/// Whether a caller who is known by a cookie meant what the request asks for.
///
/// # Errors
/// 403 when it came from elsewhere or without what our page sends along.
pub(super) fn meant(
    state: &ApiState,
    session: &Session,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    same_origin(state, peer, headers)?;
    let sent = headers.get(&CSRF).and_then(|value| value.to_str().ok());
    if sent.is_some_and(|sent| state.auth.has_sent(session, sent)) {
        return Ok(());
    }
    Err(refused(
        "the header x-esclusa-csrf is missing or not that of this session",
    ))
}

fn refused(message: &str) -> ApiError {
    ApiError::new(
        ErrorKind::Forbidden,
        "ESC-0430",
        message,
        "load esclusa's own page again; programs send a token in place of a cookie",
    )
}
