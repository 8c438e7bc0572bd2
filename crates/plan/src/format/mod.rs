//! One layout for all plans: comments stay, meaning stays, the rest is made even.
//!
//! Indentation, quotes, spelling of quantities, empty lines and the order of the top
//! keys are made even. What stands in braces stays there where it fits in a line. The
//! result is read back: it is only given out when it says the same.

mod print;
mod tree;
mod words;

use crate::catalog::Catalog;
use crate::diagnostic::{self as code, Diagnostic, Severity};
use crate::section::root;
use crate::shape::Shape;
use crate::source::{SourceFile, Span};
use crate::yaml::{self, Node, Value};
use tree::{Body, Group, Remark};

/// Comments that only mean something at the top of a file.
const FIRST_LINES: [&str; 3] = ["# yaml-language-server:", "# $schema:", "#!"];

/// The text of a plan in the usual layout. A plan with wrong keys or values is laid out
/// all the same; only what is not well-formed is refused.
///
/// # Errors
/// Where the text is no YAML that plans may use.
pub fn format(source: &SourceFile, catalog: &Catalog) -> Result<String, Vec<Diagnostic>> {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let shape = Shape::Block(root::block(catalog));
    let (node, problems) = yaml::load(text);
    let mut found: Vec<Diagnostic> = problems
        .into_iter()
        .map(|p| error(text, p.code, p.span, p.message, p.help))
        .collect();
    let readable = found.iter().all(|d| d.code == code::DUPLICATE_KEY);
    let (Some(before), true) = (node, readable) else {
        return Err(found);
    };
    let file = tree::read(text);
    let comments = file.as_ref().map(|file| file.comments);
    let out = file.map(|file| lay_out(file, &shape));
    // A comment that finds no place in the usual layout is not given up.
    let kept = |out: &str| tree::read(out).map(|again| again.comments) == comments;
    match out {
        Some(out) if says_the_same(&before, &out, &shape) && kept(&out) => Ok(out),
        _ => {
            found.push(error(
                text,
                code::LAYOUT,
                Span::default(),
                "the usual layout of this file would say something else".to_owned(),
                "leave it as it is, and write its unusual parts in a simpler way".to_owned(),
            ));
            Err(found)
        }
    }
}

fn error(text: &str, code: &'static str, span: Span, message: String, help: String) -> Diagnostic {
    Diagnostic::new(code, Severity::Error, text, "", span, message, help)
}

fn lay_out(mut file: tree::File, shape: &Shape) -> String {
    let mut out = String::new();
    if let Body::Group(group) = &mut file.root.body
        && file.root.anchor.is_none()
    {
        let head = take_head(group);
        print::remarks(&head, 0, &mut out);
        if head.last().is_some_and(|last| !for_editors(last)) {
            print::blank(&mut out);
        }
        // An alias must come after what it repeats.
        if !file.anchored {
            order(group, shape);
        }
        if group.items.is_empty() {
            out.push_str(&print::alone(&file.root, shape));
        } else {
            out.push_str(&print::top(group, shape));
        }
    } else {
        let empty = matches!(&file.root.body, Body::Scalar { text, .. } if text.is_empty());
        if !empty || file.root.anchor.is_some() {
            out.push_str(&print::alone(&file.root, shape));
        }
    }
    for remark in &file.tail {
        print::remarks(std::slice::from_ref(remark), 0, &mut out);
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

/// The comments that belong to the file and not to its first key: all that an empty line
/// parts from it, and those that editors look for in the first lines.
fn take_head(group: &mut Group) -> Vec<Remark> {
    let Some(first) = group.items.first_mut() else {
        return Vec::new();
    };
    let apart = first.lead.iter().skip(1).rposition(|remark| remark.blank);
    let edge = if first.gap {
        first.lead.len()
    } else {
        apart.map_or(0, |at| at + 1)
    };
    let edge = edge.max(first.lead.iter().take_while(|r| for_editors(r)).count());
    first.gap = false;
    first.lead.drain(..edge).collect()
}

fn for_editors(remark: &Remark) -> bool {
    FIRST_LINES.iter().any(|line| remark.text.starts_with(line))
}

/// Puts the top keys into the order of the language; unknown ones go last, as they were.
fn order(group: &mut Group, shape: &Shape) {
    let Shape::Block(block) = shape else { return };
    if group.list {
        return;
    }
    let place = |item: &tree::Item| {
        let Some(Body::Scalar { text, .. }) = item.key.as_ref().map(|key| &key.body) else {
            return usize::MAX;
        };
        let known = block.names().position(|name| name == text);
        known.unwrap_or(usize::MAX)
    };
    group.items.sort_by_key(place);
}

/// Whether a text says what a tree says, apart from the order of keys and the spelling of
/// quantities.
fn says_the_same(before: &Node, text: &str, shape: &Shape) -> bool {
    let (after, problems) = yaml::load(text);
    let readable = problems.iter().all(|p| p.code == code::DUPLICATE_KEY);
    after.is_some_and(|after| readable && same(before, &after, Some(shape)))
}

fn same(a: &Node, b: &Node, shape: Option<&Shape>) -> bool {
    match (&a.value, &b.value) {
        (Value::Null, Value::Null) => true,
        (
            Value::Scalar { text, plain },
            Value::Scalar {
                text: other,
                plain: bare,
            },
        ) => {
            let special = |text: &str| matches!(text, "true" | "false" | "off");
            let spell = |text: &str, plain: bool| words::spelled(text, plain, shape);
            spell(text, *plain) == spell(other, *bare) && (!special(text) || plain == bare)
        }
        (Value::List(a), Value::List(b)) => {
            let item = shape.and_then(print::item_shape);
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, item))
        }
        (Value::Map(a), Value::Map(b)) => {
            let matches = |entry: &yaml::Entry| {
                let inner = shape.and_then(|shape| print::entry_shape(shape, &entry.key));
                let other = b.iter().find(|other| other.key == entry.key);
                other.is_some_and(|other| same(&entry.value, &other.value, inner.as_ref()))
            };
            a.len() == b.len() && a.iter().all(matches)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Trap 17: what would change a plan is never given out.
    #[test]
    fn a_layout_that_says_something_else_is_noticed() {
        let shape = Shape::Block(root::block(&Catalog::default()));
        let (before, _) = yaml::load("service: shop\nstages: [{ to: 5%, for: 30m }]\n");
        let before = before.expect("well-formed");
        for (text, expected) in [
            (
                "stages: [{ for: 030m, to: 5.0 % }]\nservice: 'shop'\n",
                true,
            ),
            ("stages: [{ for: 30s, to: 5% }]\nservice: shop\n", false),
            ("stages: [{ for: 30m }]\nservice: shop\n", false),
            ("stages: []\nservice: shop\n", false),
            ("service: shop\n", false),
            ("service: [\n", false),
        ] {
            assert_eq!(says_the_same(&before, text, &shape), expected, "{text}");
        }
    }
}
