//! Whether people hear of a kill: asked when it is done, and never a reason to call it undone.

use crate::args::Global;
use crate::client::Client;
use crate::output::{Output, Tone};
use crate::table::one_line;
use esclusa_server::body::{ChannelView, NotificationsView};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long channels are given to take the message.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);

/// A channel by which people have not been told yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Untold {
    /// Its name; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// What went wrong last, or what is not known.
    because: String,
}

/// The channels that have not taken everything that there is to tell. A server whose channels
/// are well is asked once or twice.
pub(super) async fn untold(global: &Global) -> Vec<Untold> {
    let client = match Client::new(global) {
        Ok(client) => client,
        Err(failure) => return vec![unknown(failure.error.message)],
    };
    let until = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < until {
        let asked = client.get::<NotificationsView>("/api/v1/notifications");
        match tokio::time::timeout_at(until, asked).await {
            Ok(Ok(view)) => {
                let view = last.insert(view);
                if view.caught_up && view.channels.iter().all(settled) {
                    break;
                }
            }
            Ok(Err(failure)) => return vec![unknown(failure.error.message)],
            Err(_) => break,
        }
        sleep(LOOK).await;
    }
    match last {
        None => vec![unknown("the server does not say".to_owned())],
        Some(view) => {
            let late = (!view.caught_up).then(|| "it stands in no line yet".to_owned());
            let wrong = view
                .trouble
                .map(|why| format!("the channels are not set up: {why}"));
            let waits = view.channels.into_iter().filter(|one| one.waiting > 0);
            let unknowns = late.into_iter().chain(wrong).map(unknown);
            unknowns.chain(waits.map(waiting)).collect()
        }
    }
}

/// Nothing waits, or what waits has failed at least once.
fn settled(channel: &ChannelView) -> bool {
    channel.waiting == 0 || channel.last_error.is_some()
}

fn waiting(channel: ChannelView) -> Untold {
    Untold {
        channel: Some(channel.channel),
        because: channel
            .last_error
            .unwrap_or_else(|| "the message waits".to_owned()),
    }
}

fn unknown(because: String) -> Untold {
    Untold {
        channel: None,
        because,
    }
}

/// Says so.
pub(super) fn warn(untold: &[Untold], output: &Output) {
    for one in untold {
        let word = output.talk_colour.paint(Tone::Warn, "warning");
        let because = one_line(&one.because);
        output.say(&match &one.channel {
            Some(name) => format!(
                "{word}: {} has not been told yet, and is tried again: {because}",
                one_line(name)
            ),
            None => format!("{word}: whether anybody was sent a message is not known: {because}"),
        });
    }
}
