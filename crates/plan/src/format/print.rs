//! The tree of a file as text in the one usual layout.

use super::tree::{Body, Group, Item, Node, Remark};
use super::words::{spelled, written};
use crate::shape::{Block, Shape};
use granit_parser::ScalarStyle;

/// What is written in braces stays there when its line has room for it.
const WIDTH: usize = 100;
/// Spaces of one level.
const STEP: usize = 2;

/// Prints a group at the left edge.
pub(super) fn top(group: &Group, shape: &Shape) -> String {
    let mut out = String::new();
    group_lines(group, Some(shape), 0, &mut out);
    out
}

/// A value that is the whole file.
pub(super) fn alone(node: &Node, shape: &Shape) -> String {
    format!("{}\n", line(node, Some(shape), false))
}

pub(super) fn remarks(remarks: &[Remark], indent: usize, out: &mut String) {
    for remark in remarks {
        if remark.blank {
            blank(out);
        }
        out.push_str(&format!("{:indent$}{}\n", "", remark.text));
    }
}

/// An empty line, never at the beginning and never two.
pub(super) fn blank(out: &mut String) {
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
}

fn group_lines(group: &Group, shape: Option<&Shape>, indent: usize, out: &mut String) {
    for (index, item) in group.items.iter().enumerate() {
        if item.blank && index > 0 {
            blank(out);
        }
        let lead: Vec<Remark> = item
            .lead
            .iter()
            .enumerate()
            .map(|(n, remark)| Remark {
                blank: remark.blank && n > 0,
                text: remark.text.clone(),
            })
            .collect();
        remarks(&lead, indent, out);
        if item.gap && !lead.is_empty() {
            blank(out);
        }
        if group.list {
            list_item(item, shape.and_then(item_shape), indent, out);
        } else {
            entry(item, shape, indent, out);
        }
    }
    remarks(&group.tail, indent, out);
}

fn entry(item: &Item, shape: Option<&Shape>, indent: usize, out: &mut String) {
    let Some(key) = &item.key else { return };
    let inner = key_text(key).and_then(|key| shape.and_then(|shape| entry_shape(shape, key)));
    let inner = inner.as_ref();
    let head = format!("{:indent$}{}:", "", line(key, None, false));
    let room = WIDTH.saturating_sub(head.chars().count() + 1);
    out.push_str(&head);
    if let Some(lines) = text_lines(&item.value, indent + STEP) {
        out.push_str(&format!(
            "{}{}{}\n{}",
            mark(&item.value),
            lines.0,
            trail(item),
            lines.1
        ));
    } else if let Some(text) = in_one_line(&item.value, inner, room) {
        if !text.is_empty() {
            out.push(' ');
            out.push_str(&text);
        }
        out.push_str(&trail(item));
        out.push('\n');
    } else if let Body::Group(group) = &item.value.body {
        out.push_str(&format!("{}{}\n", mark(&item.value), trail(item)));
        group_lines(group, inner, indent + STEP, out);
    }
}

fn list_item(item: &Item, shape: Option<&Shape>, indent: usize, out: &mut String) {
    let dash = format!("{:indent$}-", "");
    let room = WIDTH.saturating_sub(indent + STEP);
    if let Some(lines) = text_lines(&item.value, indent + STEP) {
        out.push_str(&format!(
            "{dash}{}{}{}\n{}",
            mark(&item.value),
            lines.0,
            trail(item),
            lines.1
        ));
        return;
    }
    if let Some(text) = in_one_line(&item.value, shape, room) {
        let gap = if text.is_empty() { "" } else { " " };
        out.push_str(&format!("{dash}{gap}{text}{}\n", trail(item)));
        return;
    }
    let Body::Group(group) = &item.value.body else {
        return;
    };
    if item.value.anchor.is_some() {
        out.push_str(&format!("{dash}{}{}\n", mark(&item.value), trail(item)));
        group_lines(group, shape, indent + STEP, out);
        return;
    }
    // Written in braces until now: what stood beside it and in front of its first key
    // goes before the dash, where it is found again.
    if let Some(text) = &item.trail {
        out.push_str(&format!("{:indent$}{text}\n", ""));
    }
    let mut group = group.clone();
    let mut lead = Vec::new();
    lift_first(&mut group, shape, indent + STEP, &mut lead);
    if let Some(remark) = lead.first_mut() {
        remark.blank = false;
    }
    remarks(&lead, indent, out);
    let mut lines = String::new();
    group_lines(&group, shape, indent + STEP, &mut lines);
    let rest = lines.get(indent + STEP..).unwrap_or("");
    out.push_str(&format!("{dash} {rest}"));
}

/// Takes what would be printed between the dash in front of a group and its first words,
/// through lists that begin with lists.
fn lift_first(group: &mut Group, shape: Option<&Shape>, indent: usize, lead: &mut Vec<Remark>) {
    let list = group.list;
    let Some(first) = group.items.first_mut() else {
        return;
    };
    lead.append(&mut first.lead);
    let inner = shape.and_then(item_shape);
    let room = WIDTH.saturating_sub(indent + STEP);
    let beside = first.value.anchor.is_some() || in_one_line(&first.value, inner, room).is_some();
    if list
        && !beside
        && let Body::Group(group) = &mut first.value.body
    {
        let text = first.trail.take();
        lead.extend(text.map(|text| Remark { blank: false, text }));
        lift_first(group, inner, indent + STEP, lead);
    }
}

