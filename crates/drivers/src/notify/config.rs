//! The file that says who is told what: channels, and rules that lead to them.

use super::schedule::RetryPolicy;
use super::{Audience, Channel, Findings, KINDS, Language, Severity, must, text, usable_url};
use crate::fields;
use esclusa_model::Millis;
use esclusa_plan::{Diagnostic, Field, FieldKind, Settings, SourceFile, read_settings};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Most channels and most rules of one file.
const MOST: usize = 100;
/// How long one try may take unless the channel says otherwise.
const TIMEOUT: Millis = Millis(10_000);
/// Bounds of that.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 100..=60_000;
/// Longest name of a channel.
const NAME: usize = 40;

/// Who is told what.
#[derive(Debug, Clone, Default)]
pub struct NotifyConfig {
    /// Where people reach the server; messages have no links without it.
    pub base_url: Option<String>,
    /// All channels, also those that are turned off.
    pub channels: Vec<ChannelConfig>,
    /// What leads where; without any, warnings and worse go everywhere.
    pub rules: Vec<Rule>,
    /// When an alarm is told again, and when it is over.
    pub incidents: IncidentTimes,
    /// How deliveries are tried again.
    pub retry: RetryPolicy,
}

/// A channel.
#[derive(Clone)]
pub struct ChannelConfig {
    /// Its name.
    pub name: String,
    /// Its kind, such as `slack`.
    pub kind: &'static str,
    /// Whether anything is sent to it.
    pub enabled: bool,
    /// The language of its messages.
    pub language: Language,
    /// Whom it reaches.
    pub audience: Audience,
    /// Whether its messages have links that sign off or abort without a login.
    pub decide: bool,
    /// How long one try may take.
    pub timeout: Millis,
    /// The way to them.
    pub channel: Arc<dyn Channel>,
}

impl fmt::Debug for ChannelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// What leads where. Each condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Kinds of events, such as `release.held` or `health.*`; all when empty.
    pub events: Vec<String>,
    /// At least this.
    pub severity: Severity,
    /// Services; all when empty.
    pub services: Vec<String>,
    /// Where it leads.
    pub channels: Vec<String>,
}

impl Rule {
    /// Whether it is about such an event.
    #[must_use]
    pub fn matches(&self, event: &str, severity: Severity, service: &str) -> bool {
        let named = self.events.is_empty() || self.events.iter().any(|known| covers(known, event));
        let served = self.services.is_empty() || self.services.iter().any(|s| s == service);
        named && served && severity >= self.severity
    }
}

/// Whether `release.*` or a whole name covers this event.
fn covers(pattern: &str, event: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => event.starts_with(start),
        None => pattern == event,
    }
}

/// When an alarm is told again, and when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncidentTimes {
    /// An alarm that goes on is told again after so long.
    pub remind: Millis,
    /// An alarm that nothing ends is over when none came for so long.
    pub over_after: Millis,
}

impl Default for IncidentTimes {
    fn default() -> Self {
        Self {
            remind: Millis(4 * 3_600_000),
            over_after: Millis(3_600_000),
        }
    }
}

impl NotifyConfig {
    /// The channels that are told of such an event, by name, each once.
    #[must_use]
    pub fn route(&self, event: &str, severity: Severity, service: &str) -> Vec<String> {
        let enabled = |name: &str| {
            let mut all = self.channels.iter();
            all.any(|channel| channel.enabled && channel.name == name)
        };
        let mut found = BTreeSet::new();
        if self.rules.is_empty() && severity >= Severity::Warning {
            found.extend(self.channels.iter().map(|channel| channel.name.clone()));
        }
        for rule in &self.rules {
            if rule.matches(event, severity, service) {
                found.extend(rule.channels.iter().cloned());
            }
        }
        found.into_iter().filter(|name| enabled(name)).collect()
    }

    /// The channel with this name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&ChannelConfig> {
        self.channels.iter().find(|channel| channel.name == name)
    }
}

