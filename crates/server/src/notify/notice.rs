//! What there is to tell, in no language yet; and the same as a message. Pure.

use super::texts::{knows, text};
use crate::report::rfc3339;
use esclusa_drivers::notify::{Audience, Fact, Language, Link, Message, Severity};
use esclusa_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest value that goes into a text, in characters: what a version printed may be
/// long.
const MAX_VALUE: usize = 600;
/// Values that are shown as a table, in this order.
const FACTS: [&str; 9] = [
    "service", "version", "stable", "release", "audience", "watch", "instance", "actor", "count",
];

/// What kind of event it tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    #[serde(rename = "release.requested")]
    Requested,
    #[serde(rename = "release.sign-off-wanted")]
    SignOffWanted,
    #[serde(rename = "release.stage-entered")]
    StageEntered,
    #[serde(rename = "release.held")]
    Held,
    #[serde(rename = "release.lost-control")]
    LostControl,
    #[serde(rename = "release.over-budget")]
    OverBudget,
    #[serde(rename = "release.rollback")]
    Rollback,
    #[serde(rename = "release.returning")]
    Returning,
    #[serde(rename = "release.killed")]
    Killed,
    #[serde(rename = "release.promoted")]
    Promoted,
    #[serde(rename = "release.rolled-back")]
    RolledBack,
    #[serde(rename = "release.aborted")]
    Aborted,
    #[serde(rename = "release.refused")]
    Refused,
    #[serde(rename = "release.rollback-failed")]
    RollbackFailed,
    #[serde(rename = "flags.killed")]
    FlagsKilled,
    #[serde(rename = "flags.lifted")]
    FlagsLifted,
    #[serde(rename = "health.instance-down")]
    InstanceDown,
    #[serde(rename = "health.proxy-down")]
    ProxyDown,
    #[serde(rename = "health.store-failing")]
    StoreFailing,
    #[serde(rename = "health.audit-damaged")]
    AuditDamaged,
    #[serde(rename = "test")]
    Test,
}

impl Kind {
    /// All that rules may name.
    pub(crate) const ALL: [Self; 20] = [
        Self::Requested,
        Self::SignOffWanted,
        Self::StageEntered,
        Self::Held,
        Self::LostControl,
        Self::OverBudget,
        Self::Rollback,
        Self::Returning,
        Self::Killed,
        Self::Promoted,
        Self::RolledBack,
        Self::Aborted,
        Self::Refused,
        Self::RollbackFailed,
        Self::FlagsKilled,
        Self::FlagsLifted,
        Self::InstanceDown,
        Self::ProxyDown,
        Self::StoreFailing,
        Self::AuditDamaged,
    ];

    /// Its name in rules, messages and JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "release.requested",
            Self::SignOffWanted => "release.sign-off-wanted",
            Self::StageEntered => "release.stage-entered",
            Self::Held => "release.held",
            Self::LostControl => "release.lost-control",
            Self::OverBudget => "release.over-budget",
            Self::Rollback => "release.rollback",
            Self::Returning => "release.returning",
            Self::Killed => "release.killed",
            Self::Promoted => "release.promoted",
            Self::RolledBack => "release.rolled-back",
            Self::Aborted => "release.aborted",
            Self::Refused => "release.refused",
            Self::RollbackFailed => "release.rollback-failed",
            Self::FlagsKilled => "flags.killed",
            Self::FlagsLifted => "flags.lifted",
            Self::InstanceDown => "health.instance-down",
            Self::ProxyDown => "health.proxy-down",
            Self::StoreFailing => "health.store-failing",
            Self::AuditDamaged => "health.audit-damaged",
            Self::Test => "test",
        }
    }

    /// How much it matters.
    pub(crate) const fn severity(self) -> Severity {
        match self {
            Self::Requested
            | Self::StageEntered
            | Self::Promoted
            | Self::Aborted
            | Self::FlagsLifted
            | Self::Test => Severity::Info,
            Self::SignOffWanted
            | Self::Held
            | Self::OverBudget
            | Self::Returning
            | Self::RolledBack
            | Self::Refused
            | Self::InstanceDown => Severity::Warning,
            Self::LostControl
            | Self::Rollback
            | Self::Killed
            | Self::FlagsKilled
            | Self::RollbackFailed
            | Self::ProxyDown
            | Self::StoreFailing
            | Self::AuditDamaged => Severity::Critical,
        }
    }
}

/// The names of all kinds, for rules.
pub(crate) fn event_names() -> Vec<&'static str> {
    Kind::ALL.iter().map(|kind| kind.as_str()).collect()
}

/// How a notice stands to its incident.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", deny_unknown_fields)]
pub(crate) enum Standing {
    /// It is told for the first time.
    #[default]
    First,
    /// It goes on.
    Again {
        /// How often it was seen.
        count: u64,
        /// Since when.
        since: Timestamp,
    },
    /// It is over.
    Over {
        /// How often it was seen.
        count: u64,
        /// Since when.
        since: Timestamp,
        /// When last.
        until: Timestamp,
    },
}

/// Who is shown a version. Words for it differ by language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Shown {
    /// Nobody: no stage is reached.
    Nobody,
    /// Nobody: requests of our own.
    WarmUp,
    /// A segment.
    Segment(String),
    /// A share, such as `25%`.
    Share(String),
}

/// What can be done from a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Act {
    /// Look at the release.
    Look,
    /// Agree in a role.
    Approve(String),
    /// Take it back.
    Abort,
}

