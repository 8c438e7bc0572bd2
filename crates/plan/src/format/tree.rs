//! A file as its author wrote it: values with their styles, comments and blank lines.
//!
//! The loose tree of `yaml` knows what a file says; this one knows how. It is only built
//! from texts that the other one has read, so that tags, merge keys and second documents
//! are out of the question here.

use crate::braces;
use crate::source::line_column;
use granit_parser::{Event, Options, Parser, ScalarStyle, StructureStyle};
use std::collections::{BTreeMap, VecDeque};

/// One value, with what stands around it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    /// Comments on lines of their own before it.
    pub(super) lead: Vec<Remark>,
    /// Whether an empty line stands before it or its comments.
    pub(super) blank: bool,
    /// Whether one stands between its comments and itself.
    pub(super) gap: bool,
    /// Its key, in blocks.
    pub(super) key: Option<Node>,
    pub(super) value: Node,
    /// The comment at the end of its line.
    pub(super) trail: Option<String>,
}

/// A comment on a line of its own, with its `#`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Remark {
    pub(super) blank: bool,
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) anchor: Option<String>,
    pub(super) body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    /// The name that a value was marked with.
    Alias(String),
    Scalar {
        text: String,
        style: ScalarStyle,
    },
    Group(Group),
}

/// A list or a block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) list: bool,
    /// Written in brackets or braces.
    pub(super) flow: bool,
    pub(super) items: Vec<Item>,
    /// Comments after the last item.
    pub(super) tail: Vec<Remark>,
}

/// A comment that has not found its place yet.
struct Loose {
    start: usize,
    column: usize,
    own_line: bool,
    text: String,
}

/// A whole file.
pub(super) struct File {
    pub(super) root: Node,
    /// Comments after everything, or all of them when the root is a single value.
    pub(super) tail: Vec<Remark>,
    pub(super) anchored: bool,
    /// How many comments it has.
    pub(super) comments: usize,
}

/// Reads a text that is known to be well-formed; nothing when it is not after all.
pub(super) fn read(text: &str) -> Option<File> {
    let mut options = Options::default();
    options.set_emit_comments(true);
    options.emit_anchor_events = true;
    options.max_buffered_comment_events = usize::MAX;
    let protected = braces::protect(text);
    let mut builder = Builder {
        text,
        open: Vec::new(),
        root: None,
        names: BTreeMap::new(),
        comments: VecDeque::new(),
    };
    for next in Parser::new_from_str_with_options(&protected, options) {
        let (event, span) = next.ok()?;
        let start = span.start.byte_offset()?;
        let end = span.end.byte_offset()?;
        builder.event(event, start, end);
    }
    let anchored = !builder.names.is_empty();
    builder.comments.make_contiguous().sort_by_key(|c| c.start);
    let mut root = builder.root?;
    let count = builder.comments.len();
    let mut comments = Comments {
        text,
        loose: builder.comments,
    };
    let mut tail = Vec::new();
    if let Body::Group(group) = &mut root.body {
        let limit = if group.flow { root.end } else { usize::MAX };
        comments.attach(group, None, limit);
    }
    comments.take_until(usize::MAX, 0, &mut tail);
    Some(File {
        root,
        tail,
        anchored,
        comments: count,
    })
}

/// A group that is still being read, with the key that waits for its value.
struct Open {
    node: Node,
    group: Group,
    key: Option<Node>,
}

