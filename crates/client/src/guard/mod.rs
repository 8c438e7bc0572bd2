//! A guard before the routes of a tower service: a flag opens and closes each.

mod route;
mod service;

pub use route::{Route, RouteError};
pub use service::{GuardLayer, GuardService};

use crate::{Client, Context};
use esclusa_flags::RequestPath;
use http::request::Parts;
use http::{HeaderName, Method, Uri};
use std::fmt;
use std::sync::Arc;

/// The header that tells a handler, and in the answer everybody behind it, what the flag
/// says: `on` or `off`.
pub const FEATURE_HEADER: HeaderName = HeaderName::from_static("x-esclusa-flag");
/// Longest id that names a tenant; a longer one names nobody.
const LONGEST_UNIT: usize = 512;

type Unit = Arc<dyn Fn(&Parts) -> Option<Context> + Send + Sync>;

/// What a guard says of a request, as an extension of it: for handlers that do without
/// the feature (see [`Route::fallback`]). Only a guard can set it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feature {
    /// The flag.
    pub flag: Arc<str>,
    /// Whether the request may use the feature.
    pub is_on: bool,
}

/// Which flag stands before which route, and whose a request is.
///
/// ```
/// use esclusa_client::{Client, Config, Feature, Guard, Route};
/// use axum::{Extension, Router, routing::{get, post}};
///
/// # async fn reports() -> &'static str { "reports" }
/// async fn execute(Extension(feature): Extension<Feature>) -> String {
///     let base = "the result of the module";
///     if feature.is_on { format!("{base}, with a report") } else { base.to_owned() }
/// }
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::start(Config::new("http://127.0.0.1:8016")?)?;
/// let guard = Guard::new(client)
///     .tenant_header("x-tenant-id")?
///     .route(Route::fallback("POST", "/modules/:id/execute", "exec-reports")?)
///     .route(Route::block("GET", "/reports/*", "reports-api")?.feature("Reports API"));
/// let app: Router = Router::new()
///     .route("/modules/{id}/execute", post(execute))
///     .route("/reports/{id}", get(reports))
///     .layer(guard.layer());
/// # let _ = app;
/// # Ok(()) }
/// ```
///
/// Whoever writes a path in another way does not slip by: paths are compared without
/// empty and `.` segments, `..` followed, percent-encoding decoded, letters of either case
/// alike. `HEAD` is guarded as `GET` is. The first route that matches decides.
#[derive(Clone)]
pub struct Guard {
    client: Client,
    unit: Unit,
    routes: Arc<Vec<Route>>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut guard = f.debug_struct("Guard");
        guard.field("client", &self.client);
        guard.field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard without routes, for which every request is nobody's.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            unit: Arc::new(|_| None),
            routes: Arc::default(),
        }
    }

    /// Whose a request is. Where it says nothing, the route's safe value counts
    /// ([`Route::safe`]): never somebody else's.
    #[must_use]
    pub fn unit(
        mut self,
        unit: impl Fn(&Parts) -> Option<Context> + Send + Sync + 'static,
    ) -> Self {
        self.unit = Arc::new(unit);
        self
    }

    /// The tenant stands in this header. More than one, an empty or a very long one names
    /// nobody.
    ///
    /// # Errors
    /// When no header has this name.
    pub fn tenant_header(self, name: &str) -> Result<Self, RouteError> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| RouteError::Header(name.to_owned()))?;
        Ok(self.unit(move |parts| {
            let mut all = parts.headers.get_all(&name).iter();
            let (Some(value), None) = (all.next(), all.next()) else {
                return None;
            };
            let tenant = value.to_str().ok()?.trim();
            let good = !tenant.is_empty() && tenant.len() <= LONGEST_UNIT;
            good.then(|| Context::of(tenant).tenant(tenant))
        }))
    }

    /// One more route, after those there are.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        Arc::make_mut(&mut self.routes).push(route);
        self
    }

    /// The layer that stands before a service.
    #[must_use]
    pub fn layer(self) -> GuardLayer {
        GuardLayer::new(self)
    }

    fn stands_before(&self, method: &Method, uri: &Uri) -> Option<usize> {
        let path = RequestPath::new(uri.path());
        self.routes
            .iter()
            .position(|route| route.matches(method.as_str(), &path))
    }

    /// Whether the route is open to whom the request is from.
    async fn is_open(&self, route: &Route, context: Option<Context>) -> bool {
        let Some(context) = context else {
            return route.safe;
        };
        match self.client.evaluate(&route.flag, &context).await {
            Ok((answer, _)) => match &route.variant {
                Some(variant) => answer.variant.as_ref() == Some(variant),
                // What is neither true nor false is no word on it.
                None => match answer.value {
                    Some(value) => value.as_bool().unwrap_or(route.safe),
                    None => route.safe,
                },
            },
            Err(_) => route.safe,
        }
    }
}
