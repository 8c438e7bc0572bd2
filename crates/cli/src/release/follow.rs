//! Follows a release to its end and returns as it ended.
//!
//! A lost connection is no end: the stream is opened again where it broke off. What
//! ends the wait otherwise is that only a person can move the release, or the
//! command's own deadline; the release goes on in both cases.

use super::lines::{Shown, Told, live_lines, told, without_numbers};
use super::look::now_us;
use super::pick;
use crate::args::Wait;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Form, Output};
use crate::sse::{Message, Reader};
use esclusa_model::{Millis, Outcome};
use esclusa_server::body::{EndView, TrafficView};
use esclusa_server::{ApiError, ErrorKind, ReleaseView};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Longest silence of a stream; the server sends something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// How often the countdown is drawn again.
const REDRAW: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// What the wait came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Waited {
    /// The release.
    pub release: String,
    /// The outcome; `held` when the wait ended before the release did.
    pub outcome: Outcome,
    /// Why, in words.
    pub reason: String,
}

pub(super) async fn watch(client: &Client, asked: &Wait, output: &Output) -> Result<Exit, Failure> {
    let id = pick::release(client, &asked.which).await?;
    let show = if output.form == Form::Json {
        Show::Messages
    } else {
        Show::Lines
    };
    let waited = follow(client, &id, asked.timeout, show, output).await?;
    // The end is what was asked for.
    if output.form == Form::People {
        output.line(&words(&waited));
    }
    Ok(Exit::Outcome(waited.outcome))
}

/// The end in one line.
pub(super) fn words(waited: &Waited) -> String {
    format!(
        "release {} is {}: {}",
        waited.release, waited.outcome, waited.reason
    )
}

/// What is printed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// Lines, drawn over on a terminal.
    Lines,
    /// Lines as talk, one a change: standard output is for the result.
    Talk,
    /// Every message as a line of JSON.
    Messages,
}

/// Follows a release until it ends, needs a person, or `limit` has passed.
pub(super) async fn follow(
    client: &Client,
    id: &str,
    limit: Option<Millis>,
    show: Show,
    output: &Output,
) -> Result<Waited, Failure> {
    let mut follower = Follower::new(id, show, output);
    let end = limit.map(|limit| Instant::now() + Duration::from_millis(limit.0));
    let work = follower.run(client);
    let waited = match end {
        None => work.await?,
        Some(end) => match tokio::time::timeout_at(end, work).await {
            Ok(waited) => waited?,
            Err(_) => Waited {
                release: id.to_owned(),
                outcome: Outcome::Held,
                reason: "the command's own deadline passed; the release goes on".to_owned(),
            },
        },
    };
    Ok(waited)
}

struct Follower<'a> {
    id: &'a str,
    show: Show,
    output: &'a Output,
    shown: Option<Shown>,
    /// The last event that came.
    position: u64,
    /// Lines that stand on the terminal.
    drawn: usize,
    /// The last lines that were printed; of the second, without its numbers.
    told: Told,
}

/// One message of JSON output.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'a str,
    data: &'a RawValue,
}

impl<'a> Follower<'a> {
    const fn new(id: &'a str, show: Show, output: &'a Output) -> Self {
        Self {
            id,
            show,
            output,
            shown: None,
            position: 0,
            drawn: 0,
            told: Told {
                standing: None,
                meanwhile: None,
            },
        }
    }

    async fn run(&mut self, client: &Client) -> Result<Waited, Failure> {
        let path = format!("/api/v1/releases/{}/stream", pick::path_part(self.id));
        let mut retry = RETRY_FIRST;
        let mut connected_once = false;
        loop {
            match client.stream(&path, self.position).await {
                Ok(response) => {
                    (retry, connected_once) = (RETRY_FIRST, true);
                    if let Some(waited) = self.read(response).await? {
                        return Ok(waited);
                    }
                }
                // What will not change by asking again, and a server never reached.
                Err(failure) if !connected_once || !is_passing(&failure.error) => {
                    return Err(failure);
                }
                Err(_) => {}
            }
            self.talk("connection lost, trying again; the release goes on");
            sleep(retry).await;
            retry = (retry * 2).min(RETRY_MOST);
        }
    }

