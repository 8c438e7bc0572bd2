//! One sink's block, once its form is right.

use super::{KeySource, Layout, SinkConfig, TenantKey, ValueForm};
use crate::sink::table::{Form, KeyForm, Rules, TableName};
use crate::sink::{Findings, KINDS, Kind, Timeouts};
use esclusa_model::Millis;
use esclusa_plan::Settings;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Most sinks of one file, and most flags of one table.
const MOST: usize = 100;
const MOST_FLAGS: usize = 500;
/// Longest name of a sink.
const NAME: usize = 40;
/// Longest name of a column; PostgreSQL cuts what is longer.
const COLUMN: usize = 63;
/// How often a table is looked at, and its bounds.
const EVERY: Millis = Millis(30_000);
const EVERIES: RangeInclusive<u64> = 1_000..=3_600_000;
/// How long the database may take, and the bounds of both.
const CONNECT: Millis = Millis(5_000);
const STATEMENT: Millis = Millis(10_000);
const TIMEOUTS: RangeInclusive<u64> = 100..=60_000;

pub(super) fn read_sinks(value: &Value, settings: &mut Settings<'_>) -> Vec<SinkConfig> {
    let listed = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if value.is_array() && (listed.is_empty() || listed.len() > MOST) {
        settings.refuse(
            "ESC-0115",
            "sinks",
            format!("a file has 1 to {MOST} sinks"),
            "add a sink, or remove the file".to_owned(),
        );
    }
    let mut names = BTreeSet::new();
    let mut sinks = Vec::new();
    for (index, value) in listed.iter().enumerate() {
        let mut findings = Findings {
            settings: &mut *settings,
            path: format!("sinks[{index}]"),
            secret_code: "ESC-0721",
        };
        let name = text(&value["name"]);
        if !name.is_empty() {
            check_name(&name, &mut names, &mut findings);
        }
        sinks.extend(read_sink(name, value, &mut findings));
    }
    sinks
}

fn check_name(name: &str, names: &mut BTreeSet<String>, findings: &mut Findings<'_, '_>) {
    let fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    if name.len() > NAME || !name.chars().all(fit) {
        let message = "this is no name for a sink".to_owned();
        let help = "use up to 40 letters, digits, `-`, `_` and `.`";
        findings.refuse("ESC-0117", "name", message, help);
    }
    if !names.insert(name.to_owned()) {
        let message = format!("another sink is called `{name}`");
        let help = "give each sink a name of its own";
        findings.refuse("ESC-0216", "name", message, help);
    }
}

fn read_sink(name: String, value: &Value, findings: &mut Findings<'_, '_>) -> Option<SinkConfig> {
    let kind = kind(value, findings);
    let values = values(&value["values"], findings);
    let layout = layout(value, findings);
    let time = |key, default, bounds, findings: &mut Findings<'_, '_>| {
        let time = value[key].as_u64().map_or(default, Millis);
        check_time(key, time, bounds, findings);
        time
    };
    let every = time("every", EVERY, EVERIES, findings);
    let timeouts = Timeouts {
        connect: time("connect-timeout", CONNECT, TIMEOUTS, findings),
        statement: time("timeout", STATEMENT, TIMEOUTS, findings),
    };
    let kind = kind?;
    let at = findings.path.clone();
    let mut inside = Findings {
        settings: &mut *findings.settings,
        path: format!("{at}.{}", kind.name),
        secret_code: findings.secret_code,
    };
    let sink = (kind.build)(&value[kind.name], timeouts, &mut inside)?;
    Some(SinkConfig {
        name,
        kind: kind.name,
        environment: value["environment"].as_str().map(str::to_owned),
        layout: layout?,
        values: values?,
        rules: Rules {
            insert: value["insert"].as_bool().unwrap_or(false),
            repair: value["repair"].as_bool().unwrap_or(true),
        },
        every,
        timeouts,
        sink,
    })
}

