//! Guards: which requests a flag stands before, and whose they are.

mod check;
mod compiled;
mod coverage;
mod pattern;

pub use check::MAX_GUARDED_ROUTES;
pub use compiled::{
    Guard, GuardRequest, Guarded, Units, Verdict, closed_body, default_message, takes_method,
};
pub use coverage::{
    Coverage, CoverageOf, Endpoint, GuardOfNothing, GuardedEndpoint, IdleRoute, coverage,
};
pub use pattern::{PathPattern, RequestPath};

pub use check::check_guards;

use serde::{Deserialize, Serialize};

/// Routes of an application that flags open and close, without code in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuardDefinition {
    /// The service whose requests through the proxy are guarded. Without one it only
    /// answers where a web server asks (forward-auth), by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The environment in which flags are evaluated.
    pub environment: String,
    /// Where a request's tenant is read from, the first that is there wins. Without
    /// one there is no tenant: never somebody else's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenant: Vec<UnitSource>,
    /// Where a request's user is read from, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user: Vec<UnitSource>,
    /// How claims are verified; needed by a source that names a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimCheck>,
    /// The routes; the first that matches decides.
    pub routes: Vec<GuardedRoute>,
}

/// One place of a request that may name a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum UnitSource {
    /// A request header's value.
    Header(String),
    /// The host, by a pattern such as `{}.shop.example`; `{}` is one label.
    Host(String),
    /// The path, by a pattern such as `/t/{}/*`; `{}` is one segment.
    Path(String),
    /// A claim of the verified bearer token.
    Claim(String),
}

/// Who vouches for claims: exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClaimCheck {
    /// A file with the issuer's public keys (JWKS), read where the guard runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// A reference to a shared secret (HS256), such as `env:JWT_SECRET` or `file:...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The issuer that a token must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The audience that a token must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// A route and its flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuardedRoute {
    /// The method in upper case; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A pattern with `:name` segments and a trailing `*`.
    pub path: String,
    /// The flag.
    pub flag: String,
    /// The variant that opens the route; without one, any value but `false`, `off`'s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What happens to a request whose flag is off.
    #[serde(default)]
    pub mode: GuardMode,
    /// The status of a blocked request; 503 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Seconds for `Retry-After`; 60 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

/// What happens to a request whose flag is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardMode {
    /// It is answered by the guard.
    #[default]
    Block,
    /// It goes on, and a header tells the application to run the path without the feature.
    Fallback,
}