    /// Reads one connection; nothing when it broke off.
    async fn read(&mut self, mut response: reqwest::Response) -> Result<Option<Waited>, Failure> {
        let mut reader = Reader::default();
        let mut waiting: VecDeque<Message> = VecDeque::new();
        let mut heard = Instant::now();
        loop {
            while let Some(message) = waiting.pop_front() {
                if let Some(waited) = self.take(&message)? {
                    return Ok(Some(waited));
                }
            }
            if let Some(waited) = self.needs_person() {
                return Ok(Some(waited));
            }
            match timeout(REDRAW, response.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    heard = Instant::now();
                    let Some(messages) = reader.feed(&bytes) else {
                        return Err(not_a_stream());
                    };
                    waiting.extend(messages);
                }
                Ok(Ok(None) | Err(_)) => return Ok(None),
                Err(_) if heard.elapsed() > SILENCE => return Ok(None),
                Err(_) => self.draw(),
            }
        }
    }

    fn take(&mut self, message: &Message) -> Result<Option<Waited>, Failure> {
        if let Some(position) = message.id {
            self.position = position;
        }
        if self.show == Show::Messages {
            let data: Box<RawValue> = read(&message.data)?;
            let line = Line {
                kind: &message.kind,
                data: &data,
            };
            self.output
                .line(&serde_json::to_string(&line).unwrap_or_default());
        }
        match message.kind.as_str() {
            "release" => {
                let release: ReleaseView = read(&message.data)?;
                match &mut self.shown {
                    Some(shown) => shown.release = release,
                    None => {
                        self.shown = Some(Shown {
                            release,
                            traffic: Vec::new(),
                            traffic_second: None,
                        });
                    }
                }
                self.draw();
            }
            "traffic" => {
                let traffic: TrafficView = read(&message.data)?;
                if let Some(shown) = &mut self.shown {
                    (shown.traffic, shown.traffic_second) = (traffic.versions, traffic.second);
                }
                self.draw();
            }
            // Whoever shows the release has said so already.
            "queued" if self.shown.is_none() => {
                self.talk("waits in line for another release to end");
            }
            "error" => {
                let error: ApiError = read(&message.data)?;
                self.talk(&error.to_string());
            }
            "outcome" => return self.end(read(&message.data)?).map(Some),
            // Newer servers may send more.
            _ => {}
        }
        Ok(None)
    }

    fn end(&self, end: EndView) -> Result<Waited, Failure> {
        let outcome = serde_json::from_value(serde_json::Value::from(end.outcome))
            .map_err(|_| not_a_stream())?;
        Ok(Waited {
            release: self.id.to_owned(),
            outcome,
            reason: end.reason,
        })
    }

    /// Whether only a person can move the release.
    fn needs_person(&self) -> Option<Waited> {
        let release = &self.shown.as_ref()?.release;
        let since = release.needs_person_at_us?;
        (release.outcome.is_none() && since <= now_us()).then(|| Waited {
            release: self.id.to_owned(),
            outcome: Outcome::Held,
            reason: release
                .hold
                .clone()
                .unwrap_or_else(|| "it waits for a person".to_owned()),
        })
    }

    fn draw(&mut self) {
        let Some(shown) = &self.shown else { return };
        match self.show {
            Show::Messages => {}
            Show::Lines if self.output.live => {
                let lines = live_lines(shown, now_us(), self.output.colour);
                self.redraw(&lines);
            }
            Show::Lines | Show::Talk => {
                let new = told(&shown.release);
                let moved = new.standing.is_some() && new.standing != self.told.standing;
                if let Some(standing) = new.standing.filter(|_| moved) {
                    self.print(&standing);
                    (self.told.standing, self.told.meanwhile) = (Some(standing), None);
                }
                // The judge's numbers move every second; a line is for what they mean.
                let words = new.meanwhile.as_deref().map(without_numbers);
                if let Some(meanwhile) = new.meanwhile.filter(|_| words != self.told.meanwhile) {
                    self.print(&meanwhile);
                    self.told.meanwhile = words;
                }
            }
        }
    }

    /// Prints a line where lines go.
    fn print(&self, line: &str) {
        if self.show == Show::Talk {
            self.output.say(line);
        } else {
            self.output.line(line);
        }
    }

    /// Draws over what was drawn before.
    fn redraw(&mut self, lines: &[String]) {
        let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}A\u{1b}[J", self.drawn));
        }
        let lines: Vec<String> = lines
            .iter()
            .map(|line| cut(line, width.saturating_sub(1)))
            .collect();
        text.push_str(&lines.join("\n"));
        self.output.line(&text);
        self.drawn = lines.len();
    }

    fn talk(&mut self, words: &str) {
        self.output.say(words);
        // The words stand below the lines: the next ones are drawn below them.
        self.drawn = 0;
    }
}

/// A line cut to a width. Colours take no width and are closed when the cut falls into
/// them.
fn cut(line: &str, width: usize) -> String {
    let mut out = String::new();
    let (mut seen, mut in_code, mut coloured) = (0, false, false);
    for c in line.chars() {
        if c == '\u{1b}' {
            (in_code, coloured) = (true, true);
        } else if in_code {
            in_code = c != 'm';
        } else {
            seen += 1;
            if seen > width {
                break;
            }
        }
        out.push(c);
    }
    if coloured && seen > width {
        out.push_str("\u{1b}[0m");
    }
    out
}

fn is_passing(error: &ApiError) -> bool {
    matches!(error.kind, ErrorKind::Unavailable | ErrorKind::TooMany)
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|_| not_a_stream())
}

fn not_a_stream() -> Failure {
    ApiError::new(
        ErrorKind::Internal,
        "ESC-0504",
        "what the server sends about the release is not understood",
        "check that server and command are of the same version",
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Colour, Tone};

    #[test]
    fn lines_are_cut_to_the_terminal() {
        assert_eq!(cut("abcdef", 4), "abcd");
        assert_eq!(cut("äöü", 3), "äöü");
        let painted = Colour::On.paint(Tone::Bad, "abcdef");
        assert_eq!(cut(&painted, 2), "\u{1b}[31mab\u{1b}[0m");
        assert_eq!(cut(&painted, 6), painted);
    }

    #[test]
    fn an_end_of_an_unknown_kind_is_no_success() {
        let output = Output::new(false);
        let follower = Follower::new("r", Show::Talk, &output);
        let end = |outcome: &str| {
            follower.end(EndView {
                outcome: outcome.into(),
                reason: "why".into(),
            })
        };
        assert_eq!(
            end("rolled_back").expect("known").outcome,
            Outcome::RolledBack
        );
        assert!(end("splendid").is_err());
    }
}
