//! `notify lint | test | status | retry`.

use crate::args::{Global, NotifyVerb};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::findings;
use crate::output::{Output, Tone};
use crate::place;
use crate::release::path_part;
use crate::table::table;
use esclusa_model::Timestamp;
use esclusa_plan::SourceFile;
use esclusa_server::body::{ChannelView, NotificationsView, TestNotification, Tested};
use esclusa_server::check_notify;
use esclusa_server::report::rfc3339;
use serde_json::json;
use std::path::Path;

pub(crate) async fn run(
    verb: NotifyVerb,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    match verb {
        NotifyVerb::Lint { file } => lint(&file, output),
        NotifyVerb::Test { channel } => test(channel, global, output).await,
        NotifyVerb::Status => status(global, output).await,
        NotifyVerb::Retry { id } => {
            let path = format!("/api/v1/notifications/{}/retry", path_part(&id));
            Client::new(global)?.post_for_nothing(&path).await?;
            output.say(&format!("{id} waits again, behind what waits already"));
            Ok(Exit::Done)
        }
    }
}

fn lint(file: &Path, output: &Output) -> Result<Exit, Failure> {
    let help = "name the file of channels and rules: `esclusa notify lint FILE`";
    let read = place::read_settings(file, help)?;
    let source = SourceFile::new(&read.name, &read.text);
    let found = match check_notify(&source) {
        Ok(config) => {
            let accepted =
                json!({ "accepted": true, "channels": config.channels.len(), "diagnostics": [] });
            if !output.json(&accepted) {
                let word = output.talk_colour.paint(Tone::Good, "accepted");
                output.say(&format!(
                    "{}: {word}, {} channels",
                    read.name,
                    config.channels.len()
                ));
            }
            return Ok(Exit::Done);
        }
        Err(found) => found,
    };
    Ok(findings::refuse(&found, &source, output))
}

async fn test(channel: Option<String>, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let client = Client::new(global)?;
    let tested: Vec<Tested> = client
        .post("/api/v1/notifications/test", &TestNotification { channel })
        .await?;
    if !output.json(&tested) {
        for one in &tested {
            let (tone, words) = match &one.error {
                None => (Tone::Good, "delivered".to_owned()),
                Some(error) => (Tone::Bad, format!("not delivered: {error}")),
            };
            let words = output.colour.paint(tone, &crate::table::one_line(&words));
            output.line(&format!("{}: {words}", one.channel));
        }
    }
    let all = tested.iter().all(|one| one.delivered);
    Ok(if all { Exit::Done } else { Exit::Fault })
}

async fn status(global: &Global, output: &Output) -> Result<Exit, Failure> {
    let found: NotificationsView = Client::new(global)?.get("/api/v1/notifications").await?;
    if output.json(&found) {
        return Ok(Exit::Done);
    }
    if let Some(trouble) = &found.trouble {
        output.say("the file that says who is told what is not in force (ESC-0704):");
        output.say(trouble);
    }
    if found.channels.is_empty() {
        output.say("no channel is set up; what happens is in the inbox alone");
        return Ok(Exit::Done);
    }
    let head = [
        "CHANNEL",
        "KIND",
        "WAITING",
        "DELIVERED",
        "DEAD",
        "SUCCESS",
        "LAST ERROR",
    ];
    let rows: Vec<Vec<String>> = found.channels.iter().map(row).collect();
    for line in table(&head, &rows) {
        output.line(&line);
    }
    if !found.dead.is_empty() {
        output.line("");
        let rows: Vec<Vec<String>> = found
            .dead
            .iter()
            .map(|letter| {
                vec![
                    letter.id.clone(),
                    letter.channel.clone(),
                    rfc3339(Timestamp(letter.at_us)),
                    letter.attempts.to_string(),
                    letter.error.clone().unwrap_or_default(),
                ]
            })
            .collect();
        for line in table(
            &["DEAD LETTER", "CHANNEL", "GIVEN UP", "TRIES", "WHY"],
            &rows,
        ) {
            output.line(&line);
        }
    }
    Ok(Exit::Done)
}

fn row(channel: &ChannelView) -> Vec<String> {
    let kind = match &channel.kind {
        Some(kind) if channel.enabled => kind.clone(),
        Some(kind) => format!("{kind} (off)"),
        None => "not in the file".to_owned(),
    };
    let success = channel.success_percent;
    vec![
        channel.channel.clone(),
        kind,
        channel.waiting.to_string(),
        channel.delivered.to_string(),
        channel.dead.to_string(),
        success.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %")),
        channel.last_error.clone().unwrap_or_default(),
    ]
}
