//! What a segment's condition may ask about a request.

use esclusa_expr::{ExprError, Program, Schema, Scope, Slot, Type, Value};
use std::borrow::Cow;

/// The request that is assigned, as the data plane sees it.
///
/// What is absent is the empty string, except that [`RequestContext::header`] tells
/// absent from empty. Nothing here is trusted: a client writes its own headers.
pub trait RequestContext {
    /// The first value of a header, bytes that are not UTF-8 replaced. The name's
    /// letters' case does not matter.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The method in upper case.
    fn method(&self) -> &str;
    /// The path without query.
    fn path(&self) -> &str;
    /// The host in lower case, without port.
    fn host(&self) -> &str;
    /// The tenant, where the service knows one.
    fn tenant(&self) -> &str;
}

const METHOD: Slot = Slot(0);
const PATH: Slot = Slot(1);
const HOST: Slot = Slot(2);
const TENANT: Slot = Slot(3);
const HEADER: Slot = Slot(4);
const HAS_HEADER: Slot = Slot(5);

/// The names that a segment's condition may use.
#[must_use]
pub fn request_schema() -> Schema {
    Schema::new()
        .variable("method", Type::String, METHOD)
        .variable("path", Type::String, PATH)
        .variable("host", Type::String, HOST)
        .variable("tenant", Type::String, TENANT)
        .function("header", &[Type::String], Type::String, HEADER)
        .function("has_header", &[Type::String], Type::Bool, HAS_HEADER)
}

/// Compiles a segment's condition, as a split does.
///
/// # Errors
/// Every problem found, with its place in `source`.
pub fn compile_condition(source: &str) -> Result<Program, Vec<ExprError>> {
    Program::compile(source, &request_schema())
}

/// A request in the words of [`request_schema`].
pub(crate) struct RequestScope<'a>(pub(crate) &'a dyn RequestContext);

impl RequestScope<'_> {
    fn named_header(&self, arguments: &[Value<'_>]) -> Option<Cow<'_, str>> {
        match arguments {
            [Value::String(name)] => self.0.header(name),
            // The schema gives both functions exactly one string.
            _ => None,
        }
    }
}

impl Scope for RequestScope<'_> {
    fn string(&self, slot: Slot, arguments: &[Value<'_>]) -> Option<Cow<'_, str>> {
        Some(match slot {
            METHOD => Cow::Borrowed(self.0.method()),
            PATH => Cow::Borrowed(self.0.path()),
            HOST => Cow::Borrowed(self.0.host()),
            TENANT => Cow::Borrowed(self.0.tenant()),
            // HEADER is the only other string in the schema.
            _ => self.named_header(arguments).unwrap_or_default(),
        })
    }

    fn int(&self, _: Slot, _: &[Value<'_>]) -> Option<i64> {
        None // the schema has no number
    }

    fn float(&self, _: Slot, _: &[Value<'_>]) -> Option<f64> {
        None // nor one with decimals
    }

    fn bool(&self, _: Slot, arguments: &[Value<'_>]) -> Option<bool> {
        // HAS_HEADER is the only condition in the schema.
        Some(self.named_header(arguments).is_some())
    }
}
