//! Answers that the proxy gives itself, each saying why (RFC 9209).

use super::body::{Busy, ResponseBody, UploadFault};
use super::ticket::Ticket;
use super::validate::Refused;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    SET_COOKIE, UPGRADE,
};
use http::{Response, StatusCode};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Names the flag whose guard has answered.
const GUARD: HeaderName = HeaderName::from_static("x-esclusa-guard");
/// An answer of the proxy's own.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: Bytes,
    ticket: Option<Ticket>,
}

impl Reply {
    fn new(status: StatusCode, error: &'static str, text: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if let Ok(value) = HeaderValue::from_str(&format!("esclusa; error={error}")) {
            headers.insert(PROXY_STATUS, value);
        }
        Self {
            status,
            headers,
            text: Bytes::from_static(text.as_bytes()),
            ticket: None,
        }
    }

    fn counted(mut self, ticket: Ticket) -> Self {
        self.ticket = Some(ticket);
        self
    }

    /// The connection cannot go on: it is not known where the next request begins.
    fn closing(mut self) -> Self {
        self.headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }

    /// Gives the client its unit with an error too: it comes back as the same one.
    pub(super) fn cookie(mut self, cookie: Option<HeaderValue>) -> Self {
        if let Some(cookie) = cookie {
            self.headers.append(SET_COOKIE, cookie);
        }
        self
    }

    pub(super) fn refused(refused: Refused) -> Self {
        let mut reply = Self::new(refused.status, "http_request_error", "");
        reply.text = Bytes::from(format!("{}\n", refused.why));
        reply.closing()
    }

    pub(super) fn upload(fault: UploadFault) -> Self {
        match fault {
            UploadFault::Broken => Self::new(
                StatusCode::BAD_REQUEST,
                "http_request_error",
                "the request's body is broken\n",
            ),
            UploadFault::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "http_request_denied",
                "the request's body is larger than this service takes\n",
            ),
        }
        .closing()
    }

    pub(super) fn slow_client() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "http_request_error",
            "the request's body did not arrive in time\n",
        )
        .closing()
    }

    pub(super) fn no_service() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "destination_not_found",
            "no service answers for this host and path\n",
        )
    }

    pub(super) fn unavailable(ticket: Ticket) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "destination_unavailable",
            "no instance of the version is known\n",
        )
        .counted(ticket)
    }

    pub(super) fn bad_gateway(error: &'static str, ticket: Ticket) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            error,
            "the version gave no answer\n",
        )
        .counted(ticket)
    }

    pub(super) fn timeout(ticket: Ticket) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "http_response_timeout",
            "the version did not answer in time\n",
        )
        .counted(ticket)
    }

    /// A guard's answer: the feature is off for whoever asks. Nobody keeps it for later.
    pub(super) fn feature_disabled(
        flag: &str,
        status: u16,
        retry_after: u32,
        body: String,
    ) -> Self {
        // 400 to 599 in a document that was checked.
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut reply = Self::new(status, "http_request_denied", "");
        reply.text = Bytes::from(body);
        for (name, value) in [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (RETRY_AFTER, retry_after.into()),
        ] {
            reply.headers.insert(name, value);
        }
        if let Ok(flag) = HeaderValue::from_str(flag) {
            reply.headers.insert(GUARD, flag);
        }
        reply
    }

    /// Passes a version's consent to an upgrade on.
    pub(super) fn switching(mut headers: HeaderMap, protocol: HeaderValue) -> Self {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
        Self {
            status: StatusCode::SWITCHING_PROTOCOLS,
            headers,
            text: Bytes::new(),
            ticket: None,
        }
    }

    pub(super) fn into_response(self, busy: Busy) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::own(self.text, self.ticket, busy));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
