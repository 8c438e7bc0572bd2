//! YAML text to a loose tree in which everything has its place in the text.
//!
//! The only module that knows the YAML library. Scalars stay as they were written
//! (`1.10` is not 1.1, `no` is text), so that what a value must be is decided by the
//! language and not by YAML. Deliberately refused: tags, merge keys, several
//! documents, keys that are not plain words. Aliases are expanded within a budget.

use crate::braces;
use crate::diagnostic as code;
use crate::source::{Span, line_column};
use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError};
use std::collections::BTreeMap;

/// Longest text that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting, aliases expanded.
pub(crate) const MAX_DEPTH: usize = 48;
/// Most nodes, aliases expanded.
pub(crate) const MAX_NODES: usize = 50_000;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What YAML itself tells apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A single value as written; `plain` when it stands without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order written; no key twice.
    Map(Vec<Entry>),
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// What is wrong with the text as YAML.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Reads a text; the tree is there unless the text broke off.
pub(crate) fn load(text: &str) -> (Option<Node>, Vec<Problem>) {
    if text.len() > MAX_BYTES {
        let problem = Problem {
            code: code::TOO_LARGE,
            span: Span::default(),
            message: format!(
                "the file has {} bytes; at most {MAX_BYTES} are read",
                text.len()
            ),
            help: "a plan is a page or two of text: is this the right file?".to_owned(),
        };
        return (None, vec![problem]);
    }
    let mut loader = Loader::new(text);
    let root = match loader.run() {
        Ok(root) => Some(root),
        Err(problem) => {
            loader.problems.push(problem);
            None
        }
    };
    (root, loader.problems)
}

/// A collection that is still being read.
struct Frame {
    start: Span,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        key: Option<(String, Span)>,
    },
}

struct Loader<'t> {
    text: &'t str,
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    documents: usize,
    problems: Vec<Problem>,
}

