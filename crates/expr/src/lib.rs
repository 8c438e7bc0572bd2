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
//!     fn string(&self, _: Slot, _: &[Value<'_>]) -> Option<Cow<'_, str>> { Some(self.0.into()) }
//!     fn int(&self, _: Slot, _: &[Value<'_>]) -> Option<i64> { None }
//!     fn float(&self, _: Slot, _: &[Value<'_>]) -> Option<f64> { None }
//!     fn bool(&self, _: Slot, _: &[Value<'_>]) -> Option<bool> { None }
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
mod number;
mod parser;
mod reads;
mod schema;
mod suggest;

pub use error::{ErrorCode, ExprError, Span};
pub use eval::{Scope, Value};
pub use schema::{Schema, Slot, Type};
pub use suggest::nearest;

use std::collections::BTreeSet;

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

    /// Whether the condition is known to hold. Cannot fail: types were settled by
    /// compiling.
    #[must_use]
    pub fn eval<S: Scope + ?Sized>(&self, scope: &S) -> bool {
        self.outcome(scope) == Some(true)
    }

    /// Whether the condition holds; `None` when that hangs on a value that is not known.
    #[must_use]
    pub fn outcome<S: Scope + ?Sized>(&self, scope: &S) -> Option<bool> {
        eval::bool(&self.root, scope)
    }

    /// The slots that the condition may ask for, in their order; for explanations.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<Slot> {
        let mut found = BTreeSet::new();
        reads::of_bool(&self.root, &mut found);
        found
    }

    /// The text that was compiled.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}
