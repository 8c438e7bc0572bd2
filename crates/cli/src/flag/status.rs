//! `flag status`: how far the flags have come, and how long that takes.

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::table::one_line;
use esclusa_model::Timestamp;
use esclusa_server::body::{
    ArrivedView, DelaysView, ExposuresView, GuardTroubleKind, MeasuredView, PropagationView,
};
use esclusa_server::report::rfc3339;

pub(super) async fn run(client: &Client, output: &Output) -> Result<Exit, Failure> {
    let found: PropagationView = client.get("/api/v1/flag-set/status").await?;
    let sinks = found.sinks.iter().all(|sink| sink.state == "reached");
    let tables = sinks && found.sinks_trouble.is_none();
    // A service may come with its first release; a key that cannot be read locks people out.
    let mut guards = found.guards.iter();
    let keys = guards.all(|guard| guard.kind != GuardTroubleKind::UnreadableKey);
    let done = match found.current && tables && keys {
        true => Exit::Done,
        false => Exit::Fault,
    };
    if output.json(&found) {
        return Ok(done);
    }
    let (tone, word) = match found.current {
        true => (Tone::Good, "in force"),
        false => (Tone::Bad, "not in force"),
    };
    let word = output.colour.paint(tone, word);
    output.line(&format!(
        "revision {}, kill epoch {}: {word} at the proxy",
        found.revision, found.kill_epoch
    ));
    output.line(&format!(
        "event streams: {} open, {} told, {} have asked since",
        found.streams, found.told, found.fetched
    ));
    if let Some(trouble) = &found.trouble {
        output.say(&format!("trouble: {trouble}"));
    }
    if found.unrecorded > 0 {
        output.say(&format!(
            "{} decisions are in force and not recorded yet",
            found.unrecorded
        ));
    }
    super::guard_warnings(&found.guards, &[], output);
    for measured in &found.measured {
        for (at, line) in measured_lines(measured).iter().enumerate() {
            let indent = if at == 0 { "" } else { "  " };
            output.line(&format!("{indent}{}", one_line(line)));
        }
    }
    if let Some(exposures) = &found.exposures {
        output.line(&one_line(&exposures_line(exposures)));
    }
    for stream in &found.behind {
        output.say(&format!("behind: {}", one_line(&stream.who)));
    }
    super::sinks::show(&found, output);
    Ok(done)
}

/// What the server's own subscriber measured at a proxy.
fn measured_lines(measured: &MeasuredView) -> Vec<String> {
    let name = measured.proxy.as_deref().unwrap_or("unknown");
    let since = rfc3339(Timestamp(measured.since_us));
    let contact = match (measured.connected, &measured.trouble) {
        (true, _) => format!("connected since {since}"),
        (false, None) => format!("not connected since {since}"),
        (false, Some(why)) => format!("not connected since {since}: {why}"),
    };
    let mut lines = vec![
        format!("measured at {} (proxy {name}), {contact}", measured.address),
        format!("changes: {}", reached(&measured.changes)),
        format!("kills: {}", reached(&measured.kills)),
    ];
    if let Some(oldest) = measured.oldest_ms {
        lines.push(format!(
            "under way: {}, the oldest for {oldest}",
            measured.under_way
        ));
    }
    if measured.unmeasured > 0 {
        lines.push(format!("given up unmeasured: {}", measured.unmeasured));
    }
    lines
}

fn exposures_line(found: &ExposuresView) -> String {
    let at = match found.environments.is_empty() {
        true => "off now".into(),
        false => found.environments.join(", "),
    };
    let mut line = format!(
        "exposures ({at}): {} recorded, {} repeated",
        found.recorded, found.repeated
    );
    for (count, why) in [(found.dropped, "waited"), (found.unwritten, "disk")] {
        if count > 0 {
            line.push_str(&format!(", {count} lost ({why})"));
        }
    }
    if let Some(trouble) = &found.trouble {
        line.push_str(&format!(": {trouble}"));
    }
    line
}

fn reached(reached: &ArrivedView) -> String {
    match (&reached.told, &reached.seen) {
        (None, None) => "unknown, none was measured".into(),
        (told, seen) => format!(
            "told {}; seen {}",
            delays(told.as_ref()),
            delays(seen.as_ref())
        ),
    }
}

fn delays(delays: Option<&DelaysView>) -> String {
    delays.map_or_else(
        || "unknown".into(),
        |delays| {
            format!(
                "p50 {}, p99 {}, max {}, last {}, of {}",
                delays.p50_ms, delays.p99_ms, delays.max_ms, delays.last_ms, delays.count
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> MeasuredView {
        let none = || ArrivedView {
            told: None,
            seen: None,
        };
        MeasuredView {
            proxy: None,
            address: "127.0.0.1:8016".into(),
            connected: false,
            since_us: 0,
            trouble: Some("Connection refused".into()),
            under_way: 0,
            oldest_ms: None,
            unmeasured: 0,
            changes: none(),
            kills: none(),
        }
    }

    #[test]
    fn what_was_not_measured_is_unknown_and_no_number() {
        let lines = measured_lines(&measured());
        assert_eq!(
            lines,
            [
                "measured at 127.0.0.1:8016 (proxy unknown), not connected since \
                 1970-01-01T00:00:00.000Z: Connection refused",
                "changes: unknown, none was measured",
                "kills: unknown, none was measured",
            ]
        );
    }
}
