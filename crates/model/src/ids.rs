//! Names and ids, each its own type, each checked once where it enters.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: {rule}")]
pub struct IdError {
    /// Which kind of id was asked for.
    pub what: &'static str,
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// The rule that it breaks, in words.
    pub rule: &'static str,
}

const LABEL_RULE: &str =
    "use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit";
const TOKEN_RULE: &str = "use 1 to 128 of A-Z, a-z, 0-9 and . _ + : @ / -";

fn is_label(text: &str) -> bool {
    let edge_ok = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 63
        && edge_ok(text.chars().next())
        && edge_ok(text.chars().last())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._+:@/-".contains(c))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and makes it an id.
            ///
            /// # Errors
            /// [`IdError`] with the rule that `text` breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if $check(&text) {
                    Ok(Self(text))
                } else {
                    Err(IdError {
                        what: $what,
                        text: text.chars().take(80).collect(),
                        rule: $rule,
                    })
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// What a team releases as one.
    ServiceName, "service", is_label, LABEL_RULE
);
id!(
    /// One part of a service: web, worker, scheduler.
    ComponentName, "component", is_label, LABEL_RULE
);
id!(
    /// The name people give a version, such as `2.4.1` or a commit.
    ///
    /// It may stand in paths, `./dist/${version}`, so it never leads out of a folder.
    VersionName, "version", is_version, VERSION_RULE
);
id!(
    /// One run of a plan (a UUID version 7 as text).
    ReleaseId, "release", is_token, TOKEN_RULE
);
id!(
    /// One data-plane process's lasting name.
    ProxyId, "proxy", is_token, TOKEN_RULE
);
id!(
    /// One life of a proxy process, new at each start.
    BootId, "boot", is_token, TOKEN_RULE
);
id!(
    /// One running copy of one component of one version.
    InstanceId, "instance", is_token, TOKEN_RULE
);
id!(
    /// What makes two assignments independent: same salt, same people first.
    Salt, "salt", is_token, TOKEN_RULE
);
id!(
    /// Who acted: a token's name, `judge`, `deadline`, `local` ...
    Actor, "actor", is_token, TOKEN_RULE
);
id!(
    /// One append-only series of events, `release/<id>` or `service/<name>`.
    StreamId, "stream", is_token, TOKEN_RULE
);

impl StreamId {
    /// The stream of one release.
    #[must_use]
    pub fn release(id: &ReleaseId) -> Self {
        Self(format!("release/{id}"))
    }

    /// The stream of one service.
    #[must_use]
    pub fn service(name: &ServiceName) -> Self {
        Self(format!("service/{name}"))
    }
}

const VERSION_RULE: &str = "use 1 to 128 of A-Z, a-z, 0-9 and . _ + : @ / -, and no empty, `.` or `..` part between slashes";

fn is_version(text: &str) -> bool {
    let leads_on = |part: &str| !matches!(part, "" | "." | "..");
    is_token(text) && text.split('/').all(leads_on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_dns_safe() {
        assert!(ServiceName::new("checkout-2").is_ok());
        for bad in ["", "-a", "a-", "Checkout", "a b", &"x".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_take_what_tags_use() {
        for good in ["2.4.1", "v1+build.7", "feature/x", "sha256:abc", "a@1.2"] {
            assert!(VersionName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "", "a b", "x\n", "ü", "../x", "x/..", "/x", "x/", "a//b", "./a",
        ] {
            assert!(VersionName::new(bad).is_err(), "{bad:?}");
        }
    }
}