/// The table of the file.
fn table() -> Vec<Field> {
    let list = |kind| FieldKind::List(Box::new(kind));
    let severity = || fields::choice(&["info", "warning", "critical"]);
    vec![
        text(
            "base-url",
            "Where people reach the server, such as `https://esclusa.example.com`.",
        ),
        fields::required(
            "channels",
            list(FieldKind::Block(channel_table())),
            "The ways to people.",
        ),
        fields::optional(
            "rules",
            list(FieldKind::Block(vec![
                fields::optional(
                    "events",
                    list(FieldKind::Text),
                    "Kinds of events, such as `release.held` or `health.*`.",
                ),
                fields::optional(
                    "severity",
                    severity(),
                    "At least this; `info` unless given.",
                ),
                fields::optional("services", list(FieldKind::Text), "Services."),
                fields::required("channels", list(FieldKind::Text), "Where it leads."),
            ])),
            "What leads where; without rules, warnings and worse go to all channels.",
        ),
        fields::optional(
            "incidents",
            FieldKind::Block(vec![
                fields::optional(
                    "remind",
                    FieldKind::Duration,
                    "An alarm that goes on is told again after this.",
                ),
                fields::optional(
                    "over-after",
                    FieldKind::Duration,
                    "An alarm that nothing ends is over after this without another.",
                ),
            ]),
            "Identical alarms are counted, not repeated.",
        ),
        fields::optional(
            "retry",
            FieldKind::Block(vec![
                fields::optional("first", FieldKind::Duration, "The first pause at most."),
                fields::optional("most", FieldKind::Duration, "Any pause at most."),
                fields::optional(
                    "attempts",
                    FieldKind::Integer {
                        min: 1,
                        max: 100_000,
                    },
                    "Given up after so many tries.",
                ),
                fields::optional("for", FieldKind::Duration, "Given up after so long."),
            ]),
            "How deliveries are tried again.",
        ),
    ]
}

fn channel_table() -> Vec<Field> {
    let mut table = vec![
        must(text("name", "Its name, for rules and commands.")),
        fields::optional(
            "enabled",
            FieldKind::Switch,
            "Whether anything is sent to it.",
        ),
        fields::optional(
            "language",
            fields::choice(&["en", "es"]),
            "Language of its messages; `en` unless given.",
        ),
        fields::optional(
            "audience",
            fields::choice(&["team", "stakeholders"]),
            "`stakeholders` are told what it means for users, in plain words.",
        ),
        fields::optional(
            "decide",
            FieldKind::Switch,
            "Whether whoever reads it may sign off or abort by a link, without logging in.",
        ),
        fields::optional("timeout", FieldKind::Duration, "How long one try may take."),
    ];
    for kind in KINDS {
        let block = FieldKind::Block((kind.fields)());
        table.push(fields::optional(kind.name, block, kind.doc));
    }
    table
}

/// Reads the file. `events` are the kinds that there are, `release.held` among them.
///
/// # Errors
/// Everything that is wrong with it, in its order.
pub fn parse(source: &SourceFile, events: &[&str]) -> Result<NotifyConfig, Vec<Diagnostic>> {
    let mut settings = read_settings(source, &table());
    let config = settings.value().cloned().map(|value| {
        let channels = read_channels(&value["channels"], &mut settings);
        let rules = read_rules(&value["rules"], &channels, events, &mut settings);
        NotifyConfig {
            base_url: base_url(&value["base-url"], &mut settings),
            channels,
            rules,
            incidents: incident_times(&value["incidents"]),
            retry: retry(&value["retry"], &mut settings),
        }
    });
    match config {
        Some(config) if !settings.failed() => Ok(config),
        _ => Err(settings.findings()),
    }
}

fn base_url(value: &Value, settings: &mut Settings<'_>) -> Option<String> {
    let text = value.as_str()?;
    match usable_url(text) {
        Ok(url) if url.query().is_none() && url.fragment().is_none() => {
            Some(url.as_str().trim_end_matches('/').to_owned())
        }
        Ok(_) | Err(_) => {
            settings.refuse(
                "ESC-0217",
                "base-url",
                "this address is not usable in links".to_owned(),
                "write where people reach the server, such as `https://esclusa.example.com`"
                    .to_owned(),
            );
            None
        }
    }
}

fn incident_times(value: &Value) -> IncidentTimes {
    let default = IncidentTimes::default();
    IncidentTimes {
        remind: time(value, "remind").unwrap_or(default.remind),
        over_after: time(value, "over-after").unwrap_or(default.over_after),
    }
}

