//! Small typed expressions of rules: a subset of CEL, compiled once, evaluated often.
//!
//! For: conditions such as `header("x-team") == "red" && !path.startsWith("/admin")`.
//! Whatever this crate accepts means the same in CEL. It deliberately has no
//! arithmetic, no loops or macros, no conversion between types, no regular
//! expressions and no state: a program is *total*. What can be wrong is found while
//! compiling, with the place in the text; evaluation cannot fail, visits each node at
//! most once, and allocates nothing unless the scope does.
//!
//! The crate knows no requests or users. The caller's [`Schema`] says which names
//! exist, of which type, and its [`Scope`] gives their values.
//!
//! ```
//! use esclusa_expr::{Program, Schema, Scope, Slot, Type, Value};
//! use std::borrow::Cow;
//!
//! const PATH: Slot = Slot(0);
//! struct Request(&'static str);
//! impl Scope for Request {
//!     fn string(&self, _: Slot, _: &[Value<'_>]) -> Cow<'_, str> { self.0.into() }
//!     fn int(&self, _: Slot, _: &[Value<'_>]) -> i64 { 0 }
//!     fn bool(&self, _: Slot, _: &[Value<'_>]) -> bool { false }
//! }
//!
//! let schema = Schema::new().variable("path", Type::String, PATH);
//! let program = Program::compile(r#"path.startsWith("/cart")"#, &schema).expect("compiles");
//! assert!(program.eval(&Request("/cart/7")));
//!
//! let errors = Program::compile("pth == 1", &schema).expect_err("no such name");
//! assert_eq!(errors[0].hint.as_deref(), Some("did you mean `path`?"));
//! ```

mod ast;
mod check;
mod error;
mod eval;
mod lexer;
mod parser;
mod schema;
mod suggest;

pub use error::{ErrorCode, ExprError, Span};
pub use eval::{Scope, Value};
pub use schema::{Schema, Slot, Type};

/// Longest accepted source, in bytes.
pub const MAX_SOURCE_BYTES: usize = 4096;
/// Deepest accepted nesting of parentheses, calls, lists, `!` and operators.
pub const MAX_DEPTH: usize = 32;
/// Most values and operators in one expression; also the bound on evaluation steps.
pub const MAX_NODES: usize = 512;

/// A checked condition, ready to be asked as often as needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    source: String,
    root: eval::BoolExpr,
}

impl Program {
    /// Parses and checks `source` against the names in `schema`.
    ///
    /// # Errors
    /// Every problem found, in the order of the text, never none: all unreadable
    /// characters; else the first break of the grammar or of a limit; else all
    /// unknown names and wrong types.
    pub fn compile(source: &str, schema: &Schema) -> Result<Self, Vec<ExprError>> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(vec![error::source_too_long(source)]);
        }
        let tokens = lexer::lex(source)?;
        let tree = parser::parse(source, &tokens).map_err(|error| vec![error])?;
        let root = check::check(&tree, schema)?;
        Ok(Self {
            source: source.to_owned(),
            root,
        })
    }

    /// Whether the condition holds. Cannot fail: types were settled by compiling.
    #[must_use]
    pub fn eval(&self, scope: &dyn Scope) -> bool {
        eval::bool(&self.root, scope)
    }

    /// The text that was compiled.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}
