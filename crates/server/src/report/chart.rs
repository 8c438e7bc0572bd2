//! Charts of a release as drawings within the page: no script, nothing to load.

use crate::series::{Bucket, MarkKind, Series, Side};
use esclusa_model::Millis;
use std::fmt::Write as _;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 24.0;
/// Least distance of two words above a chart.
const APART: f64 = 42.0;
/// Words on the axis of time.
const TIMES: i64 = 4;

/// One line of a chart.
pub(super) struct Line {
    /// Its class in the style: `stable`, `canary` or `share`.
    pub class: &'static str,
    /// Where in the report its figures stand.
    pub path: &'static str,
    /// One a bucket; none where nothing is known.
    pub values: Vec<Option<f64>>,
    /// Whether a value holds for its whole bucket.
    pub steps: bool,
}

/// What is drawn.
pub(super) struct Chart {
    /// What it shows, for those who hear the page.
    pub title: &'static str,
    /// Behind the numbers of its axis.
    pub unit: &'static str,
    /// The least height of its axis.
    pub least: f64,
    pub lines: Vec<Line>,
    /// Whether the names of stages stand above it.
    pub named: bool,
}

/// One value a bucket of one version.
pub(super) fn values(
    series: &Series,
    side: fn(&Bucket) -> Option<&Side>,
    value: impl Fn(&Side, &Bucket) -> Option<f64>,
) -> Vec<Option<f64>> {
    let one = |bucket: &Bucket| side(bucket).and_then(|counted| value(counted, bucket));
    series.buckets.iter().map(one).collect()
}

/// The drawing.
pub(super) fn draw(series: &Series, chart: &Chart) -> String {
    let all = chart.lines.iter().flat_map(|line| &line.values);
    let most = all.flatten().copied().fold(chart.least, f64::max);
    let top = ceiling(most);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        chart.title
    );
    axes(&mut out, series, top, chart.unit);
    marks(&mut out, series, chart.named);
    for line in &chart.lines {
        draw_line(&mut out, series, line, top);
    }
    out.push_str("</svg>");
    out
}

fn x(series: &Series, at_ms: i64) -> f64 {
    let whole = (series.to_ms - series.from_ms).max(1) as f64;
    let part = ((at_ms - series.from_ms) as f64 / whole).clamp(0.0, 1.0);
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

fn y(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - (value / top).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
}

/// The least of 1, 2, 5, 10, 20 ... that is not below.
fn ceiling(value: f64) -> f64 {
    let mut step = 0.001;
    while step < value && step < 1e15 {
        for factor in [2.0, 5.0, 10.0] {
            if step * factor >= value {
                return step * factor;
            }
        }
        step *= 10.0;
    }
    step
}

fn axes(out: &mut String, series: &Series, top: f64, unit: &str) {
    let right = WIDTH - RIGHT;
    for part in [0.0, 0.5, 1.0] {
        let at = y(top * part, top);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}{unit}</text>",
            LEFT - 6.0,
            at + 4.0,
            number(top * part)
        );
    }
    let length = series.to_ms - series.from_ms;
    for n in 0..=TIMES {
        let after = length * n / TIMES;
        let anchor = match n {
            0 => "start",
            TIMES => "end",
            _ => "middle",
        };
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            x(series, series.from_ms + after),
            HEIGHT - 6.0,
            time(after)
        );
    }
}

/// A time after the start, short.
fn time(after_ms: i64) -> String {
    let seconds = u64::try_from(after_ms).unwrap_or_default() / 1_000;
    let rounded = match seconds {
        0..600 => seconds,
        600..36_000 => seconds / 60 * 60,
        _ => seconds / 3_600 * 3_600,
    };
    Millis::from_secs(rounded).to_string()
}

fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn marks(out: &mut String, series: &Series, named: bool) {
    let mut free_from = 0.0;
    for mark in &series.marks {
        let class = match mark.kind {
            MarkKind::Stage => "mark",
            MarkKind::Return => "mark return",
            _ => continue,
        };
        let at = x(series, mark.at_ms);
        let _ = write!(
            out,
            "<line class=\"{class}\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>",
            HEIGHT - BOTTOM
        );
        let name = match mark.kind {
            MarkKind::Return => "back",
            // `went on to stage 2 (25%)`
            _ => mark
                .what
                .rsplit_once('(')
                .map_or("", |(_, to)| to.trim_end_matches(')')),
        };
        if !named || at < free_from || name.is_empty() {
            continue;
        }
        // The last words end where the drawing does.
        let (anchor, taken) = if at > WIDTH - APART {
            ("end", at)
        } else {
            ("start", at + APART)
        };
        free_from = taken;
        let short: String = name.chars().take(14).collect();
        let _ = write!(
            out,
            "<text x=\"{at:.1}\" y=\"12\" text-anchor=\"{anchor}\">{}</text>",
            quick_xml::escape::escape(short.as_str())
        );
    }
}

fn draw_line(out: &mut String, series: &Series, line: &Line, top: f64) {
    let mut path = String::new();
    let mut lone = String::new();
    let points: Vec<Option<(f64, f64, f64)>> = series
        .buckets
        .iter()
        .zip(&line.values)
        .map(|(bucket, value)| {
            let length = i64::try_from(bucket.length_ms).unwrap_or_default();
            let (from, to) = (bucket.start_ms, bucket.start_ms + length);
            Some((x(series, from), x(series, to), y((*value)?, top)))
        })
        .collect();
    for (n, point) in points.iter().enumerate() {
        let Some((from, to, at)) = point else {
            continue;
        };
        let before = n.checked_sub(1).and_then(|n| points[n]);
        let middle = (from + to) / 2.0;
        let verb = if before.is_some() { "L" } else { "M" };
        if line.steps {
            let _ = write!(path, "{verb}{from:.1} {at:.1}L{to:.1} {at:.1}");
        } else if before.is_none() && points.get(n + 1).is_none_or(Option::is_none) {
            // A known point between two gaps is no line.
            let _ = write!(
                lone,
                "<circle class=\"line {}\" cx=\"{middle:.1}\" cy=\"{at:.1}\" r=\"1.5\"/>",
                line.class
            );
        } else {
            let _ = write!(path, "{verb}{middle:.1} {at:.1}");
        }
    }
    let _ = write!(
        out,
        "<path class=\"line {}\" data-series=\"{}\" d=\"{path}\"/>{lone}",
        line.class, line.path
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [
            (0.0, 0.001),
            (1.0, 1.0),
            (1.2, 2.0),
            (3.0, 5.0),
            (51.0, 100.0),
            (0.03, 0.05),
        ] {
            assert!(
                (ceiling(value) - top).abs() < 1e-9,
                "{value}: {}",
                ceiling(value)
            );
        }
    }

    #[test]
    fn times_are_short() {
        assert_eq!(time(90_000), "1m30s");
        assert_eq!(time(4_230_000), "1h10m");
        assert_eq!(time(200_000_000), "2d7h");
    }
}
