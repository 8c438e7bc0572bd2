//! Verbs that show.

use super::lines::{Shown, status_lines};
use super::pick;
use crate::args::{History, OfService, Which};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Colour, Output, Tone};
use crate::table::table;
use esclusa_model::{Outcome, Timestamp};
use esclusa_server::body::CanReturn;
use esclusa_server::report::rfc3339;
use esclusa_server::{InstanceView, ReleaseView, ServiceView};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, microseconds since 1970.
pub(super) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

pub(super) async fn status(
    client: &Client,
    which: &Which,
    output: &Output,
) -> Result<Exit, Failure> {
    let id = pick::release(client, which).await?;
    let release: ReleaseView = client
        .get(&format!("/api/v1/releases/{}", pick::path_part(&id)))
        .await?;
    if output.json(&release) {
        return Ok(Exit::Done);
    }
    let shown = Shown {
        release,
        traffic: Vec::new(),
        traffic_second: None,
    };
    for line in status_lines(&shown, now_us(), output.colour) {
        output.line(&line);
    }
    let path = format!(
        "/api/v1/services/{}",
        pick::path_part(&shown.release.service)
    );
    let service: ServiceView = client.get(&path).await?;
    for instance in service.instances.iter().filter(|one| is_news(one)) {
        output.line(&instance_line(instance, output.colour));
    }
    Ok(Exit::Done)
}

/// Whether an instance is not simply there.
fn is_news(instance: &InstanceView) -> bool {
    instance.restarts > 0 || matches!(instance.state.as_str(), "down" | "starting")
}

fn instance_line(instance: &InstanceView, colour: Colour) -> String {
    let tone = if instance.state == "up" {
        Tone::Good
    } else {
        Tone::Bad
    };
    let mut line = format!(
        "{} of {} {}: {}",
        instance.instance,
        instance.role,
        instance.version,
        colour.paint(tone, &instance.state)
    );
    if instance.restarts > 0 {
        line.push_str(&format!(", started again {} times", instance.restarts));
    }
    if let Some(end) = &instance.last_end {
        line.push_str(&format!("; {end}"));
    }
    line
}

pub(super) async fn history(
    client: &Client,
    asked: &History,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut path = format!("/api/v1/releases?limit={}", asked.limit);
    if let Some(service) = &asked.of.service {
        path.push_str(&format!("&service={}", pick::path_part(service)));
    }
    let releases: Vec<ReleaseView> = client.get(&path).await?;
    if output.json(&releases) {
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = releases
        .iter()
        .map(|release| {
            vec![
                release.release.clone(),
                release.service.clone(),
                release.version.clone(),
                rfc3339(Timestamp(release.requested_at_us)),
                release.requested_by.clone(),
                release
                    .outcome
                    .clone()
                    .unwrap_or_else(|| release.phase.clone()),
                release.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let head = [
        "RELEASE", "SERVICE", "VERSION", "ASKED", "BY", "OUTCOME", "REASON",
    ];
    for line in table(&head, &rows) {
        output.line(&line);
    }
    Ok(Exit::Done)
}

pub(super) async fn can_return(
    client: &Client,
    of: &OfService,
    output: &Output,
) -> Result<Exit, Failure> {
    let service = pick::service(client, of).await?.service;
    let path = format!("/api/v1/services/{}/can-return", pick::path_part(&service));
    let answer: CanReturn = client.get(&path).await?;
    let done = if answer.can_return {
        Exit::Done
    } else {
        Exit::Outcome(Outcome::Refused)
    };
    if output.json(&answer) {
        return Ok(done);
    }
    output.line(&can_return_words(&service, &answer, output.colour));
    Ok(done)
}

fn can_return_words(service: &str, answer: &CanReturn, colour: Colour) -> String {
    if answer.can_return {
        let to = answer
            .to
            .as_ref()
            .map_or_else(String::new, |to| format!(" to {}", to.name));
        return format!(
            "{}: {service} can go back{to} right now",
            colour.paint(Tone::Good, "yes")
        );
    }
    let because = answer
        .because
        .as_deref()
        .unwrap_or("the server does not say why");
    format!("{}: {because}", colour.paint(Tone::Bad, "no"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_instances_with_a_story_are_told() {
        let mut one = InstanceView {
            instance: "web-0-a1".into(),
            version: "2.4.1".into(),
            role: "stable".into(),
            state: "up".into(),
            restarts: 0,
            last_end: None,
            next_start_us: None,
        };
        assert!(!is_news(&one));
        one.restarts = 2;
        one.last_end = Some("it ended with exit code 3".into());
        assert!(is_news(&one));
        assert_eq!(
            instance_line(&one, Colour::Off),
            "web-0-a1 of stable 2.4.1: up, started again 2 times; it ended with exit code 3"
        );
    }
}