impl<'t> Loader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            stack: Vec::new(),
            root: None,
            anchors: BTreeMap::new(),
            nodes: 0,
            documents: 0,
            problems: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<Node, Problem> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        let text = self.text;
        let protected = braces::protect(text);
        for next in Parser::new_from_str_with_options(&protected, options) {
            let (event, span) = next.map_err(|error| self.syntax(&error))?;
            let (start, end) = (
                span.start.byte_offset().unwrap_or(0),
                span.end.byte_offset().unwrap_or(0),
            );
            self.event(event, Span::clamped(text, start, end))?;
        }
        Ok(self.root.take().unwrap_or(Node {
            span: Span::default(),
            value: Value::Null,
        }))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) => self.document(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.no_tag(tag.is_some(), span)?;
                self.count(span, 1, 1)?;
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null {
                    Value::Null
                } else {
                    Value::Scalar {
                        text: braces::restore(text),
                        plain,
                    }
                };
                self.place(Node { span, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.no_tag(tag.is_some(), span)?;
                self.open(span, anchor, Kind::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.no_tag(tag.is_some(), span)?;
                let kind = Kind::Map {
                    entries: Vec::new(),
                    key: None,
                };
                self.open(span, anchor, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(Problem {
                        code: code::BUDGET,
                        span,
                        message: "this alias stands inside what it refers to".to_owned(),
                        help: "write the value out".to_owned(),
                    });
                };
                let (size, depth) = measure(&node);
                self.count(span, size, depth)?;
                self.place(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn document(&mut self, span: Span) -> Result<(), Problem> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(Self::unsupported(
                span,
                "a second document begins here; a plan file holds one",
                "put the other document into a file of its own",
            ));
        }
        Ok(())
    }

    fn open(&mut self, start: Span, anchor: usize, kind: Kind) -> Result<(), Problem> {
        self.count(start, 1, 1)?;
        if self.expects_key() {
            return Err(Self::unsupported(
                start,
                "a key must be a word, not a list or block",
                "quote the value if it begins with `[` or `{`",
            ));
        }
        self.stack.push(Frame {
            start,
            anchor,
            kind,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let value = match frame.kind {
            Kind::List(items) => Value::List(items),
            Kind::Map { entries, .. } => Value::Map(entries),
        };
        let node = Node {
            span: frame.start,
            value,
        };
        self.place(node, frame.anchor)
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|frame| &mut frame.kind) {
            None => self.root = Some(node),
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, key }) => match key.take() {
                None => return self.key(node),
                Some((key, key_span)) => {
                    if entries.iter().any(|entry| entry.key == key) {
                        self.problems.push(Problem {
                            code: code::DUPLICATE_KEY,
                            span: key_span,
                            message: format!("`{key}` is written twice in this block"),
                            help: "keep one of them".to_owned(),
                        });
                    } else {
                        entries.push(Entry {
                            key,
                            key_span,
                            value: node,
                        });
                    }
                }
            },
        }
        Ok(())
    }

    fn key(&mut self, node: Node) -> Result<(), Problem> {
        let Value::Scalar { text, plain } = node.value else {
            return Err(Self::unsupported(
                node.span,
                "a key must be a word",
                "write `key: value` with one space after the colon",
            ));
        };
        if plain && text == "<<" {
            return Err(Self::unsupported(
                node.span,
                "merge keys (`<<`) are not used in plans",
                "write the keys out, or alias whole values with `*name`",
            ));
        }
        if let Some(Frame {
            kind: Kind::Map { key, .. },
            ..
        }) = self.stack.last_mut()
        {
            *key = Some((text, node.span));
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                kind: Kind::Map { key: None, .. },
                ..
            })
        )
    }

    /// Charges nodes to the budget; `depth` is that of the new value itself.
    fn count(&mut self, span: Span, size: usize, depth: usize) -> Result<(), Problem> {
        self.nodes += size;
        if self.stack.len() + depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        if self.nodes > MAX_NODES {
            return Err(over_budget(
                span,
                format!("the file has more than {MAX_NODES} values, aliases expanded"),
            ));
        }
        Ok(())
    }

    fn no_tag(&self, tagged: bool, span: Span) -> Result<(), Problem> {
        if tagged {
            return Err(Self::unsupported(
                span,
                "tags (`!name`) are not used in plans",
                "remove the tag, or quote a text that begins with `!`",
            ));
        }
        Ok(())
    }

    fn unsupported(span: Span, message: &str, help: &str) -> Problem {
        Problem {
            code: code::UNSUPPORTED_YAML,
            span,
            message: message.to_owned(),
            help: help.to_owned(),
        }
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let offset = error.marker().byte_offset().unwrap_or(0);
        let span = Span::clamped(self.text, offset, offset + 1);
        let rest = self.text.get(span.offset..).unwrap_or("");
        let (_, column) = line_column(self.text, span.offset);
        let before = self.text.get(..span.offset).unwrap_or("");
        let indent_has_tab = before
            .chars()
            .rev()
            .take(column)
            .take_while(|c| *c == ' ' || *c == '\t')
            .any(|c| c == '\t');
        let (message, help) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => return too_deep(span),
            ErrorKind::UnknownAnchor => (
                "this alias refers to nothing".to_owned(),
                "`*name` repeats a value marked `&name` earlier in the file; quote a text that \
                 begins with `*`",
            ),
            _ => match slips::of(self.text, span.offset) {
                Some(problem) => return problem,
                None => Self::unknown_slip(error, rest, indent_has_tab),
            },
        };
        Problem {
            code: code::SYNTAX,
            span,
            message,
            help: help.to_owned(),
        }
    }

    fn unknown_slip(error: &ScanError, rest: &str, tab: bool) -> (String, &'static str) {
        let help = if tab || rest.starts_with('\t') {
            "indent with spaces: YAML does not allow tabs there"
        } else if rest.starts_with(['%', '@', '`']) {
            "quote a text that begins with this character"
        } else {
            "check the indentation, the space after each colon, and that brackets and quotes are \
             closed; quote texts that contain `: ` or begin with a special character"
        };
        (format!("not well-formed YAML: {}", error.info()), help)
    }
}

fn too_deep(span: Span) -> Problem {
    over_budget(
        span,
        format!("this is nested more than {MAX_DEPTH} levels deep"),
    )
}

fn over_budget(span: Span, message: String) -> Problem {
    Problem {
        code: code::BUDGET,
        span,
        message,
        help: "a plan needs a fraction of this: is this the right file?".to_owned(),
    }
}

/// Number of nodes and depth of a tree; recursion is bounded by [`MAX_DEPTH`].
fn measure(node: &Node) -> (usize, usize) {
    let add = |(size, depth): (usize, usize), child: &Node| {
        let (child_size, child_depth) = measure(child);
        (size + child_size, depth.max(child_depth + 1))
    };
    match &node.value {
        Value::Null | Value::Scalar { .. } => (1, 1),
        Value::List(items) => items.iter().fold((1, 1), add),
        Value::Map(entries) => entries.iter().map(|entry| &entry.value).fold((1, 1), add),
    }
}

mod slips;
#[cfg(test)]
mod tests;
