//! An overview as a plain text table.

use super::{Overview, Phase, PhaseKind};
use esclusa_model::Millis;

const NO_END: &str = "no end";

pub(super) fn render(overview: &Overview) -> String {
    let mut rows = vec![["", "", "at least", "at most", "decided by"].map(str::to_owned)];
    let mut number = 0;
    for phase in &overview.phases {
        rows.push(row(phase, &mut number));
    }
    rows.push([
        "all".to_owned(),
        String::new(),
        overview.at_least.to_string(),
        limit(overview.at_most),
        String::new(),
    ]);
    let mut out = format!("Release of {}\n", overview.service);
    if let Some(flags) = &overview.flags {
        out.push_str(&format!("Turns {flags}\n"));
    }
    out.push('\n');
    out.push_str(&table(&rows));
    out.push('\n');
    out.push_str(&stages(overview));
    out.push('\n');
    out.push_str(&returning(overview));
    out.push('\n');
    out.push_str(&limits(overview));
    out.push('\n');
    out.push_str(&parts(overview));
    out
}

fn row(phase: &Phase, number: &mut usize) -> [String; 5] {
    let kind = match phase.kind {
        PhaseKind::Requires => "requires".to_owned(),
        PhaseKind::Before => "before".to_owned(),
        PhaseKind::Deploy => "deploy".to_owned(),
        PhaseKind::After => "after".to_owned(),
        PhaseKind::WarmUp | PhaseKind::Expose => {
            *number += 1;
            format!("stage {number}")
        }
    };
    let what = match phase.kind {
        PhaseKind::WarmUp => format!("warm-up, {}", phase.what),
        PhaseKind::Expose => format!("to {}", phase.what),
        _ => phase.what.clone(),
    };
    [
        kind,
        what,
        phase.at_least.to_string(),
        limit(phase.at_most),
        phase.decided_by.clone(),
    ]
}

fn limit(time: Option<Millis>) -> String {
    time.map_or_else(|| NO_END.to_owned(), |time| time.to_string())
}

/// Columns as wide as their widest cell, two spaces between them.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        out.push_str(format!("  {}", cells.join("  ")).trim_end());
        out.push('\n');
    }
    out
}

fn returning(overview: &Overview) -> String {
    let back = &overview.returning;
    let turn = match back.turn {
        Some(time) => (
            "users back on the stable version".to_owned(),
            time.to_string(),
        ),
        None => (
            "users back on the stable version".to_owned(),
            "with the proxies' next generation".to_owned(),
        ),
    };
    let mut rows = vec![[turn.0, turn.1]];
    rows.push(["drain".to_owned(), back.drain.to_string()]);
    for (name, time) in &back.undo {
        rows.push([format!("undo {name}"), time.to_string()]);
    }
    rows.push(["all".to_owned(), back.at_most.to_string()]);
    let mut out = format!("A return takes at most\n\n{}", table(&rows));
    if !back.drain_by_driver.is_empty() {
        out.push_str(&format!(
            "\n  The drain of {} is up to its driver and not counted.\n",
            back.drain_by_driver.join(", ")
        ));
    }
    out
}

fn parts(overview: &Overview) -> String {
    let mut rows: Vec<[String; 5]> = overview
        .components
        .iter()
        .map(|part| {
            [
                part.name.clone(),
                part.kind.clone(),
                format!("{} x", part.instances),
                part.driver.clone(),
                part.artifact.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if let Some(listen) = &overview.listen {
        rows.push([
            "traffic".to_owned(),
            String::new(),
            String::new(),
            overview.traffic.clone(),
            listen.clone(),
        ]);
    }
    if rows.is_empty() {
        return format!(
            "The flag set keeps the flags at the end; `release rollback` takes that back for {}.\n",
            overview.keep_warm
        );
    }
    format!(
        "What is where\n\n{}\n  The version before stays ready for {} after promotion.\n",
        table(&rows),
        overview.keep_warm
    )
}

/// What each stage exposes, asks for and waits for.
fn stages(overview: &Overview) -> String {
    let mut rows = vec![["", "exposes", "needs", "goes on after"].map(str::to_owned)];
    let mut number = 0;
    for phase in &overview.phases {
        if matches!(phase.kind, PhaseKind::WarmUp | PhaseKind::Expose) {
            number += 1;
        }
        let Some(exposed) = &phase.exposed else {
            continue;
        };
        let who = match exposed.units {
            Some(1) => format!("{}, 1 unit", phase.what),
            Some(units) => format!("{}, {units} units", phase.what),
            None => phase.what.clone(),
        };
        let needs = match (exposed.requests, exposed.needs_per_hour) {
            (Some(own), Some(all)) => format!("{own} requests: {all}/h of all"),
            _ => String::new(),
        };
        rows.push([
            format!("stage {number}"),
            who,
            needs,
            phase.waits_for.join("; "),
        ]);
    }
    let exposure = &overview.exposure;
    format!(
        "What the stages expose\n\n{}\n  Before everybody: as if all users met it for {} at least, {} at most.\n",
        table(&rows),
        exposure.at_least,
        limit(exposure.at_most)
    )
}

/// Waits that end by themselves.
fn limits(overview: &Overview) -> String {
    let rows: Vec<[String; 3]> = overview
        .limits
        .iter()
        .map(|one| [one.what.clone(), one.after.to_string(), one.then.clone()])
        .collect();
    format!("What ends a wait\n\n{}", table(&rows))
}
