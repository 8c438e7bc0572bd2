//! Where words go: data to standard output, talk to standard error.

use crate::exit::Failure;
use crate::findings;
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// A meaning that a colour supports; words say it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warn,
    Bad,
    Quiet,
    Strong,
}

/// Whether a stream takes colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    On,
    Off,
}

impl Colour {
    pub(crate) fn paint(self, tone: Tone, words: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        match self {
            Self::On => format!("\u{1b}[{code}m{words}\u{1b}[0m"),
            Self::Off => words.to_owned(),
        }
    }
}

/// Whether data is for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    People,
    Json,
}

/// How this command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub form: Form,
    /// For standard output.
    pub colour: Colour,
    /// For standard error.
    pub talk_colour: Colour,
    /// Whether live lines may be drawn over.
    pub live: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = |terminal: bool| {
            if terminal && !plain {
                Colour::On
            } else {
                Colour::Off
            }
        };
        let terminal = std::io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            form: if json { Form::Json } else { Form::People },
            colour: colour(terminal),
            talk_colour: colour(std::io::stderr().is_terminal()),
            live: terminal && !dumb && !json,
        }
    }

    /// Data for programs, when asked for; else nothing. Says which it was.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> bool {
        if self.form != Form::Json {
            return false;
        }
        // Our own types are always JSON.
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.line(&text);
        true
    }

    /// One line of data. A reader who has gone away wants no more of it.
    #[expect(clippy::unused_self, reason = "the one way to print data")]
    pub(crate) fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    /// Talk.
    #[expect(clippy::unused_self, reason = "the one way to talk")]
    pub(crate) fn say(&self, text: &str) {
        // Nobody listens: nothing is lost.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// What went wrong and what to do next.
    pub(crate) fn failure(&self, failure: &Failure) {
        let error = &failure.error;
        if self.form == Form::Json {
            self.say(&serde_json::to_string_pretty(error).unwrap_or_default());
            return;
        }
        for words in findings::beside(&error.message, &error.details) {
            self.say(&words);
        }
        let word = self
            .talk_colour
            .paint(Tone::Bad, &format!("error[{}]", error.code));
        self.say(&format!("{word}: {}", error.message));
        if !error.help.is_empty() {
            self.say(&format!("  help: {}", error.help));
        }
    }
}
