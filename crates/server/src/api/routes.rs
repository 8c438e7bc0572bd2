//! Puts the endpoints together with what guards them.

use super::answer::{MAX_BODY_BYTES, MAX_SET_BYTES, no_such_address, no_such_method};
use super::{ApiState, audit, backup, commands, dora, events, flags, inbox, kill, links, logs};
use super::{notifications, openapi, page, plans, probes, recording, releases, reports, scopes};
use super::{rollouts, series, services, sessions, stream, tokens};
use crate::error::{ApiError, ErrorKind};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest time for any answer but a stream's.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// All endpoints that the description lists: those that answer at once, and streams.
pub(super) fn endpoints() -> (OpenApiRouter<ApiState>, OpenApiRouter<ApiState>) {
    let quick = OpenApiRouter::new()
        .routes(routes!(probes::health))
        .routes(routes!(probes::ready))
        .routes(routes!(probes::metrics))
        .routes(routes!(services::me))
        .routes(routes!(sessions::login))
        .routes(routes!(sessions::logout))
        .routes(routes!(services::list))
        .routes(routes!(services::get))
        .routes(routes!(services::can_return))
        .routes(routes!(recording::traffic))
        .routes(routes!(dora::get))
        .routes(routes!(kill::one))
        .routes(routes!(kill::all))
        .routes(routes!(flags::looks::list))
        .routes(routes!(flags::looks::get))
        .routes(routes!(flags::looks::who))
        .routes(routes!(flags::looks::explain))
        .routes(routes!(flags::delete::delete))
        .routes(routes!(flags::looks::history_of))
        .routes(routes!(flags::set::history))
        .routes(routes!(flags::set::revert))
        .routes(routes!(flags::testers::grant))
        .routes(routes!(flags::kill::kill))
        .routes(routes!(flags::kill::lift))
        .routes(routes!(flags::kill::status))
        .routes(routes!(flags::kill::rules))
        .merge(large())
        .routes(routes!(releases::start, releases::list))
        .routes(routes!(releases::get))
        .routes(routes!(rollouts::get))
        .routes(routes!(rollouts::lower))
        .routes(routes!(rollouts::check))
        .routes(routes!(events::list))
        .routes(routes!(series::get))
        .routes(routes!(logs::list))
        .routes(routes!(logs::text))
        .routes(routes!(reports::json))
        .routes(routes!(reports::markdown))
        .routes(routes!(reports::html))
        .routes(routes!(reports::junit))
        .routes(routes!(reports::post_mortem))
        .routes(routes!(commands::pause))
        .routes(routes!(commands::resume))
        .routes(routes!(commands::skip))
        .routes(routes!(commands::promote))
        .routes(routes!(commands::abort))
        .routes(routes!(commands::rollback))
        .routes(routes!(commands::sign_off))
        .routes(routes!(links::create))
        .routes(routes!(plans::check))
        .routes(routes!(plans::schema))
        .routes(routes!(tokens::create, tokens::list))
        .routes(routes!(tokens::revoke))
        .routes(routes!(audit::verify))
        .routes(routes!(inbox::list))
        .routes(routes!(inbox::read_all))
        .routes(routes!(inbox::read))
        .routes(routes!(inbox::remove))
        .routes(routes!(notifications::status))
        .routes(routes!(notifications::test))
        .routes(routes!(notifications::retry));
    let streams = OpenApiRouter::new()
        .routes(routes!(backup::make_one))
        .routes(routes!(recording::release))
        .routes(routes!(recording::service))
        .routes(routes!(stream::services))
        .routes(routes!(stream::release));
    (quick, streams)
}

/// Endpoints that take a whole set of flags.
fn large() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(
            flags::set::export,
            flags::set::change,
            flags::set::apply
        ))
        .routes(routes!(flags::set::import_env))
        .routes(routes!(flags::set::who_would_change))
        .layer(DefaultBodyLimit::max(MAX_SET_BYTES))
}

/// The whole interface behind one door.
pub(crate) fn router(state: ApiState) -> Router {
    let (quick, streams) = endpoints();
    let quick = Router::from(quick)
        .route("/", get(page::index))
        .route("/assets/{file}", get(page::asset))
        .route("/openapi.json", get(openapi::serve))
        .route("/l/{link}", get(links::show).post(links::act))
        .route_layer(from_fn(in_time));
    quick
        .merge(Router::from(streams))
        .route_layer(from_fn_with_state(state.clone(), scopes::guard))
        .fallback(no_such_address)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), at_the_door))
        .layer(from_fn(headers))
        .with_state(state)
}

/// Ends an answer that takes too long. Whatever was asked may still happen: a command
/// is carried out by the service's actor, not by the request.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            ErrorKind::Unavailable,
            "ESC-0414",
            format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
            "look at the release before asking again: the request may have taken effect",
        )
        .into_response(),
    }
}

async fn at_the_door(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    match state.door.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// What every answer says to browsers, unless it says otherwise itself.
async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    response
}
