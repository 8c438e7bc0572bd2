//! Text to tokens, with spans. Finds all unreadable places at once.

use crate::error::{ExprError, Span};
use crate::number::Decimal;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Str(String),
    Int(i64),
    Float(Decimal),
    /// A name or one of the words `true`, `false`, `in`.
    Word,
    Op(Op),
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    Comma,
    Dot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Not,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lexed {
    pub(crate) token: Token,
    pub(crate) span: Span,
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [(&str, Token); 15] = [
    ("==", Token::Op(Op::Eq)),
    ("!=", Token::Op(Op::Ne)),
    ("<=", Token::Op(Op::Le)),
    (">=", Token::Op(Op::Ge)),
    ("&&", Token::Op(Op::And)),
    ("||", Token::Op(Op::Or)),
    ("<", Token::Op(Op::Lt)),
    (">", Token::Op(Op::Gt)),
    ("!", Token::Op(Op::Not)),
    ("(", Token::OpenParen),
    (")", Token::CloseParen),
    ("[", Token::OpenBracket),
    ("]", Token::CloseBracket),
    (",", Token::Comma),
    (".", Token::Dot),
];

pub(crate) fn lex(source: &str) -> Result<Vec<Lexed>, Vec<ExprError>> {
    let mut lexer = Lexer {
        source,
        at: 0,
        errors: Vec::new(),
    };
    let mut tokens = Vec::new();
    while let Some(c) = lexer.peek() {
        let start = lexer.at;
        if let Some(token) = lexer.token(c) {
            tokens.push(Lexed {
                token,
                span: Span::new(start, lexer.at),
            });
        }
    }
    if lexer.errors.is_empty() {
        Ok(tokens)
    } else {
        Err(lexer.errors)
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    errors: Vec<ExprError>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance_while(&mut self, keep: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !keep(c)).unwrap_or(rest.len());
    }

    /// Takes at least one character; `None` for blanks, comments and errors.
    fn token(&mut self, c: char) -> Option<Token> {
        match c {
            ' ' | '\t' | '\n' | '\r' | '\u{c}' => {
                self.at += 1;
                None
            }
            '/' if self.rest().starts_with("//") => {
                self.advance_while(|c| c != '\n');
                None
            }
            '"' | '\'' => self.string(c),
            'a'..='z' | 'A'..='Z' | '_' => {
                self.advance_while(|c| c.is_ascii_alphanumeric() || c == '_');
                Some(Token::Word)
            }
            '0'..='9' => self.number(),
            '-' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            _ => self.symbol(c),
        }
    }

    fn symbol(&mut self, c: char) -> Option<Token> {
        if let Some((text, token)) = SYMBOLS
            .iter()
            .find(|(text, _)| self.rest().starts_with(text))
        {
            self.at += text.len();
            return Some(token.clone());
        }
        let span = Span::new(self.at, self.at + c.len_utf8());
        self.at = span.end;
        let error = ExprError::syntax(span, format!("{c:?} is not part of a condition"));
        self.errors.push(match c {
            '=' => error.hint("compare with =="),
            '&' => error.hint("write && for `and`"),
            '|' => error.hint("write || for `or`"),
            '+' | '-' | '*' | '/' | '%' => error.hint("conditions do not calculate"),
            '?' | ':' => error.hint("write two conditions joined by && and ||"),
            '\u{2018}'..='\u{201f}' | '`' | '\u{ab}' | '\u{bb}' => {
                error.hint("strings stand in straight quotes: \"...\"")
            }
            _ => error,
        });
        None
    }

    fn number(&mut self) -> Option<Token> {
        let start = self.at;
        self.at += 1; // a digit or the sign, both one byte
        self.advance_while(|c| c.is_ascii_digit());
        let mut digits_end = self.at;
        let decimals = self.rest().strip_prefix('.').unwrap_or_default();
        let is_float = decimals.starts_with(|c: char| c.is_ascii_digit());
        if is_float {
            self.at += 1; // the point
            self.advance_while(|c| c.is_ascii_digit());
            digits_end = self.at;
        }
        // What is glued to the digits belongs to the mistake: 0x1f, 1.5.2, 10ms.
        self.advance_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let span = Span::new(start, self.at);
        if self.at > digits_end {
            let text = &self.source[span.range()];
            let error = ExprError::syntax(span, format!("{text} is not a number"));
            self.errors
                .push(error.hint("write decimal digits only, such as 12 or 1.5"));
            return None;
        }
        if is_float {
            return Decimal::parse(&self.source[span.range()]).map(Token::Float);
        }
        match self.source[span.range()].parse() {
            Ok(number) => Some(Token::Int(number)),
            Err(_) => {
                let message = "the number does not fit into 64 bits";
                self.errors.push(ExprError::syntax(span, message));
                None
            }
        }
    }

    fn string(&mut self, quote: char) -> Option<Token> {
        let start = self.at;
        let errors_before = self.errors.len();
        let mut text = String::new();
        self.at += 1;
        loop {
            match self.peek() {
                None | Some('\n' | '\r') => {
                    let span = Span::new(start, self.at);
                    let error = ExprError::syntax(span, "the string has no end");
                    self.errors
                        .push(error.hint(format!("close it with {quote} on the same line")));
                    return None;
                }
                Some('\\') => self.escape(&mut text),
                Some(c) => {
                    self.at += c.len_utf8();
                    if c == quote {
                        break;
                    }
                    text.push(c);
                }
            }
        }
        (self.errors.len() == errors_before).then_some(Token::Str(text))
    }

    /// At a backslash.
    fn escape(&mut self, text: &mut String) {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.peek() else { return };
        if c == '\n' || c == '\r' {
            return; // the missing end of the string is the error
        }
        self.at += c.len_utf8();
        let plain = match c {
            '\\' | '"' | '\'' => Some(c),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => self.hex4(),
            _ => None,
        };
        match plain {
            Some(c) => text.push(c),
            None => {
                let span = Span::new(start, self.at);
                let error = ExprError::syntax(span, "unknown escape in a string");
                self.errors
                    .push(error.hint(r#"known are \\ \" \' \n \r \t and \u0000"#));
            }
        }
    }

    /// Four hex digits that name a character.
    fn hex4(&mut self) -> Option<char> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?);
        self.at += 4;
        c
    }
}
