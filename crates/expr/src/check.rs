//! Types and names: the tree as written becomes one that cannot fail.
//!
//! Goes on after a mistake, so that all are reported; a part that is already wrong
//! (`None`) causes no second error above it.

use crate::ast::{CompareOp, Expr, ExprKind, Logic, Name};
use crate::error::{ErrorCode, ExprError, Span};
use crate::eval::{BoolExpr, FloatExpr, IntExpr, Ordered, Read, StrExpr, TextTest, Typed};
use crate::number::Decimal;
use crate::schema::{Entry, Kind, Schema, Type};
use crate::suggest::nearest;

const METHODS: [(&str, TextTest); 3] = [
    ("startsWith", TextTest::StartsWith),
    ("endsWith", TextTest::EndsWith),
    ("contains", TextTest::Contains),
];

pub(crate) fn check(tree: &Expr, schema: &Schema) -> Result<BoolExpr, Vec<ExprError>> {
    let mut checker = Checker {
        schema,
        errors: Vec::new(),
    };
    let root = checker.condition(tree);
    match root {
        Some(root) if checker.errors.is_empty() => Ok(root),
        _ => {
            checker.errors.sort_by_key(|error| error.span);
            Err(checker.errors)
        }
    }
}

struct Checker<'a> {
    schema: &'a Schema,
    errors: Vec<ExprError>,
}

impl Typed {
    fn ty(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Float(_) => Type::Float,
            Self::Str(_) => Type::String,
        }
    }
}

impl<'a> Checker<'a> {
    fn report<T>(&mut self, error: ExprError) -> Option<T> {
        self.errors.push(error);
        None
    }

    fn type_error(span: Span, message: impl Into<String>) -> ExprError {
        ExprError::new(ErrorCode::Type, span, message)
    }

    fn value(&mut self, expr: &Expr) -> Option<Typed> {
        match &expr.kind {
            ExprKind::Str(text) => Some(Typed::Str(StrExpr::Literal(text.clone()))),
            ExprKind::Int(number) => Some(Typed::Int(IntExpr::Literal(*number))),
            ExprKind::Float(number) => Some(Typed::Float(FloatExpr::Literal(*number))),
            ExprKind::Bool(value) => Some(Typed::Bool(BoolExpr::Literal(*value))),
            ExprKind::List(_) => {
                let error = Self::type_error(expr.span, "a list stands only on the right of `in`");
                self.report(error.hint("write value in [\"a\", \"b\"]"))
            }
            ExprKind::Variable(name) => {
                let entry = self.lookup(name, Kind::Variable)?;
                Some(read(entry, Vec::new()))
            }
            ExprKind::Call(name, arguments) => self.call(name, arguments, expr.span),
            ExprKind::Method(receiver, name, arguments) => self
                .method(receiver, name, arguments, expr.span)
                .map(Typed::Bool),
            ExprKind::Not(inner) => {
                let inner = self.condition(inner)?;
                Some(Typed::Bool(BoolExpr::Not(Box::new(inner))))
            }
            ExprKind::Compare(CompareOp::In, item, list) => {
                self.membership(item, list).map(Typed::Bool)
            }
            ExprKind::Compare(op, left, right) => self
                .comparison(*op, left, right, expr.span)
                .map(Typed::Bool),
            ExprKind::Logic(logic, operands) => {
                // All are checked before any is given up.
                let checked: Vec<_> = operands.iter().map(|o| self.condition(o)).collect();
                let operands = checked.into_iter().collect::<Option<Vec<_>>>()?;
                Some(Typed::Bool(match logic {
                    Logic::And => BoolExpr::All(operands),
                    Logic::Or => BoolExpr::Any(operands),
                }))
            }
        }
    }

    /// An expression that must be true or false.
    fn condition(&mut self, expr: &Expr) -> Option<BoolExpr> {
        match self.value(expr)? {
            Typed::Bool(condition) => Some(condition),
            Typed::Str(_) => {
                let error = Self::type_error(expr.span, "this is a string, not true or false");
                self.report(error.hint("compare it, such as == \"...\" or != \"\""))
            }
            Typed::Int(_) | Typed::Float(_) => {
                let error = Self::type_error(expr.span, "this is a number, not true or false");
                self.report(error.hint("compare it, such as > 0"))
            }
        }
    }

    fn string(&mut self, expr: &Expr, role: &str) -> Option<StrExpr> {
        match self.value(expr)? {
            Typed::Str(text) => Some(text),
            other => {
                let message = format!("{role} must be a string, not {}", other.ty());
                self.report(Self::type_error(expr.span, message))
            }
        }
    }