fn check_time(
    key: &str,
    time: Millis,
    bounds: RangeInclusive<u64>,
    findings: &mut Findings<'_, '_>,
) {
    if !bounds.contains(&time.0) {
        let (least, most) = (Millis(*bounds.start()), Millis(*bounds.end()));
        let message = format!("this may be {least} to {most}");
        let help = "leave it out, or write a time such as `10s`";
        findings.refuse("ESC-0115", key, message, help);
    }
}

/// The one of these keys that is given.
fn one_of<'k, T>(
    value: &Value,
    known: impl IntoIterator<Item = (&'static str, &'k T)>,
    what: &str,
    findings: &mut Findings<'_, '_>,
) -> Option<&'k T> {
    let known: Vec<(&str, &T)> = known.into_iter().collect();
    let given = known.iter().filter(|(name, _)| !value[*name].is_null());
    let given: Vec<_> = given.collect();
    if let [(_, one)] = given.as_slice() {
        return Some(*one);
    }
    let message = match given.is_empty() {
        true => format!("nothing here says {what}"),
        false => format!("several keys say {what}"),
    };
    let all: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
    let help = match all.as_slice() {
        [only] => format!("give {only}"),
        all => format!("give exactly one of {}", all.join(", ")),
    };
    findings.refuse("ESC-0116", "", message, &help);
    None
}

fn kind(value: &Value, findings: &mut Findings<'_, '_>) -> Option<&'static Kind> {
    let known = KINDS.iter().map(|kind| (kind.name, kind));
    one_of(value, known, "where the database is", findings)
}

fn layout(value: &Value, findings: &mut Findings<'_, '_>) -> Option<Layout> {
    type Read = fn(&Value, &mut Findings<'_, '_>) -> Option<Layout>;
    let (columns, rows): (Read, Read) = (read_columns, read_rows);
    let known = [("columns", &columns), ("rows", &rows)];
    let read = one_of(value, known, "what the table looks like", findings)?;
    let name = match value["columns"].is_null() {
        true => "rows",
        false => "columns",
    };
    let path = format!("{}.{name}", findings.path);
    let mut inside = Findings {
        settings: &mut *findings.settings,
        path,
        secret_code: findings.secret_code,
    };
    read(&value[name], &mut inside)
}

fn read_columns(value: &Value, findings: &mut Findings<'_, '_>) -> Option<Layout> {
    let flags = named(&value["flags"]);
    if value["flags"].is_object() && (flags.is_empty() || flags.len() > MOST_FLAGS) {
        let message = format!("a table has 1 to {MOST_FLAGS} flags");
        findings.refuse("ESC-0115", "flags", message, "name the column of each flag");
    }
    let tenant = tenant(&value["tenant"]);
    let fixed = fixed(value);
    let mut used = Used::default();
    used.take_keys(tenant.as_ref(), &fixed, findings);
    for (flag, column) in &flags {
        used.take(&format!("flags.{flag}"), Some(column), findings);
    }
    Some(Layout::Columns {
        table: table(value, findings)?,
        tenant: tenant?,
        fixed,
        flags,
    })
}

fn read_rows(value: &Value, findings: &mut Findings<'_, '_>) -> Option<Layout> {
    let tenant = tenant(&value["tenant"]);
    let fixed = fixed(value);
    let mut used = Used::default();
    for key in ["name", "value"] {
        used.take(key, value[key].as_str(), findings);
    }
    used.take_keys(tenant.as_ref(), &fixed, findings);
    let listed = value["flags"].as_array();
    let flags = listed.map(|flags| flags.iter().map(text).collect::<Vec<String>>());
    if let Some(flags) = &flags {
        let mut seen = BTreeSet::new();
        if flags.is_empty() || flags.len() > MOST_FLAGS {
            let message = format!("a table has 1 to {MOST_FLAGS} flags");
            findings.refuse("ESC-0115", "flags", message, "leave it out for all flags");
        }
        for (index, flag) in flags.iter().enumerate() {
            if !seen.insert(flag) {
                let message = format!("`{flag}` is there twice");
                let at = format!("flags[{index}]");
                findings.refuse("ESC-0216", &at, message, "remove one of them");
            }
        }
    }
    Some(Layout::Rows {
        table: table(value, findings)?,
        name: value["name"].as_str()?.to_owned(),
        value: value["value"].as_str()?.to_owned(),
        tenant,
        fixed,
        flags,
        names: named(&value["names"]),
    })
}

