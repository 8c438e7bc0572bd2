//! What was done, for people and for programs.

use super::messages::{self, Untold};
use crate::exit::Exit;
use crate::flag::{flag_words, killed_line, killed_warnings};
use crate::output::{Output, Tone};
use esclusa_model::Outcome;
use esclusa_server::body::{FlagsKilledView, Killed};
use serde::Serialize;
use std::path::PathBuf;

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    Server,
    Proxy,
    /// No proxy runs, so nobody is served: the next one does.
    Nobody,
    /// The proxy may run and does not answer: it does when it answers again.
    Silence,
}

/// What was done, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub answered_by: By,
    /// Whether the proxy was told as well, because the server took long.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub also_by_proxy: bool,
    pub services: Vec<Killed>,
    /// What became of features; absent when none was meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<FlagsKilledView>,
    /// Whether the proxy's disk has it; absent where the server answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_disk: Option<bool>,
    /// The file in which it waits for a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<PathBuf>,
    /// Names that nothing has; the others were killed all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Names that there are, where one is unknown.
    #[serde(skip)]
    pub known: Vec<String>,
    /// Channels by which people have not been told of it yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<Untold>,
}

impl Told {
    /// Nothing yet, by somebody.
    pub(super) fn by(answered_by: By) -> Self {
        Self {
            answered_by,
            also_by_proxy: false,
            services: Vec::new(),
            features: None,
            on_disk: None,
            left: None,
            unknown: Vec::new(),
            known: Vec::new(),
            untold: Vec::new(),
        }
    }

    pub(super) fn exit(&self) -> Exit {
        let back = self.services.iter().all(|killed| killed.at_stable);
        let off = self.features.as_ref().is_none_or(|done| done.in_force);
        // Where no proxy runs, nobody has the feature.
        if !(back && (off || self.answered_by == By::Nobody)) {
            return Exit::Outcome(Outcome::RollbackFailed);
        }
        match self.unknown.is_empty() {
            true => Exit::Done,
            false => Exit::BadInput,
        }
    }

    pub(super) fn print(&self, all: bool, output: &Output) {
        if !output.json(self) {
            self.lines(output);
            self.say_more(all, output);
        }
        if self.answered_by == By::Server
            && let Some(features) = &self.features
        {
            killed_warnings(features, output);
        }
        messages::warn(&self.untold, output);
        if !self.unknown.is_empty() {
            let word = output.talk_colour.paint(Tone::Bad, "error[ESC-0510]");
            output.say(&format!(
                "{word}: no flag, alias or service has the name {}; the others are killed; {}",
                self.unknown.join(", "),
                known_words(&self.known)
            ));
        }
    }

    fn lines(&self, output: &Output) {
        if let Some(features) = &self.features {
            output.line(&match self.answered_by {
                By::Nobody => {
                    let flags = flag_words(features.flags.as_ref());
                    let flags = output.colour.paint(Tone::Strong, &flags);
                    let nobody = output.colour.paint(Tone::Good, "nobody is served now");
                    format!("{flags}: {nobody}; off for everybody from the start of the next proxy")
                }
                By::Server | By::Proxy | By::Silence => killed_line(features, output),
            });
        }
        for killed in &self.services {
            output.line(&self.line(killed, output));
        }
    }

    fn line(&self, killed: &Killed, output: &Output) -> String {
        let service = output.colour.paint(Tone::Strong, &killed.service);
        let note = killed
            .note
            .as_ref()
            .map_or_else(String::new, |note| format!(": {note}"));
        let Some(release) = &killed.release else {
            return match self.answered_by {
                By::Server => format!("{service}: no release is under way{note}"),
                By::Proxy | By::Nobody | By::Silence => {
                    format!("{service}: nothing to take back{note}")
                }
            };
        };
        let share = killed.share.as_deref().unwrap_or("some");
        let (tone, word) = match (killed.at_stable, self.answered_by) {
            (true, By::Nobody) => (
                Tone::Good,
                "nobody is served now; all are at the stable version from the start of the next \
                 proxy",
            ),
            (true, _) => (Tone::Good, "everybody is at the stable version"),
            (false, _) => (Tone::Bad, "not everybody is at the stable version yet"),
        };
        let word = output.colour.paint(tone, word);
        format!("{service}: {word}; release {release} had {share}{note}")
    }

    fn say_more(&self, all: bool, output: &Output) {
        if self.services.is_empty() && self.features.is_none() {
            output.say("no service is known: there is nothing to move");
        }
        for killed in self.services.iter().filter(|k| !k.in_line.is_empty()) {
            output.say(&format!(
                "{}: in line and next to begin: {}",
                killed.service,
                killed.in_line.join(", ")
            ));
        }
        if self.also_by_proxy {
            output.say("the proxy was told as well, and may record it a second time");
        }
        if self.answered_by == By::Server {
            return;
        }
        if let Some(words) = self.kept() {
            output.say(words);
        }
        if self.services.iter().any(|killed| killed.release.is_none()) {
            output.say(
                "a release that the proxy does not show to anybody yet goes on once a server runs",
            );
        }
        if all {
            output.say("services whose requests another router carries are not known to the proxy");
        }
    }

    /// Where it is kept until a server takes it over, where there is something to keep.
    fn kept(&self) -> Option<&'static str> {
        let taken = self.services.iter().any(|killed| killed.release.is_some());
        if !taken && self.features.is_none() {
            return None;
        }
        Some(match (self.answered_by, self.on_disk) {
            (By::Proxy, Some(false)) => {
                "it is in force at the proxy, whose disk does not have it yet: if the proxy dies \
                 now, ask again; nobody has been sent a message of it until a server runs"
            }
            (By::Proxy | By::Server, _) => {
                "the proxy keeps this, also when it is started again, until a server takes it \
                 over; nobody has been sent a message of it until then"
            }
            (By::Nobody, _) => {
                "no server and no proxy runs; this waits on the disk for the next proxy and is \
                 recorded when a server runs; nobody has been sent a message of it until then"
            }
            (By::Silence, _) => {
                "this waits on the disk: the proxy has it within a second once it runs on, and a \
                 new one before it serves anybody. Users may be served as before until then: end \
                 the process that hangs"
            }
        })
    }
}

/// What could have been meant.
pub(super) fn known_words(known: &[String]) -> String {
    const SHOWN: usize = 30;
    match known.len() {
        0 => "no flag and no service is known yet".to_owned(),
        n if n > SHOWN => format!(
            "known are {} and {} more",
            known[..SHOWN].join(", "),
            n - SHOWN
        ),
        _ => format!("known are {}", known.join(", ")),
    }
}