    fn comparison(&mut self, op: CompareOp, l: &Expr, r: &Expr, span: Span) -> Option<BoolExpr> {
        let (left, right) = (self.value(l), self.value(r));
        let (left, right) = (left?, right?);
        let ordered = match op {
            CompareOp::Eq => Ordered::Eq,
            CompareOp::Ne => Ordered::Ne,
            CompareOp::Lt => Ordered::Lt,
            CompareOp::Le => Ordered::Le,
            CompareOp::Gt => Ordered::Gt,
            CompareOp::Ge => Ordered::Ge,
            CompareOp::In => return self.membership(l, r),
        };
        match (left, right, ordered) {
            (Typed::Str(a), Typed::Str(b), _) => Some(BoolExpr::CompareStr(ordered, a, b)),
            (Typed::Int(a), Typed::Int(b), _) => Some(BoolExpr::CompareInt(ordered, a, b)),
            (Typed::Float(a), Typed::Float(b), _) => Some(BoolExpr::CompareFloat(ordered, a, b)),
            (Typed::Int(a), Typed::Float(b), _) => Some(BoolExpr::CompareMixed(ordered, a, b)),
            (Typed::Float(a), Typed::Int(b), _) => {
                Some(BoolExpr::CompareMixed(ordered.mirrored(), b, a))
            }
            (Typed::Bool(a), Typed::Bool(b), Ordered::Eq) => {
                Some(BoolExpr::Same(Box::new(a), Box::new(b)))
            }
            (Typed::Bool(a), Typed::Bool(b), Ordered::Ne) => Some(BoolExpr::Not(Box::new(
                BoolExpr::Same(Box::new(a), Box::new(b)),
            ))),
            (Typed::Bool(_), Typed::Bool(_), _) => {
                let message = format!("`{}` does not order true and false", op.symbol());
                self.report(Self::type_error(span, message).hint("use == or !="))
            }
            (left, right, _) => {
                let symbol = op.symbol();
                let message = format!("`{symbol}` compares {} with {}", left.ty(), right.ty());
                let error = Self::type_error(span, message);
                let strings = left.ty() == Type::String || right.ty() == Type::String;
                self.report(if strings {
                    error.hint("put quotes around a string")
                } else {
                    error
                })
            }
        }
    }

    fn membership(&mut self, item: &Expr, list: &Expr) -> Option<BoolExpr> {
        let value = self.value(item);
        let ExprKind::List(members) = &list.kind else {
            let list_ok = self.value(list);
            let error = Self::type_error(list.span, "`in` needs a list on its right");
            return match list_ok?.ty() {
                Type::String => {
                    self.report(error.hint("write in [\"a\", \"b\"], or text.contains(\"part\")"))
                }
                _ => self.report(error.hint("write in [1, 2]")),
            };
        };
        // Each member is looked at even when the item is wrong.
        let expected = value.as_ref().map(Typed::ty);
        let members: Vec<_> = members
            .iter()
            .map(|member| self.member(member, expected))
            .collect();
        let members = members.into_iter().collect::<Option<Vec<Member>>>()?;
        Some(match value? {
            Typed::Str(item) => BoolExpr::StrIn(item, pick(members, Member::string)),
            Typed::Int(item) => BoolExpr::IntIn(item, pick(members, Member::int)),
            Typed::Float(item) => BoolExpr::FloatIn(item, pick(members, Member::float)),
            Typed::Bool(item) => BoolExpr::BoolIn(Box::new(item), pick(members, Member::bool)),
        })
    }

    fn member(&mut self, expr: &Expr, expected: Option<Type>) -> Option<Member> {
        let (member, ty) = match &expr.kind {
            ExprKind::Str(text) => (Member::Str(text.clone()), Type::String),
            ExprKind::Int(number) => (Member::Int(*number), Type::Int),
            ExprKind::Float(number) => (Member::Float(*number), Type::Float),
            ExprKind::Bool(value) => (Member::Bool(*value), Type::Bool),
            _ => {
                let error = Self::type_error(expr.span, "a list holds only literal values");
                return self.report(error.hint("join comparisons with || instead"));
            }
        };
        match expected {
            Some(expected) if expected != ty => {
                let message = format!("this is {ty}, the value before `in` is {expected}");
                self.report(Self::type_error(expr.span, message))
            }
            _ => Some(member),
        }
    }

    fn method(
        &mut self,
        receiver: &Expr,
        name: &Name,
        arguments: &[Expr],
        span: Span,
    ) -> Option<BoolExpr> {
        let Some((_, test)) = METHODS.iter().find(|(known, _)| *known == name.text) else {
            self.value(receiver);
            let known = METHODS.iter().map(|(name, _)| *name);
            let hint = match nearest(&name.text, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "known are startsWith, endsWith and contains".to_owned(),
            };
            let message = format!("there is no method `{}`", name.text);
            let error = ExprError::new(ErrorCode::UnknownName, name.span, message);
            return self.report(error.hint(hint));
        };
        let text = self.string(receiver, &format!("what `{}` is asked of", name.text));
        let [part] = arguments else {
            let message = format!(
                "`{}` takes 1 argument, {} given",
                name.text,
                arguments.len()
            );
            return self.report(Self::type_error(span, message));
        };
        let part = self.string(part, &format!("the argument of `{}`", name.text));
        Some(BoolExpr::Text(*test, text?, part?))
    }

