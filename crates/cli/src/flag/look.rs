//! Looking at flags.

use super::args::{At, Explain};
use super::change_lines;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::release::path_part;
use crate::table::{one_line, table};
use esclusa_model::{BasisPoints, Timestamp};
use esclusa_server::body::{
    ExplainFlag, ExplainedView, FlagEntryView, FlagHere, FlagRow, FlagView, FlagsView,
    StandingView, TesterGrantView, WhoView,
};
use esclusa_server::report::rfc3339;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Most lines of one change; nobody reads a thousand tenants.
const MOST_LINES: usize = 20;

pub(super) async fn list(
    client: &Client,
    project: Option<&str>,
    stale: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let named = project;
    let project = project.map_or_else(String::new, |name| format!("&project={}", path_part(name)));
    let path = format!("/api/v1/flags?stale={stale}{project}");
    let found: FlagsView = client.get(&path).await?;
    if output.json(&found) {
        return Ok(Exit::Done);
    }
    if found.all_killed {
        output.say("every flag is killed: `esclusa flag lift all` opens them again");
    }
    let mut head = vec!["FLAG", "TYPE"];
    head.extend(found.environments.iter().map(String::as_str));
    head.extend(["OWNER", "EXPIRES"]);
    let rows: Vec<Vec<String>> = found.flags.iter().map(|row| cells(row, &found)).collect();
    for line in table(&head, &rows) {
        output.line(&line);
    }
    if rows.is_empty() {
        output.say(&nothing_listed(client, named, stale).await?);
    }
    Ok(Exit::Done)
}

/// Why a list is empty: nothing is defined, or nothing is as it was asked for.
async fn nothing_listed(
    client: &Client,
    project: Option<&str>,
    stale: bool,
) -> Result<String, Failure> {
    let all: FlagsView = client.get("/api/v1/flags").await?;
    if all.flags.is_empty() {
        return Ok("no flag is defined: `esclusa flag apply FILE` defines some".to_owned());
    }
    let projects: BTreeSet<&str> = all
        .flags
        .iter()
        .filter_map(|f| f.project.as_deref())
        .collect();
    Ok(match project {
        Some(name) if !projects.contains(name) => {
            let known: Vec<&str> = projects.into_iter().collect();
            let known = match known.is_empty() {
                true => "no flag names a project".to_owned(),
                false => format!("known are {}", known.join(", ")),
            };
            format!("no flag belongs to a project {name}; {known}")
        }
        _ if stale => "no such flag is past its last day".to_owned(),
        _ => "no flag is as it was asked for".to_owned(),
    })
}

fn cells(row: &FlagRow, view: &FlagsView) -> Vec<String> {
    let mut cells = vec![row.key.clone(), row.ty.clone()];
    let here = view.environments.iter().map(|name| {
        let here = row.environments.get(name);
        here.map_or_else(String::new, |here| said(row, here))
    });
    cells.extend(here);
    cells.push(row.owner.clone().unwrap_or_default());
    let late = if row.stale { " (over)" } else { "" };
    cells.push(
        row.expires
            .as_ref()
            .map_or_else(String::new, |day| format!("{day}{late}")),
    );
    cells
}

/// How a flag stands, in a few words.
fn said(row: &FlagRow, here: &FlagHere) -> String {
    if row.killed {
        return "killed".into();
    }
    if !here.enabled {
        return "disabled".into();
    }
    let mut words = vec![here.default.clone()];
    for (n, what) in [
        (here.rules, "rule"),
        (here.tenants, "tenant"),
        (here.users, "user"),
    ] {
        match n {
            0 => {}
            1 => words.push(format!("1 {what}")),
            n => words.push(format!("{n} {what}s")),
        }
    }
    let turned = here.turned.iter().map(|turned| {
        let whom = turned.segments.iter().cloned();
        let share = (turned.share_bp > 0).then(|| {
            BasisPoints::new(turned.share_bp)
                .unwrap_or_default()
                .to_string()
        });
        let whom: Vec<String> = whom.chain(share).collect();
        format!("a release: {} for {}", turned.variant, whom.join(" + "))
    });
    words.extend(turned);
    words.join(", ")
}

