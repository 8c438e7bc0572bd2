//! The guard as a layer of tower.

use super::{FEATURE_HEADER, Feature, Guard};
use bytes::Bytes;
use esclusa_flags::GuardMode;
use http::{HeaderValue, Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Puts a [`Guard`] before a service.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    guard: Arc<Guard>,
}

impl GuardLayer {
    pub(super) fn new(guard: Guard) -> Self {
        let guard = Arc::new(guard);
        Self { guard }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        let guard = Arc::clone(&self.guard);
        GuardService { guard, inner }
    }
}

/// A service behind a [`Guard`].
#[derive(Debug, Clone)]
pub struct GuardService<S> {
    guard: Arc<Guard>,
    inner: S,
}

impl<S, A, B> Service<Request<A>> for GuardService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    A: Send + 'static,
    B: From<Bytes> + Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        // Whatever a client says of flags is no word of a guard.
        request.headers_mut().remove(FEATURE_HEADER);
        let Some(index) = self.guard.stands_before(request.method(), request.uri()) else {
            return Box::pin(self.inner.call(request));
        };
        let guard = Arc::clone(&self.guard);
        // The one that was ready; its clone takes its place.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let route = &guard.routes[index];
            let (parts, body) = request.into_parts();
            let context = (guard.unit)(&parts);
            let is_on = guard.is_open(route, context).await;
            if !is_on && route.mode == GuardMode::Block {
                return Ok(route.closed());
            }
            let mut request = Request::from_parts(parts, body);
            let word = HeaderValue::from_static(if is_on { "on" } else { "off" });
            request.headers_mut().insert(FEATURE_HEADER, word);
            let flag = Arc::clone(&route.flag);
            request.extensions_mut().insert(Feature { flag, is_on });
            inner.call(request).await
        })
    }
}
