//! How deliveries go, for people and machines; and a test message.

use super::courier::Outcome;
use super::notice::{Kind, Notice};
use super::{Notifier, lock};
use crate::clock;
use esclusa_model::Actor;
use esclusa_store::{ChannelState, StoreError};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Longest wait for a test message; whoever asked waits too.
const TEST_LIMIT: Duration = Duration::from_secs(25);

/// Tries by channel and outcome since this process began.
pub(super) type Counts = BTreeMap<(String, Outcome), u64>;

/// A channel and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelStatus {
    pub name: String,
    /// Absent for one that is not in the file any more.
    pub kind: Option<&'static str>,
    pub enabled: bool,
    pub line: ChannelState,
}

/// What became of a test message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestResult {
    pub channel: String,
    pub error: Option<String>,
}

/// Why nothing was tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TestError {
    /// There are no channels.
    NoChannels,
    /// There is none with this name; these are there.
    Unknown(Vec<String>),
}

impl Notifier {
    pub(super) fn count(&self, channel: &str, outcome: Outcome) {
        *lock(&self.counts)
            .entry((channel.to_owned(), outcome))
            .or_default() += 1;
    }

    /// All channels of the file, and those of which anything is remembered.
    pub(crate) async fn status(&self) -> Result<Vec<ChannelStatus>, StoreError> {
        let mut lines: BTreeMap<String, ChannelState> = self
            .store
            .channel_states()
            .await?
            .into_iter()
            .map(|line| (line.channel.clone(), line))
            .collect();
        let loaded = self.loaded();
        let mut all: Vec<ChannelStatus> = loaded
            .config
            .channels
            .iter()
            .map(|channel| ChannelStatus {
                line: lines.remove(&channel.name).unwrap_or_default(),
                name: channel.name.clone(),
                kind: Some(channel.kind),
                enabled: channel.enabled,
            })
            .collect();
        all.extend(lines.into_values().map(|line| ChannelStatus {
            name: line.channel.clone(),
            kind: None,
            enabled: false,
            line,
        }));
        Ok(all)
    }

    /// Sends a test message now, past the outbox, to one channel or to all. One that is
    /// turned off is tested when it is named.
    pub(crate) async fn test(
        &self,
        channel: Option<&str>,
        by: &Actor,
    ) -> Result<Vec<TestResult>, TestError> {
        let loaded = self.loaded();
        let all = &loaded.config.channels;
        let names = || all.iter().map(|channel| channel.name.clone()).collect();
        let chosen: Vec<_> = match channel {
            Some(name) => all.iter().filter(|channel| channel.name == name).collect(),
            None => all.iter().filter(|channel| channel.enabled).collect(),
        };
        if chosen.is_empty() {
            return Err(match channel {
                Some(_) if !all.is_empty() => TestError::Unknown(names()),
                _ => TestError::NoChannels,
            });
        }
        let notice = Notice::new(Kind::Test, "", clock::now()).with("actor", by.as_str());
        let tests = chosen.into_iter().map(|channel| {
            let notice = &notice;
            async move {
                let id = format!("msg_test_{:016x}", clock::entropy());
                // A try of the channel's courier may be under way.
                let patience = (channel.timeout.as_std() * 2).min(TEST_LIMIT);
                let sent = self.send(channel, &id, notice);
                let error = match tokio::time::timeout(patience, sent).await {
                    Ok(sent) => sent.err().map(|error| error.message),
                    Err(_) => Some("a delivery is under way and does not end".to_owned()),
                };
                TestResult {
                    channel: channel.name.clone(),
                    error,
                }
            }
        });
        Ok(join(tests).await)
    }

    /// Appends what there is to count as Prometheus text.
    pub(crate) async fn metrics(&self, out: &mut String) {
        // Writing to a string cannot fail. Names of channels need no quoting.
        out.push_str(
            "# HELP esclusa_notifications_total Tries to deliver a message.\n\
             # TYPE esclusa_notifications_total counter\n",
        );
        for ((channel, outcome), count) in lock(&self.counts).iter() {
            let result = outcome.as_str();
            let _ = writeln!(
                out,
                "esclusa_notifications_total{{channel=\"{channel}\",result=\"{result}\"}} {count}"
            );
        }
        let Ok(status) = self.status().await else {
            return;
        };
        let now = clock::now();
        let oldest = |line: &ChannelState| {
            let since = line.oldest.unwrap_or(now);
            now.since(since).as_secs()
        };
        type Gauge<'a> = (&'a str, &'a str, &'a dyn Fn(&ChannelState) -> u64);
        let gauges: [Gauge<'_>; 3] = [
            ("waiting", "Messages that wait.", &|line| line.waiting),
            ("dead", "Messages that were given up.", &|line| line.dead),
            (
                "oldest_waiting_seconds",
                "How long the oldest message that waits has waited.",
                &oldest,
            ),
        ];
        for (name, help, value) in gauges {
            let _ = writeln!(
                out,
                "# HELP esclusa_notifications_{name} {help}\n# TYPE esclusa_notifications_{name} gauge"
            );
            for channel in &status {
                let _ = writeln!(
                    out,
                    "esclusa_notifications_{name}{{channel=\"{}\"}} {}",
                    channel.name,
                    value(&channel.line)
                );
            }
        }
        let good = u8::from(self.loaded().trouble.is_none());
        let _ = writeln!(
            out,
            "# HELP esclusa_notifications_configured Whether the file that says who is told what \
             is in force.\n# TYPE esclusa_notifications_configured gauge\n\
             esclusa_notifications_configured {good}"
        );
    }
}

/// Waits for all of them at once, in order.
async fn join<T: Send>(all: impl Iterator<Item = impl Future<Output = T> + Send>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *slot = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// How much of what was decided was delivered, in percent; nothing where nothing was.
pub(crate) fn success_percent(line: &ChannelState) -> Option<u64> {
    let decided = line.delivered + line.dead;
    (decided > 0).then(|| line.delivered * 100 / decided)
}