struct Builder<'t> {
    text: &'t str,
    open: Vec<Open>,
    root: Option<Node>,
    names: BTreeMap<usize, String>,
    comments: VecDeque<Loose>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, start: usize, end: usize) {
        let node = |body| Node {
            start,
            end,
            anchor: None,
            body,
        };
        match event {
            Event::Scalar(text, style, ..) => {
                let text = braces::restore(text);
                self.place(node(Body::Scalar { text, style }));
            }
            Event::Alias(id) => {
                let name = self.names.get(&id).cloned().unwrap_or_default();
                self.place(node(Body::Alias(name)));
            }
            Event::SequenceStart(style, ..) => self.open(true, style, start, end),
            Event::MappingStart(style, ..) => self.open(false, style, start, end),
            Event::SequenceEnd | Event::MappingEnd => self.close(end),
            Event::Anchor(id, name) => {
                self.names.insert(id, name.clone().into_owned());
                self.mark(name.into_owned(), start);
            }
            Event::Comment(..) => {
                let (_, column) = line_column(self.text, start);
                let before = self.text.get(..start).unwrap_or("");
                let line = before.rsplit('\n').next().unwrap_or("");
                let text = self.text.get(start..end).unwrap_or("#").trim_end();
                self.comments.push_back(Loose {
                    start,
                    column,
                    own_line: line.trim().is_empty(),
                    text: text.to_owned(),
                });
            }
            _ => {}
        }
    }

    fn open(&mut self, list: bool, style: StructureStyle, start: usize, end: usize) {
        let group = Group {
            list,
            flow: style == StructureStyle::Flow,
            items: Vec::new(),
            tail: Vec::new(),
        };
        self.open.push(Open {
            node: Node {
                start,
                end,
                anchor: None,
                body: Body::Alias(String::new()),
            },
            group,
            key: None,
        });
    }

    /// Gives the node that was read last the name of its anchor, where it begins.
    fn mark(&mut self, name: String, start: usize) {
        // A collection's anchor comes before its content, a scalar's after it.
        let last = match self.open.last_mut() {
            None => self.root.as_mut(),
            Some(open) if open.group.items.is_empty() && open.key.is_none() => Some(&mut open.node),
            Some(open) => match &mut open.key {
                Some(key) => Some(key),
                None => open.group.items.last_mut().map(|item| &mut item.value),
            },
        };
        if let Some(node) = last {
            node.anchor = Some(name);
            node.start = node.start.min(start);
        }
    }

    fn close(&mut self, end: usize) {
        let Some(mut open) = self.open.pop() else {
            return;
        };
        let last = open
            .group
            .items
            .last()
            .map_or(open.node.end, |i| i.value.end);
        open.node.end = if open.group.flow { end } else { last };
        open.node.body = Body::Group(open.group);
        self.place(open.node);
    }

    fn place(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(open) if !open.group.list && open.key.is_none() => open.key = Some(node),
            Some(open) => {
                let key = open.key.take();
                open.group.items.push(Item {
                    lead: Vec::new(),
                    blank: false,
                    gap: false,
                    key,
                    value: node,
                    trail: None,
                });
            }
        }
    }
}

impl Item {
    fn start(&self) -> usize {
        self.key.as_ref().map_or(self.value.start, |key| key.start)
    }
}

/// Gives every comment its place.
struct Comments<'t> {
    text: &'t str,
    loose: VecDeque<Loose>,
}

