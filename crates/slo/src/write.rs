//! Rule files as Prometheus reads them.

use crate::duration::Span;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleKind {
    /// A series of this name.
    Record(String),
    /// An alert.
    Alert {
        /// Its name.
        name: String,
        /// How long it must hold; it fires at once when absent.
        for_: Option<Span>,
        /// Texts for people.
        annotations: BTreeMap<String, String>,
    },
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it makes.
    pub kind: RuleKind,
    /// The expression; may have several lines.
    pub expr: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Rules that are evaluated one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Unique in its file.
    pub name: String,
    /// How often; the server's default when absent.
    pub interval: Option<Span>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule file. `comment` stands at its top, line by line.
#[must_use]
pub fn to_yaml(comment: &str, groups: &[Group]) -> String {
    let mut out = String::new();
    for line in comment.lines() {
        out.push_str(format!("# {line}").trim_end());
        out.push('\n');
    }
    out.push_str("groups:\n");
    for group in groups {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  - name: {}", quoted(&group.name));
        if let Some(interval) = group.interval {
            let _ = writeln!(out, "    interval: {interval}");
        }
        out.push_str("    rules:\n");
        for rule in &group.rules {
            write_rule(&mut out, rule);
        }
    }
    out
}

fn write_rule(out: &mut String, rule: &Rule) {
    let (key, name) = match &rule.kind {
        RuleKind::Record(name) => ("record", name),
        RuleKind::Alert { name, .. } => ("alert", name),
    };
    let _ = writeln!(out, "      - {key}: {}", quoted(name));
    if rule.expr.contains('\n') {
        out.push_str("        expr: |-\n");
        for line in rule.expr.lines() {
            let _ = writeln!(out, "          {line}");
        }
    } else {
        let _ = writeln!(out, "        expr: {}", quoted(&rule.expr));
    }
    if let RuleKind::Alert {
        for_: Some(span), ..
    } = &rule.kind
    {
        let _ = writeln!(out, "        for: {span}");
    }
    write_map(out, "labels", &rule.labels);
    if let RuleKind::Alert { annotations, .. } = &rule.kind {
        write_map(out, "annotations", annotations);
    }
}

fn write_map(out: &mut String, key: &str, map: &BTreeMap<String, String>) {
    if map.is_empty() {
        return;
    }
    let _ = writeln!(out, "        {key}:");
    for (name, value) in map {
        let _ = writeln!(out, "          {name}: {}", quoted(value));
    }
}

/// Plain where YAML takes it for nothing else, in double quotes otherwise.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    // A JSON string is a YAML string.
    serde_json::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_what_they_are() {
        for (text, shown) in [
            ("page", "page"),
            ("no", "\"no\""),
            ("99.9%", "\"99.9%\""),
            ("{{ $value }}", "\"{{ $value }}\""),
            ("a \"b\"", "\"a \\\"b\\\"\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}
