//! `dora`.

use crate::args::{Dora as Asked, Global};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::release::path_part;
use crate::table::table;
use esclusa_model::Millis;
use esclusa_server::body::{Dora, DoraFigures};

pub(crate) async fn run(asked: &Asked, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let mut path = format!("/api/v1/dora?days={}", asked.days);
    if let Some(service) = &asked.service {
        path.push_str(&format!("&service={}", path_part(service)));
    }
    let dora: Dora = Client::new(global)?.get(&path).await?;
    if output.json(&dora) {
        return Ok(Exit::Done);
    }
    for line in lines(&dora) {
        output.line(&line);
    }
    if dora.cut_short {
        output.say("there are more releases than were looked at: these are figures of the newest");
    }
    Ok(Exit::Done)
}

fn lines(dora: &Dora) -> Vec<String> {
    let head = [
        "SERVICE",
        "DEPLOYMENTS",
        "FREQUENCY",
        "LEAD TIME",
        "CHANGES THAT FAILED",
        "TIME TO RESTORE",
    ];
    let services = dora.services.iter();
    let mut rows: Vec<Vec<String>> = services.map(|(name, one)| row(name, one)).collect();
    rows.push(row("all", &dora.all));
    table(&head, &rows)
}

fn row(name: &str, figures: &DoraFigures) -> Vec<String> {
    let unknown = || "unknown".to_owned();
    let time = |ms: Option<u64>| ms.map_or_else(unknown, short);
    let failed = figures.change_failure_percent.map_or_else(unknown, |part| {
        format!("{part} ({} of {})", figures.failed, figures.exposed)
    });
    vec![
        name.to_owned(),
        figures.deployments.to_string(),
        figures
            .deployments_per_week
            .map_or_else(unknown, |rate| rate.to_string()),
        time(figures.lead_time_ms),
        failed,
        time(figures.time_to_restore_ms),
    ]
}

/// A length of time without its small change.
fn short(ms: u64) -> String {
    let seconds = ms / 1_000;
    let rounded = match seconds {
        0 => return Millis(ms).to_string(),
        1..3_600 => seconds,
        3_600..86_400 => seconds / 60 * 60,
        _ => seconds / 3_600 * 3_600,
    };
    Millis::from_secs(rounded).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said() {
        let dora: Dora = serde_json::from_value(serde_json::json!({
            "from_us": 0, "to_us": 0, "days": 30, "cut_short": false, "services": {},
            "all": {
                "deployments": 0, "deployments_per_week": null, "changes": 0,
                "lead_time_ms": null, "exposed": 0, "failed": 0,
                "change_failure_percent": null, "restored": 0, "time_to_restore_ms": null
            }
        }))
        .expect("figures");
        let shown = lines(&dora).remove(1);
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert_eq!(
            words,
            ["all", "0", "unknown", "unknown", "unknown", "unknown"]
        );
    }

    #[test]
    fn times_are_short() {
        assert_eq!(short(90_061_001), "1d1h");
        assert_eq!(short(3_725_500), "1h2m");
        assert_eq!(short(62_500), "1m2s");
        assert_eq!(short(250), "250ms");
    }
}
