//! Which version a request is sent to. The only place that knows how a split is asked.

use esclusa_flags::{CompiledSplit, RequestContext, SplitError, SplitSpec};
use http::request::Parts;
use std::borrow::Cow;

/// A split, ready to be asked for every request.
#[derive(Debug)]
pub(crate) struct Split(CompiledSplit);

/// A request as a split may ask about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) parts: &'a Parts,
    /// In lower case, without port.
    pub(crate) host: &'a str,
    /// The unit where a header names it; empty otherwise.
    pub(crate) tenant: &'a str,
}

impl RequestContext for Asking<'_> {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parts
            .headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
    }

    fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    fn path(&self) -> &str {
        self.parts.uri.path()
    }

    fn host(&self) -> &str {
        self.host
    }

    fn tenant(&self) -> &str {
        self.tenant
    }
}

impl Split {
    pub(crate) fn new(spec: &SplitSpec) -> Result<Self, SplitError> {
        CompiledSplit::new(spec).map(Self)
    }

    /// Whether `unit` goes to the canary; an empty unit is none.
    pub(crate) fn to_canary(&self, unit: &str, request: Asking<'_>) -> bool {
        self.0.assign(unit, &request).side.is_exposed()
    }
}