pub(super) async fn get(client: &Client, key: &str, output: &Output) -> Result<Exit, Failure> {
    let found: FlagView = client
        .get(&format!("/api/v1/flags/{}", path_part(key)))
        .await?;
    if output.json(&found) {
        return Ok(Exit::Done);
    }
    let text = serde_json::to_string_pretty(&found.definition).unwrap_or_default();
    output.line(&text);
    if found.flag.killed {
        output.say("it is killed: everybody gets its off variant");
    }
    for needs in &found.dependents {
        output.say(&format!(
            "{} needs it: {}",
            needs.flag,
            needs.path.join(" -> ")
        ));
    }
    Ok(Exit::Done)
}

pub(super) async fn explain(
    client: &Client,
    asked: &Explain,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut context = Map::new();
    for pair in &asked.with {
        let Some((name, value)) = pair.split_once('=') else {
            let help = "write it like --with country=es or --with age=18";
            return Err(Failure::input(
                "ESC-0408",
                format!("{pair:?} names no value"),
                help,
            ));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        context.insert(name.to_owned(), value);
    }
    for (name, value) in [
        ("targetingKey", &asked.targeting_key),
        ("tenant", &asked.tenant),
        ("user", &asked.user),
    ] {
        if let Some(value) = value {
            context.insert(name.to_owned(), json!(value));
        }
    }
    let body = ExplainFlag {
        environment: asked.at.environment.clone(),
        context,
        tester: asked.tester.clone(),
    };
    let path = format!("/api/v1/flags/{}/explain", path_part(&asked.key));
    let found: ExplainedView = client.post(&path, &body).await?;
    // A misspelt key is no answer that a script should go on with.
    let unknown = found.explanation["error"] == "FLAG_NOT_FOUND";
    if output.json(&found.explanation) {
        return Ok(match unknown {
            true => Exit::BadInput,
            false => Exit::Done,
        });
    }
    if unknown {
        // The server says what was meant.
        let path = format!("/api/v1/flags/{}", path_part(&asked.key));
        let _: FlagView = client.get(&path).await?;
    }
    output.line(&found.text);
    Ok(Exit::Done)
}

pub(super) async fn who(
    client: &Client,
    key: &str,
    at: &At,
    output: &Output,
) -> Result<Exit, Failure> {
    let environment = at.environment.as_deref();
    let query = environment.map_or_else(String::new, |name| {
        format!("?environment={}", path_part(name))
    });
    let path = format!("/api/v1/flags/{}/who{query}", path_part(key));
    let found: WhoView = client.get(&path).await?;
    if output.json(&found) {
        return Ok(Exit::Done);
    }
    let all: usize = found.variants.iter().map(|one| one.tenants.len()).sum();
    for one in &found.variants {
        let names: Vec<String> = one.tenants.iter().map(|name| one_line(name)).collect();
        output.line(&format!(
            "{}: {} of {all} tenants: {}",
            output.colour.paint(Tone::Strong, &one.variant),
            names.len(),
            names.join(", ")
        ));
    }
    if all == 0 {
        output.say("the directory names no tenants");
    }
    Ok(Exit::Done)
}

pub(super) async fn history(
    client: &Client,
    key: Option<&str>,
    limit: usize,
    output: &Output,
) -> Result<Exit, Failure> {
    let path = match key {
        Some(key) => format!("/api/v1/flags/{}/history?limit={limit}", path_part(key)),
        None => format!("/api/v1/flag-set/history?limit={limit}"),
    };
    let found: Vec<FlagEntryView> = client.get(&path).await?;
    if output.json(&found) {
        return Ok(Exit::Done);
    }
    for entry in &found {
        let what = match (entry.revision, &entry.flags) {
            (Some(revision), _) => format!("revision {revision}"),
            (None, Some(flags)) => {
                let flags = flags.join(", ");
                match &entry.to {
                    Some(who) => granted(who, &flags, entry.grant.as_ref()),
                    None => format!("{} {flags}", entry.kind),
                }
            }
            (None, None) => format!("{} all flags", entry.kind),
        };
        let reason = match one_line(&entry.reason).as_str() {
            "" => String::new(),
            said => format!(": {said}"),
        };
        let at = rfc3339(Timestamp(entry.decided_at_us.unwrap_or(entry.at_us)));
        let what = output.colour.paint(Tone::Strong, &what);
        output.line(&format!("{at} {} {what}{reason}", entry.actor));
        let changes = entry.changes.iter();
        let lines: Vec<String> = changes
            .flat_map(|change| change_lines(change, output))
            .collect();
        for line in lines.iter().take(MOST_LINES) {
            output.line(&format!("  {line}"));
        }
        if lines.len() > MOST_LINES {
            let more = lines.len() - MOST_LINES;
            output.line(&format!("  and {more} more: `--json` shows all"));
        }
    }
    Ok(Exit::Done)
}

/// Such as `granted exec-reports=on to the tester ana in production until ...`.
fn granted(who: &str, flags: &str, grant: Option<&TesterGrantView>) -> String {
    let Some(grant) = grant else {
        return format!("granted {flags} to the tester {who}");
    };
    let shown = grant.variants.iter();
    let shown: Vec<String> = shown.map(|(flag, to)| format!("{flag}={to}")).collect();
    let within = match grant.environment.as_str() {
        "" => String::new(),
        name => format!(" in {name}"),
    };
    format!(
        "granted {} to the tester {}{within} until {}",
        shown.join(", "),
        one_line(who),
        rfc3339(Timestamp(grant.until_us))
    )
}

pub(super) async fn export(
    client: &Client,
    out: Option<&Path>,
    output: &Output,
) -> Result<Exit, Failure> {
    let set: Value = client.get("/api/v1/flag-set").await?;
    let text = serde_json::to_string_pretty(&set).unwrap_or_default();
    match out {
        None => output.line(&text),
        Some(path) => std::fs::write(path, text + "\n").map_err(|error| {
            let message = format!("{} cannot be written: {error}", path.display());
            Failure::input("ESC-0502", message, "name another file with --out")
        })?,
    }
    Ok(Exit::Done)
}

/// What a rule sees, and why it does nothing about it where it waits.
fn because(rule: &StandingView) -> String {
    match rule.cooling_until_us {
        Some(until) => format!(
            "{}; its features were turned lately, so it does nothing before {}",
            rule.because,
            rfc3339(Timestamp(until))
        ),
        None => rule.because.clone(),
    }
}

pub(super) async fn rules(client: &Client, output: &Output) -> Result<Exit, Failure> {
    let rules: Vec<StandingView> = client.get("/api/v1/flag-set/rules").await?;
    if output.json(&rules) {
        return Ok(Exit::Done);
    }
    if rules.is_empty() {
        output.say("no standing rules are defined");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            let off = match (rule.killed, rule.killed_by_rule_at_us) {
                (true, Some(_)) => "off, by this rule",
                (true, None) => "off",
                (false, _) => "-",
            };
            let because = because(rule);
            [&rule.name, &rule.service, &rule.state, off, &because]
                .map(|cell: &str| cell.to_owned())
                .to_vec()
        })
        .collect();
    for line in table(&["RULE", "SERVICE", "STATE", "FEATURES", "BECAUSE"], &rows) {
        output.line(&line);
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RBK-23: a rule that sees something and does nothing says why, and until when.
    #[test]
    fn a_rule_that_cools_down_says_until_when() {
        let mut rule = StandingView {
            name: "r".into(),
            service: "shop".into(),
            state: "seen".into(),
            because: "http://shop/health failed 8 times in a row".into(),
            cooling_until_us: None,
            killed: false,
            killed_by_rule_at_us: None,
        };
        assert_eq!(because(&rule), rule.because);
        rule.cooling_until_us = Some(600_000_000);
        assert_eq!(
            because(&rule),
            "http://shop/health failed 8 times in a row; its features were turned lately, so it \
             does nothing before 1970-01-01T00:10:00.000Z"
        );
    }
}
