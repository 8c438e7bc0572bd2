//! Tokens to tree: operator precedence as in CEL (`||`, `&&`, comparison, `!`, `.`).
//!
//! Stops at the first break of the grammar: what follows one is guesswork. Narrower
//! than CEL in one place: comparisons do not chain, since `a == b == c` never means
//! what its reader thinks.

use crate::ast::{CompareOp, Expr, ExprKind, Logic, Name};
use crate::error::{ErrorCode, ExprError, Span};
use crate::lexer::{Lexed, Op, Token};
use crate::{MAX_DEPTH, MAX_NODES};

type Parsed = Result<Expr, ExprError>;

pub(crate) fn parse(source: &str, tokens: &[Lexed]) -> Parsed {
    let mut parser = Parser {
        source,
        tokens,
        at: 0,
        nesting: 0,
        nodes: 0,
    };
    let expr = parser.expression(Power::Or)?;
    if parser.at < tokens.len() {
        Err(parser.not_an_operator())
    } else {
        Ok(expr)
    }
}

/// How tightly an operator binds, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Power {
    Or,
    And,
    Compare,
}

/// What stands between two operands.
enum Infix {
    Logic(Logic),
    Compare(CompareOp),
}

struct Parser<'a> {
    source: &'a str,
    tokens: &'a [Lexed],
    at: usize,
    nesting: usize,
    nodes: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|lexed| &lexed.token)
    }

    /// The next token's place, or the end of the text.
    fn span(&self) -> Span {
        let end = Span::new(self.source.len(), self.source.len());
        self.tokens.get(self.at).map_or(end, |lexed| lexed.span)
    }

    fn text(&self, span: Span) -> &'a str {
        &self.source[span.range()]
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn node(&mut self, kind: ExprKind, span: Span) -> Parsed {
        let deepest = |list: &[Expr]| list.iter().map(|e| e.depth).max().unwrap_or(0);
        let below = match &kind {
            ExprKind::Str(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::Variable(_) => 0,
            ExprKind::List(list) | ExprKind::Call(_, list) | ExprKind::Logic(_, list) => {
                deepest(list)
            }
            ExprKind::Method(receiver, _, list) => receiver.depth.max(deepest(list)),
            ExprKind::Not(inner) => inner.depth,
            ExprKind::Compare(_, left, right) => left.depth.max(right.depth),
        };
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("the condition has more than {MAX_NODES} values and operators");
            return Err(ExprError::new(ErrorCode::Limit, span, message)
                .hint("split it into several segments"));
        }
        if below >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        Ok(Expr {
            kind,
            span,
            depth: below + 1,
        })
    }

    /// Guards the parser's own stack: parentheses make no node.
    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.nesting >= MAX_DEPTH {
            return Err(too_deep(self.span()));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn infix(&self) -> Option<(Infix, Power)> {
        match self.peek()? {
            Token::Op(Op::And) => Some((Infix::Logic(Logic::And), Power::And)),
            Token::Op(Op::Or) => Some((Infix::Logic(Logic::Or), Power::Or)),
            Token::Op(op) => CompareOp::from_op(*op).map(|op| (Infix::Compare(op), Power::Compare)),
            Token::Word if self.text(self.span()) == "in" => {
                Some((Infix::Compare(CompareOp::In), Power::Compare))
            }
            _ => None,
        }
    }

    /// Operands joined by operators that bind at least as tightly as `least`.
    fn expression(&mut self, least: Power) -> Parsed {
        let mut left = self.unary()?;
        while let Some((infix, power)) = self.infix() {
            if power < least {
                break;
            }
            left = match infix {
                Infix::Logic(logic) => self.chain(left, logic, power)?,
                Infix::Compare(op) => self.comparison(left, op)?,
            };
        }
        Ok(left)
    }

    /// All operands of `a && b && c` (or with `||`), the first already read.
    fn chain(&mut self, first: Expr, logic: Logic, power: Power) -> Parsed {
        let (token, tighter) = match power {
            Power::Or => (Token::Op(Op::Or), Power::And),
            _ => (Token::Op(Op::And), Power::Compare),
        };
        let mut span = first.span;
        let mut operands = vec![first];
        while self.take(&token) {
            let operand = self.expression(tighter)?;
            span = span.to(operand.span);
            operands.push(operand);
        }
        self.node(ExprKind::Logic(logic, operands), span)
    }

    fn comparison(&mut self, left: Expr, op: CompareOp) -> Parsed {
        self.at += 1;
        let right = self.unary()?;
        if let Some((Infix::Compare(_), _)) = self.infix() {
            return Err(ExprError::syntax(self.span(), "comparisons do not chain")
                .hint("join two comparisons with &&, or use parentheses"));
        }
        let span = left.span.to(right.span);
        self.node(ExprKind::Compare(op, Box::new(left), Box::new(right)), span)
    }

    fn unary(&mut self) -> Parsed {
        let start = self.span();
        if !self.take(&Token::Op(Op::Not)) {
            return self.postfix();
        }
        let inner = self.nested(Self::unary)?;
        let span = start.to(inner.span);
        self.node(ExprKind::Not(Box::new(inner)), span)
    }

    /// A value and its `.method(...)` calls.
    fn postfix(&mut self) -> Parsed {
        let mut value = self.primary()?;
        while self.take(&Token::Dot) {
            let span = self.span();
            if self.peek() != Some(&Token::Word) {
                return Err(self.expected("a method's name", span));
            }
            self.at += 1;
            let name = Name {
                text: self.text(span).to_owned(),
                span,
            };
            if !self.take(&Token::OpenParen) {
                let message = format!("`.{}` is not called", name.text);
                let hint = format!("values have no fields, only methods: .{}(...)", name.text);
                return Err(ExprError::syntax(span, message).hint(hint));
            }
            let (arguments, end) = self.list(&Token::CloseParen, "`)`")?;
            let span = value.span.to(end);
            value = self.node(ExprKind::Method(Box::new(value), name, arguments), span)?;
        }
        Ok(value)
    }

    fn primary(&mut self) -> Parsed {
        let span = self.span();
        let Some(token) = self.peek() else {
            return Err(self.expected("a value", span));
        };
        self.at += 1;
        match token {
            Token::Str(text) => self.node(ExprKind::Str(text.clone()), span),
            Token::Int(number) => self.node(ExprKind::Int(*number), span),
            Token::Float(number) => self.node(ExprKind::Float(*number), span),
            Token::Word => self.word(span),
            Token::OpenParen => {
                let inner = self.nested(|parser| parser.expression(Power::Or))?;
                if !self.take(&Token::CloseParen) {
                    return Err(self.unclosed("`)`", span));
                }
                Ok(inner)
            }
            Token::OpenBracket => {
                let (items, end) = self.list(&Token::CloseBracket, "`]`")?;
                self.node(ExprKind::List(items), span.to(end))
            }
            _ => {
                self.at -= 1;
                Err(self.expected("a value", span))
            }
        }
    }

    fn word(&mut self, span: Span) -> Parsed {
        match self.text(span) {
            "true" => self.node(ExprKind::Bool(true), span),
            "false" => self.node(ExprKind::Bool(false), span),
            "in" => {
                self.at -= 1;
                Err(self.expected("a value", span))
            }
            text => {
                let name = Name {
                    text: text.to_owned(),
                    span,
                };
                if !self.take(&Token::OpenParen) {
                    return self.node(ExprKind::Variable(name), span);
                }
                let (arguments, end) = self.list(&Token::CloseParen, "`)`")?;
                self.node(ExprKind::Call(name, arguments), span.to(end))
            }
        }
    }

    /// Items up to `close`, whose opening is already taken; a last comma is an error.
    fn list(&mut self, close: &Token, shown: &str) -> Result<(Vec<Expr>, Span), ExprError> {
        let opening = self
            .tokens
            .get(self.at.wrapping_sub(1))
            .map_or(self.span(), |l| l.span);
        let mut items = Vec::new();
        let mut end = self.span();
        if self.take(close) {
            return Ok((items, end));
        }
        loop {
            items.push(self.nested(|parser| parser.expression(Power::Or))?);
            end = self.span();
            if self.take(close) {
                return Ok((items, end));
            }
            if !self.take(&Token::Comma) {
                return Err(self.unclosed(&format!("`,` or {shown}"), opening));
            }
        }
    }

    /// What was needed, and what stands there instead.
    fn expected(&self, what: &str, span: Span) -> ExprError {
        if span.start == self.source.len() {
            return ExprError::syntax(span, format!("{what} is missing at the end"));
        }
        ExprError::syntax(
            span,
            format!("expected {what}, found `{}`", self.text(span)),
        )
    }

    fn unclosed(&self, what: &str, opening: Span) -> ExprError {
        let error = self.expected(what, self.span());
        let open = self.text(opening);
        let close = if open == "[" { "]" } else { ")" };
        error.hint(format!(
            "write `{close}` to close the `{open}` at byte {}",
            opening.start
        ))
    }

    /// Something follows a whole expression that cannot.
    fn not_an_operator(&self) -> ExprError {
        let span = self.span();
        let error = self.expected("an operator such as && or ==", span);
        // `not a` puts the word before the place where reading stopped.
        let before = self.at.checked_sub(1).and_then(|i| self.tokens.get(i));
        if before.is_some_and(|l| self.text(l.span) == "not") {
            return error.hint("write ! for `not`");
        }
        match self.text(span) {
            "and" => error.hint("write && for `and`"),
            "or" => error.hint("write || for `or`"),
            "not" => error.hint("write !(a in [...]) for `a not in [...]`"),
            "[" => error.hint("values are not indexed; a header is header(\"name\")"),
            _ => error,
        }
    }
}

fn too_deep(span: Span) -> ExprError {
    let message = format!("the condition nests more than {MAX_DEPTH} levels deep");
    ExprError::new(ErrorCode::Limit, span, message).hint("split it into several segments")
}