fn retry(value: &Value, settings: &mut Settings<'_>) -> RetryPolicy {
    let default = RetryPolicy::default();
    let attempts = value["attempts"].as_u64();
    let policy = RetryPolicy {
        first: time(value, "first").unwrap_or(default.first),
        most: time(value, "most").unwrap_or(default.most),
        attempts: attempts.map_or(default.attempts, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        age: time(value, "for").unwrap_or(default.age),
    };
    if policy.first > policy.most {
        settings.refuse(
            "ESC-0115",
            "retry.first",
            "the first pause is longer than any may be".to_owned(),
            "make `first` smaller than `most`".to_owned(),
        );
    }
    policy
}

fn time(value: &Value, key: &str) -> Option<Millis> {
    value[key].as_u64().map(Millis)
}

fn read_channels(value: &Value, settings: &mut Settings<'_>) -> Vec<ChannelConfig> {
    let listed = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if value.is_array() && (listed.is_empty() || listed.len() > MOST) {
        settings.refuse(
            "ESC-0115",
            "channels",
            format!("a file has 1 to {MOST} channels"),
            "add a channel, or remove the file".to_owned(),
        );
    }
    let mut names = BTreeSet::new();
    let mut channels = Vec::new();
    for (index, value) in listed.iter().enumerate() {
        let path = format!("channels[{index}]");
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        if !name.is_empty() {
            check_name(&name, &path, &mut names, settings);
        }
        channels.extend(read_channel(name, value, &path, settings));
    }
    channels
}

fn check_name(name: &str, path: &str, names: &mut BTreeSet<String>, settings: &mut Settings<'_>) {
    let path = format!("{path}.name");
    let fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    if name.len() > NAME || !name.chars().all(fit) {
        settings.refuse(
            "ESC-0117",
            &path,
            "this is no name for a channel".to_owned(),
            format!("use up to {NAME} letters, digits, `-`, `_` and `.`"),
        );
    }
    if !names.insert(name.to_owned()) {
        settings.refuse(
            "ESC-0216",
            &path,
            format!("another channel is called `{name}`"),
            "give each channel a name of its own".to_owned(),
        );
    }
}

fn read_channel(
    name: String,
    value: &Value,
    path: &str,
    settings: &mut Settings<'_>,
) -> Option<ChannelConfig> {
    let given: Vec<_> = KINDS
        .iter()
        .filter(|kind| !value[kind.name].is_null())
        .collect();
    let kind = match given.as_slice() {
        [kind] => *kind,
        several => {
            let all: Vec<String> = KINDS.iter().map(|k| format!("`{}`", k.name)).collect();
            let message = match several {
                [] => "nothing here says how the channel is reached".to_owned(),
                _ => "a channel is reached in one way".to_owned(),
            };
            settings.refuse(
                "ESC-0116",
                path,
                message,
                format!("give exactly one of {}", all.join(", ")),
            );
            return None;
        }
    };
    let timeout = time(value, "timeout").unwrap_or(TIMEOUT);
    if !TIMEOUTS.contains(&timeout.0) {
        settings.refuse(
            "ESC-0115",
            &format!("{path}.timeout"),
            "a try may take 100ms to 60s".to_owned(),
            "leave it out, or write a time such as `10s`".to_owned(),
        );
    }
    let mut findings = Findings {
        path: format!("{path}.{}", kind.name),
        secret_code: "ESC-0701",
        settings,
    };
    let channel = (kind.build)(&value[kind.name], &mut findings)?;
    Some(ChannelConfig {
        name,
        kind: kind.name,
        enabled: value["enabled"].as_bool().unwrap_or(true),
        language: word(&value["language"]),
        audience: word(&value["audience"]),
        decide: value["decide"].as_bool().unwrap_or(false),
        timeout,
        channel,
    })
}

/// A word that the table allows.
fn word<T: for<'de> Deserialize<'de> + Default>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

fn read_rules(
    value: &Value,
    channels: &[ChannelConfig],
    events: &[&str],
    settings: &mut Settings<'_>,
) -> Vec<Rule> {
    let listed = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.len() > MOST {
        settings.refuse(
            "ESC-0115",
            "rules",
            format!("a file has up to {MOST} rules"),
            "join some of them".to_owned(),
        );
    }
    let names: Vec<&str> = channels
        .iter()
        .map(|channel| channel.name.as_str())
        .collect();
    let all_read = !settings.failed();
    let mut rules = Vec::new();
    for (index, value) in listed.iter().enumerate() {
        let rule = Rule {
            events: texts(&value["events"]),
            severity: Severity::deserialize(&value["severity"]).unwrap_or(Severity::Info),
            services: texts(&value["services"]),
            channels: texts(&value["channels"]),
        };
        for (at, event) in rule.events.iter().enumerate() {
            if !events.iter().any(|known| covers(event, known)) {
                let path = format!("rules[{index}].events[{at}]");
                let known = events.iter().copied();
                settings.refuse_unknown("ESC-0703", &path, event, "a kind of event", known);
            }
        }
        for (at, name) in rule.channels.iter().enumerate() {
            // A channel that could not be read is complained about already.
            if all_read && !names.contains(&name.as_str()) {
                let path = format!("rules[{index}].channels[{at}]");
                let known = names.iter().copied();
                settings.refuse_unknown("ESC-0703", &path, name, "a channel of this file", known);
            }
        }
        rules.push(rule);
    }
    rules
}

fn texts(value: &Value) -> Vec<String> {
    let listed = value.as_array().into_iter().flatten();
    listed
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}