impl Comments<'_> {
    /// Attaches the comments of a group. `around` is the column of the group around it;
    /// `limit` is where whatever follows the group begins.
    fn attach(&mut self, group: &mut Group, around: Option<usize>, limit: usize) {
        let column = group.items.first().map_or(0, |item| self.column(item));
        let starts: Vec<usize> = group.items.iter().map(Item::start).collect();
        let flow = group.flow;
        for (index, item) in group.items.iter_mut().enumerate() {
            self.take_until(item.start(), 0, &mut item.lead);
            item.gap = self.blank_above(self.dash(item));
            item.blank = item.lead.first().map_or(item.gap, |remark| remark.blank);
            let next = starts.get(index + 1).copied();
            self.value(item, column, next.unwrap_or(limit), flow);
        }
        let indented = around.is_none_or(|around| column > around);
        if flow || (indented && !group.items.is_empty()) {
            self.take_until(limit, if flow { 0 } else { column }, &mut group.tail);
        }
    }

    fn value(&mut self, item: &mut Item, column: usize, limit: usize, flow: bool) {
        let end = item.value.end;
        // A comment after the closing brace is about the whole, not about what is last in it.
        let near = flow.then_some(limit);
        let Body::Group(inner) = &mut item.value.body else {
            let in_value = matches!(
                item.value.body,
                Body::Scalar {
                    style: ScalarStyle::Literal | ScalarStyle::Folded,
                    ..
                }
            );
            // The comment of a text in several lines stands on its first.
            item.trail = if in_value {
                let head = item.key.as_ref().map_or(self.dash(item), |key| key.end);
                self.header(head)
            } else {
                self.beside(end, near)
            };
            return;
        };
        if inner.flow {
            let inside = end.saturating_sub(1);
            self.attach(inner, Some(column), inside);
            item.trail = self.beside(end, near);
            return;
        }
        let first = inner.items.first().map_or(end, Item::start);
        let key_end = item.key.as_ref().map_or(item.value.start, |key| key.end);
        item.trail = self.beside_before(key_end, first);
        self.attach(inner, Some(column), limit);
        if item.key.is_none() && item.value.anchor.is_none() {
            lift(item);
        }
    }

    /// The column of an item: that of its dash in a list.
    fn column(&self, item: &Item) -> usize {
        line_column(self.text, self.dash(item)).1
    }

    /// Where an item's line begins to say something: at its dash in a list.
    fn dash(&self, item: &Item) -> usize {
        let start = item.start();
        if item.key.is_some() {
            return start;
        }
        let before = self.text.get(..start).unwrap_or("");
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let dash = before.get(line..).and_then(|before| before.rfind('-'));
        dash.map_or(start, |at| line + at)
    }

    fn blank_above(&self, offset: usize) -> bool {
        let before = self.text.get(..offset).unwrap_or("");
        let mut lines = before.rsplit('\n').skip(1);
        before.contains('\n') && lines.next().is_some_and(|line| line.trim().is_empty())
    }

    /// Takes all comments before an offset that stand at this column or further right.
    fn take_until(&mut self, limit: usize, column: usize, into: &mut Vec<Remark>) {
        while let Some(next) = self.loose.front() {
            if next.start >= limit || next.column < column {
                return;
            }
            let blank = self.blank_above(next.start);
            if let Some(next) = self.loose.pop_front() {
                into.push(Remark {
                    blank: blank && next.own_line,
                    text: next.text,
                });
            }
        }
    }

    /// Takes the comment at the end of the line on which `end` stands.
    fn beside(&mut self, end: usize, limit: Option<usize>) -> Option<String> {
        let next = self.loose.front()?;
        let between = self.text.get(end..next.start)?;
        let same_line = !next.own_line && !between.contains('\n');
        let near = limit.is_none_or(|limit| next.start < limit);
        (same_line && near)
            .then(|| self.loose.pop_front())
            .flatten()
            .map(|loose| loose.text)
    }

    /// Takes a comment beside a key whose value begins further down.
    fn beside_before(&mut self, end: usize, first: usize) -> Option<String> {
        let next = self.loose.front()?;
        (next.start < first)
            .then(|| self.beside(end, Some(first)))
            .flatten()
    }

    /// Takes the comment in the first line of a text of several lines.
    fn header(&mut self, start: usize) -> Option<String> {
        let next = self.loose.front()?;
        let line = self.text.get(start..)?.find('\n').map(|at| start + at)?;
        (next.start >= start && next.start < line)
            .then(|| self.loose.pop_front())
            .flatten()
            .map(|loose| loose.text)
    }
}

/// Comments between a dash and the first key beside it go before the dash: there they
/// are found again.
fn lift(item: &mut Item) {
    let trail = item.trail.take().map(|text| Remark { blank: false, text });
    item.lead.extend(trail);
    if let Body::Group(group) = &mut item.value.body
        && let Some(first) = group.items.first_mut()
    {
        if !first.lead.is_empty() {
            item.lead.append(&mut first.lead);
            item.gap = first.gap;
        }
        first.blank = false;
    }
}