/// What there is to tell. Stored: a field may be added with a default, none changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notice {
    pub kind: Kind,
    /// The service; empty for what concerns all.
    pub service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// What goes into the texts, by name.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// What follows a hold: `rollback` or `hold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    #[serde(default)]
    pub acts: Vec<Act>,
    #[serde(default)]
    pub standing: Standing,
}

impl Notice {
    pub(crate) fn new(kind: Kind, service: &str, at: Timestamp) -> Self {
        Self {
            kind,
            service: service.to_owned(),
            release: None,
            version: None,
            at,
            values: BTreeMap::new(),
            shown: None,
            then: None,
            acts: Vec::new(),
            standing: Standing::First,
        }
    }

    /// With a value for the texts. The end of a sentence is the text's own.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let value = value.as_ref().trim().trim_end_matches(['.', ';', ',']);
        let cut: String = if value.chars().count() > MAX_VALUE {
            let kept: String = value.chars().take(MAX_VALUE - 1).collect();
            format!("{}…", kept.trim_end())
        } else {
            value.to_owned()
        };
        self.values.insert(name.to_owned(), cut);
        self
    }

    /// How much it matters now: what is over is good to know.
    pub(crate) const fn severity(&self) -> Severity {
        match self.standing {
            Standing::Over { .. } => Severity::Info,
            Standing::First | Standing::Again { .. } => self.kind.severity(),
        }
    }

    /// The same as a message.
    pub(crate) fn message(
        &self,
        language: Language,
        audience: Audience,
        source: &str,
        links: &[(Act, String)],
    ) -> Message {
        let values = self.words(language);
        let say = |part: &str, values: &BTreeMap<String, String>| {
            text(&format!("{}.{part}", self.kind.as_str()), language, values)
        };
        let body = match audience {
            Audience::Team => "text",
            Audience::Stakeholders => "plain",
        };
        let (title, text) =
            self.standing_words(language, say("title", &values), say(body, &values));
        let (facts, links) = match audience {
            Audience::Team => (facts(language, &values), link_words(language, links)),
            Audience::Stakeholders => (Vec::new(), Vec::new()),
        };
        Message {
            event: self.kind.as_str().to_owned(),
            severity: self.severity(),
            service: self.service.clone(),
            release: self.release.clone(),
            version: self.version.clone(),
            time: rfc3339(self.at),
            language,
            title,
            text,
            facts,
            links,
            source: source.to_owned(),
        }
    }

    /// All values, with those whose words depend on the language.
    fn words(&self, language: Language) -> BTreeMap<String, String> {
        let mut values = self.values.clone();
        let mut put = |name: &str, value: &str| {
            values.insert(name.to_owned(), value.to_owned());
        };
        if !self.service.is_empty() {
            put("service", &self.service);
        }
        for (name, value) in [("release", &self.release), ("version", &self.version)] {
            if let Some(value) = value {
                put(name, value);
            }
        }
        if let Standing::Again { count, .. } | Standing::Over { count, .. } = &self.standing {
            put("count", &count.to_string());
        }
        if let Some(then) = &self.then {
            let key = format!("then.{then}");
            put("then", &text(&key, language, &BTreeMap::new()));
        }
        if let Some(shown) = &self.shown {
            let (key, name) = match shown {
                Shown::Nobody => ("audience.nobody", ""),
                Shown::WarmUp => ("audience.warm-up", ""),
                Shown::Segment(name) => ("audience.segment", name.as_str()),
                Shown::Share(share) => ("audience.share", share.as_str()),
            };
            let name = BTreeMap::from([("name".to_owned(), name.to_owned())]);
            put("audience", &text(key, language, &name));
        }
        values
    }

    fn standing_words(&self, language: Language, title: String, body: String) -> (String, String) {
        let (key, count, since, until) = match &self.standing {
            Standing::First => return (title, body),
            Standing::Again { count, since } => ("again", count, since, since),
            Standing::Over {
                count,
                since,
                until,
            } => ("over", count, since, until),
        };
        let values: BTreeMap<String, String> = [
            ("title", title),
            ("text", body),
            ("count", count.to_string()),
            ("since", rfc3339(*since)),
            ("until", rfc3339(*until)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let say = |part: &str| text(&format!("incident.{key}.{part}"), language, &values);
        (say("title"), say("text"))
    }
}

fn facts(language: Language, values: &BTreeMap<String, String>) -> Vec<Fact> {
    FACTS
        .iter()
        .filter_map(|name| {
            let value = values.get(*name).filter(|value| !value.is_empty())?;
            let key = format!("fact.{name}");
            debug_assert!(knows(&key), "{key}");
            Some(Fact {
                name: text(&key, language, &BTreeMap::new()),
                value: value.clone(),
            })
        })
        .collect()
}

fn link_words(language: Language, links: &[(Act, String)]) -> Vec<Link> {
    let words = |act: &Act| {
        let (key, role) = match act {
            Act::Look => ("link.look", ""),
            Act::Approve(role) => ("link.approve", role.as_str()),
            Act::Abort => ("link.abort", ""),
        };
        let role = BTreeMap::from([("role".to_owned(), role.to_owned())]);
        text(key, language, &role)
    };
    links
        .iter()
        .map(|(act, url)| Link {
            text: words(act),
            url: url.clone(),
        })
        .collect()
}
