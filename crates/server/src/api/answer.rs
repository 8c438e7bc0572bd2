//! Errors as answers, and input that is refused in the same words.

use crate::error::{ApiError, ErrorKind};
use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

/// Largest body of a request in bytes; a plan has a few thousand.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;
/// The same of one that may hold a whole set of flags.
pub(super) const MAX_SET_BYTES: usize = 64 << 20;
/// After how many seconds an address with too many wrong tokens may try again.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("60");
/// After how many seconds somebody who asks too often has requests again.
const RETRY_SOON_S: HeaderValue = HeaderValue::from_static("1");

/// The code of a caller who asks too often.
pub(super) const TOO_OFTEN: &str = "ESC-0431";

impl ApiError {
    /// The HTTP status of this kind of error.
    pub(crate) const fn status(&self) -> StatusCode {
        match self.kind {
            ErrorKind::BadInput => StatusCode::BAD_REQUEST,
            ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(&self)).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let after = match self.code.as_str() {
                TOO_OFTEN => RETRY_SOON_S,
                _ => RETRY_AFTER_S,
            };
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(refused) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::new(
                    ErrorKind::BadInput,
                    "ESC-0409",
                    "the body is larger than this address takes",
                    "send less (a set of flags has up to 64 MiB, all else 1 MiB): a smaller plan; keep data that is not part of it in files of its own",
                ))
            }
            Err(refused) => Err(bad_input("ESC-0408", refused.body_text())),
        }
    }
}

/// A JSON body that may be left out.
pub(super) struct MaybeBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        Body::from_request(request, state)
            .await
            .map(|Body(value)| Self(value))
    }
}

/// Parameters after the question mark.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(value)| Self(value))
            .map_err(|refused| bad_input("ESC-0408", refused.body_text()))
    }
}

/// The part of the path that names something.
pub(super) struct Named<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Path::from_request_parts(parts, state).await;
        read.map(|Path(value)| Self(value))
            .map_err(|refused| bad_input("ESC-0408", refused.body_text()))
    }
}

/// 400 with the next step.
pub(super) fn bad_input(code: &str, message: impl Into<String>) -> ApiError {
    let help = "compare the request with /openapi.json";
    ApiError::new(ErrorKind::BadInput, code, message, help)
}

/// No such address.
pub(super) async fn no_such_address() -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        "ESC-0406",
        "there is nothing at this address",
        "see /openapi.json for the addresses there are",
    )
}

/// The address is there, the method is not.
pub(super) async fn no_such_method() -> Response {
    let error = bad_input("ESC-0407", "this address does not take that method");
    (StatusCode::METHOD_NOT_ALLOWED, Json(error)).into_response()
}