fn trail(item: &Item) -> String {
    item.trail
        .as_ref()
        .map_or(String::new(), |text| format!("  {text}"))
}

/// ` &name` where a value has an anchor.
fn mark(node: &Node) -> String {
    node.anchor
        .as_ref()
        .map_or(String::new(), |name| format!(" &{name}"))
}

fn key_text(key: &Node) -> Option<&str> {
    match &key.body {
        Body::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// The value in one line, when it may stand in one and fits.
fn in_one_line(node: &Node, shape: Option<&Shape>, room: usize) -> Option<String> {
    let Body::Group(group) = &node.body else {
        return Some(line(node, shape, false));
    };
    if !(may_be_flow(node) && (group.flow || group.items.is_empty())) {
        return None;
    }
    let text = line(node, shape, false);
    (text.chars().count() <= room || group.items.is_empty()).then_some(text)
}

/// Whether a value can stand in braces: nothing inside needs a line of its own.
fn may_be_flow(node: &Node) -> bool {
    match &node.body {
        Body::Group(group) => {
            group.tail.is_empty()
                && group.items.iter().all(|item| {
                    item.lead.is_empty() && item.trail.is_none() && may_be_flow(&item.value)
                })
        }
        _ => true,
    }
}

/// A value in one line; `flow` inside of braces.
fn line(node: &Node, shape: Option<&Shape>, flow: bool) -> String {
    let text = match &node.body {
        Body::Alias(name) => format!("*{name}"),
        Body::Scalar { text, style } => {
            let plain = *style == ScalarStyle::Plain;
            if plain && text.is_empty() {
                String::new()
            } else {
                written(&spelled(text, plain, shape), plain, flow)
            }
        }
        Body::Group(group) => {
            let parts: Vec<String> = group
                .items
                .iter()
                .map(|item| flow_item(item, shape))
                .collect();
            match (group.list, parts.is_empty()) {
                (true, true) => "[]".to_owned(),
                (false, true) => "{}".to_owned(),
                (true, false) => format!("[{}]", parts.join(", ")),
                (false, false) => format!("{{ {} }}", parts.join(", ")),
            }
        }
    };
    match &node.anchor {
        Some(name) if text.is_empty() => format!("&{name}"),
        Some(name) => format!("&{name} {text}"),
        None => text,
    }
}

fn flow_item(item: &Item, shape: Option<&Shape>) -> String {
    let Some(key) = &item.key else {
        let text = line(&item.value, shape.and_then(item_shape), true);
        // An empty item would vanish.
        return if text.is_empty() {
            "~".to_owned()
        } else {
            text
        };
    };
    let inner = key_text(key).and_then(|key| shape.and_then(|shape| entry_shape(shape, key)));
    let value = line(&item.value, inner.as_ref(), true);
    let gap = if value.is_empty() { "" } else { " " };
    // A key that is an alias would run into its colon.
    let end = if matches!(key.body, Body::Alias(_)) {
        " :"
    } else {
        ":"
    };
    format!("{}{end}{gap}{value}", line(key, None, true))
}

/// A text of several lines, as its first line and the rest; `None` for what fits in one.
fn text_lines(node: &Node, indent: usize) -> Option<(String, String)> {
    let Body::Scalar { text, style } = &node.body else {
        return None;
    };
    let several = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
    let body = text.strip_suffix('\n').unwrap_or(text);
    let odd = body.is_empty()
        || body.starts_with([' ', '\n', '\t'])
        || body.ends_with('\n')
        || body
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
        || body
            .lines()
            .any(|line| line.trim().is_empty() && !line.is_empty());
    if !several || odd {
        return None;
    }
    let keep = if text.ends_with('\n') { "" } else { "-" };
    let lines = body.split('\n').map(|line| {
        if line.is_empty() {
            "\n".to_owned()
        } else {
            format!("{:indent$}{line}\n", "")
        }
    });
    Some((format!(" |{keep}"), lines.collect()))
}

/// The shape of a list's items.
pub(super) fn item_shape(shape: &Shape) -> Option<&Shape> {
    match shape {
        Shape::List(item) => Some(item),
        Shape::OrOff(inner) => item_shape(inner),
        Shape::Either { short, .. } => item_shape(short),
        _ => None,
    }
}

/// The shape of a block's value under a key.
pub(super) fn entry_shape(shape: &Shape, key: &str) -> Option<Shape> {
    let in_block = |block: &Block| block.key(key).map(|key| key.shape.clone());
    match shape {
        Shape::Block(block) | Shape::Either { block, .. } => in_block(block),
        Shape::Named(item) => Some((**item).clone()),
        Shape::OrOff(inner) => entry_shape(inner, key),
        _ => None,
    }
}