    /// `has(country)`: whether a value is known at all.
    fn has(&mut self, arguments: &[Expr], span: Span) -> Option<Typed> {
        let [
            Expr {
                kind: ExprKind::Variable(name),
                ..
            },
        ] = arguments
        else {
            let error = Self::type_error(span, "`has` asks about one value by its name");
            return self.report(error.hint("write has(name)"));
        };
        let entry = self.lookup(name, Kind::Variable)?;
        Some(Typed::Bool(BoolExpr::Has(entry.slot, entry.returns)))
    }

    fn call(&mut self, name: &Name, arguments: &[Expr], span: Span) -> Option<Typed> {
        if name.text == "has" && self.schema.find("has", Kind::Function).is_none() {
            return self.has(arguments, span);
        }
        let given: Vec<_> = arguments
            .iter()
            .map(|argument| self.value(argument))
            .collect();
        let entry = self.lookup(name, Kind::Function)?;
        let parameters = entry.parameters.as_deref().unwrap_or_default();
        if given.len() != parameters.len() {
            let (count, s) = (
                parameters.len(),
                if parameters.len() == 1 { "" } else { "s" },
            );
            let message = format!(
                "`{}` takes {count} argument{s}, {} given",
                name.text,
                given.len()
            );
            let hint = format!("write {}", entry.usage());
            return self.report(Self::type_error(span, message).hint(hint));
        }
        let given = given.into_iter().collect::<Option<Vec<_>>>()?;
        for ((value, wanted), expr) in given.iter().zip(parameters).zip(arguments) {
            if value.ty() != *wanted {
                let message = format!("`{}` needs {wanted} here, not {}", name.text, value.ty());
                let hint = format!("write {}", entry.usage());
                return self.report(Self::type_error(expr.span, message).hint(hint));
            }
        }
        Some(read(entry, given))
    }

    fn lookup(&mut self, name: &Name, kind: Kind) -> Option<&'a Entry> {
        let schema = self.schema;
        if let Some(entry) = schema.find(&name.text, kind) {
            return Some(entry);
        }
        if let Some(other) = schema.find(&name.text, kind.other()) {
            let (what, hint) = match kind {
                Kind::Variable => ("a function", format!("write {}", other.usage())),
                Kind::Function => ("a value, not a function", format!("write {}", other.name)),
            };
            let message = format!("`{}` is {what}", name.text);
            return self.report(ExprError::new(ErrorCode::Type, name.span, message).hint(hint));
        }
        let entries = schema.entries();
        let hint = match nearest(&name.text, entries.iter().map(|e| &*e.name)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                let known: Vec<_> = entries.iter().map(Entry::usage).collect();
                format!("known are {}", known.join(", "))
            }
        };
        let what = match kind {
            Kind::Variable => "value",
            Kind::Function => "function",
        };
        let message = format!("there is no {what} `{}`", name.text);
        self.report(ExprError::new(ErrorCode::UnknownName, name.span, message).hint(hint))
    }
}

fn read(entry: &Entry, arguments: Vec<Typed>) -> Typed {
    let read = Read {
        slot: entry.slot,
        arguments,
    };
    match entry.returns {
        Type::String => Typed::Str(StrExpr::Read(read)),
        Type::Int => Typed::Int(IntExpr::Read(read)),
        Type::Float => Typed::Float(FloatExpr::Read(read)),
        Type::Bool => Typed::Bool(BoolExpr::Read(read)),
    }
}

/// A literal in a list.
enum Member {
    Str(String),
    Int(i64),
    Float(Decimal),
    Bool(bool),
}

impl Member {
    fn string(self) -> Option<String> {
        if let Self::Str(text) = self {
            Some(text)
        } else {
            None
        }
    }

    fn int(self) -> Option<i64> {
        if let Self::Int(number) = self {
            Some(number)
        } else {
            None
        }
    }

    fn float(self) -> Option<Decimal> {
        if let Self::Float(number) = self {
            Some(number)
        } else {
            None
        }
    }

    fn bool(self) -> Option<bool> {
        if let Self::Bool(value) = self {
            Some(value)
        } else {
            None
        }
    }
}

/// The members' values; all have the item's type by then.
fn pick<T>(members: Vec<Member>, value: fn(Member) -> Option<T>) -> Vec<T> {
    members.into_iter().filter_map(value).collect()
}