/// The columns of a table that have a meaning already.
#[derive(Default)]
struct Used(BTreeSet<String>);

impl Used {
    /// The columns that rows are found by.
    fn take_keys(
        &mut self,
        tenant: Option<&TenantKey>,
        fixed: &[(String, String)],
        findings: &mut Findings<'_, '_>,
    ) {
        self.take("tenant.column", tenant.map(|t| &*t.column), findings);
        for (column, _) in fixed {
            self.take(&format!("where.{column}"), Some(column), findings);
        }
    }

    fn take(&mut self, key: &str, column: Option<&str>, findings: &mut Findings<'_, '_>) {
        let Some(column) = column else { return };
        if !is_identifier(column) {
            let message = "this is no name of a column".to_owned();
            let help = "write it as the database shows it, up to 63 bytes";
            findings.refuse("ESC-0117", key, message, help);
        }
        if !self.0.insert(column.to_owned()) {
            let message = format!("the column `{column}` has two meanings");
            let help = "give each a column of its own";
            findings.refuse("ESC-0216", key, message, help);
        }
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.len() <= COLUMN && !name.contains(char::is_control)
}

fn table(value: &Value, findings: &mut Findings<'_, '_>) -> Option<TableName> {
    let whole = value["table"].as_str()?;
    let (schema, name) = match whole.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, whole),
    };
    let good = |name: &str| is_identifier(name) && !name.contains('.');
    if !good(name) || schema.is_some_and(|schema| !good(schema)) {
        let message = "this is no name of a table".to_owned();
        let help = "write `table` or `schema.table` as the database shows them, without quotes";
        findings.refuse("ESC-0117", "table", message, help);
        return None;
    }
    Some(TableName {
        schema: schema.map(str::to_owned),
        name: name.to_owned(),
    })
}

fn tenant(value: &Value) -> Option<TenantKey> {
    Some(TenantKey {
        column: value["column"].as_str()?.to_owned(),
        form: match value["as"].as_str() {
            Some("integer") => KeyForm::Integer,
            _ => KeyForm::Text,
        },
        source: match value["attribute"].as_str() {
            Some(name) => KeySource::Attribute(name.to_owned()),
            None => KeySource::Id,
        },
    })
}

fn values(value: &Value, findings: &mut Findings<'_, '_>) -> Option<ValueForm> {
    let form = match value["as"].as_str() {
        Some("smallint") => Form::Integer,
        Some("text") => Form::Text,
        _ => Form::Boolean,
    };
    let variants = named(&value["variants"]);
    let mut good = true;
    for (variant, value) in &variants {
        let help = match form {
            Form::Boolean if value != "true" && value != "false" => "write `true` or `false`",
            Form::Integer if value.parse::<i16>().is_err() => {
                "write a whole number from -32768 to 32767"
            }
            Form::Boolean | Form::Integer | Form::Text => continue,
        };
        let message = format!("`{value}` is no value of this kind");
        let key = format!("values.variants.{variant}");
        findings.refuse("ESC-0113", &key, message, help);
        good = false;
    }
    // The spelling that the database gives back.
    let spelt = |(variant, value): (String, String)| match (form, value.parse::<i16>()) {
        (Form::Integer, Ok(number)) => (variant, number.to_string()),
        _ => (variant, value),
    };
    good.then(|| ValueForm {
        form,
        variants: variants.into_iter().map(spelt).collect(),
    })
}

fn fixed(value: &Value) -> Vec<(String, String)> {
    named(&value["where"]).into_iter().collect()
}

fn named(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
