//! From objectives to Prometheus rules: recorded ratios, and alerts on how fast the error
//! budget burns.
//!
//! Windows and burn rates are those of chapter 5 of the SRE workbook. Both windows of a
//! pair must burn: the long one says that it matters, the short one that it goes on. An
//! alert on data that stopped is written beside them, because none of the others would
//! fire then.

use crate::buckets::{Buckets, around};
use crate::code;
use crate::duration::Span;
use crate::openslo::{Budgeting, Objective, Period, Slo, rounded};
use crate::write::{Group, Rule, RuleKind};
use std::collections::BTreeMap;

/// A pair of windows with the burn that both must show.
struct Pair {
    factor: f64,
    long: Span,
    short: Span,
}

const fn pair(factor: f64, long_h: u64, short_m: u64) -> Pair {
    Pair {
        factor,
        long: Span(long_h * 3_600),
        short: Span(short_m * 60),
    }
}

/// Somebody has to come now.
const PAGE: [Pair; 2] = [pair(14.4, 1, 5), pair(6.0, 6, 30)];
/// Somebody has to look in working hours.
const TICKET: [Pair; 2] = [pair(3.0, 24, 120), pair(1.0, 72, 360)];

/// The shortest window that is recorded.
const SHORTEST: Span = Span(300);
/// How long data may be missing.
const NO_DATA: Span = Span(600);
/// How often what needs the whole window is computed.
const SLOW: Span = Span(300);

/// What may differ between teams.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleOptions {
    /// Fewest bad events in the long window; 0 asks for none.
    pub min_bad_events: u64,
    /// Bounds of histograms that are known.
    pub buckets: Buckets,
}

impl Default for RuleOptions {
    fn default() -> Self {
        Self {
            min_bad_events: 10,
            buckets: Buckets::default(),
        }
    }
}

/// Writes the rules of all objectives.
///
/// # Errors
/// A code and a sentence for each threshold that is no bucket bound, and each window in
/// which nothing can be watched.
pub fn rules(
    slos: &[Slo],
    options: &RuleOptions,
) -> Result<Vec<Group>, Vec<(&'static str, String)>> {
    let mut groups = Vec::new();
    let mut wrong = Vec::new();
    for slo in slos {
        for objective in &slo.objectives {
            if let Some(why) = no_bound(slo, objective, &options.buckets) {
                wrong.push(why);
                continue;
            }
            let writer = Writer {
                slo,
                objective,
                options,
            };
            match writer.groups() {
                Ok(more) => groups.extend(more),
                Err(why) => wrong.push((code::QUERY, format!("{}: {why}", slo.name))),
            }
        }
    }
    if wrong.is_empty() {
        Ok(groups)
    } else {
        Err(wrong)
    }
}

/// A threshold that falls between two known bounds cannot be counted.
fn no_bound(slo: &Slo, objective: &Objective, buckets: &Buckets) -> Option<(&'static str, String)> {
    let (histogram, threshold) = objective.indicator.bound()?;
    let bounds = buckets.of(&histogram)?;
    (!bounds.contains(&threshold)).then(|| {
        let why = format!(
            "{}: {threshold} is no bucket bound of {histogram}, so nothing counts by it; write {}",
            slo.name,
            around(bounds, threshold)
        );
        (code::NO_BOUND, why)
    })
}

struct Writer<'s> {
    slo: &'s Slo,
    objective: &'s Objective,
    options: &'s RuleOptions,
}

impl Writer<'_> {
    fn groups(&self) -> Result<Vec<Group>, String> {
        let name = |part: &str| format!("{} {} {part}", self.slo.name, self.objective.id);
        let mut groups = vec![
            Group {
                name: name("indicator"),
                interval: None,
                rules: self.indicator()?,
            },
            Group {
                name: name("alerts"),
                interval: None,
                rules: self.alerts(),
            },
        ];
        if let Period::Rolling(period) = self.slo.period {
            let rules = self.budget(period)?;
            groups.insert(
                1,
                Group {
                    name: name("budget"),
                    interval: Some(SLOW),
                    rules,
                },
            );
        }
        Ok(groups)
    }

    fn pairs<'p>(&self, pairs: &'p [Pair]) -> impl Iterator<Item = &'p Pair> {
        let period = self.slo.period.length();
        pairs.iter().filter(move |pair| pair.long < period)
    }

    fn bad_part(&self, window: Span) -> Result<String, String> {
        let indicator = &self.objective.indicator;
        let timed = self.objective.slice.is_some() || !indicator.counts_events();
        if timed && window > SHORTEST {
            // Time is time: the mean of what was recorded is exact, and costs a fraction.
            let recorded = format!("slo:bad:ratio_rate{SHORTEST}{}", self.selector());
            return Ok(format!("avg_over_time({recorded}[{window}])"));
        }
        match (self.slo.budgeting, self.objective.slice) {
            (Budgeting::Timeslices, Some(slice)) => {
                indicator.bad_slices(window, slice.length, slice.target)
            }
            (Budgeting::RatioTimeslices, Some(slice)) => {
                indicator.mean_of_slices(window, slice.length)
            }
            _ => indicator.bad_part(window),
        }
    }

    /// Whether bad events can be told in number.
    fn counts(&self) -> bool {
        self.options.min_bad_events > 0
            && self.slo.budgeting == Budgeting::Occurrences
            && self.objective.indicator.counts_events()
    }

    fn indicator(&self) -> Result<Vec<Rule>, String> {
        let mut windows: Vec<Span> = self
            .pairs(&PAGE)
            .chain(self.pairs(&TICKET))
            .flat_map(|pair| [pair.long, pair.short])
            .collect();
        windows.push(SHORTEST);
        windows.sort();
        windows.dedup();
        let mut rules = Vec::new();
        for window in &windows {
            rules.push(self.record(
                &format!("slo:bad:ratio_rate{window}"),
                self.bad_part(*window)?,
            ));
        }
        if self.counts() {
            for pair in self.pairs(&PAGE).chain(self.pairs(&TICKET)) {
                let events = self.objective.indicator.events(pair.long)?;
                let seconds = pair.long.0;
                rules.push(self.record(
                    &format!("slo:events:increase{}", pair.long),
                    format!("{events} * {seconds}"),
                ));
            }
        }
        let budget = rounded(1.0 - self.objective.target);
        rules.push(self.record("slo:budget:ratio", format!("vector({budget})")));
        Ok(rules)
    }

    fn budget(&self, period: Span) -> Result<Vec<Rule>, String> {
        let budget = rounded(1.0 - self.objective.target);
        let spent = format!("slo:bad:ratio_rate{period}");
        let left = format!("1 - {spent}{} / {budget}", self.selector());
        let mut rules = Vec::new();
        let known = self.pairs(&PAGE).chain(self.pairs(&TICKET));
        if !known
            .flat_map(|p| [p.long, p.short])
            .any(|window| window == period)
        {
            rules.push(self.record(&spent, self.bad_part(period)?));
        }
        rules.push(self.record("slo:budget_left:ratio", left));
        Ok(rules)
    }

    fn alerts(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (kind, pairs, severity) in [
            ("Page", &PAGE, self.word("page-severity", "critical")),
            ("Ticket", &TICKET, self.word("ticket-severity", "warning")),
        ] {
            let conditions: Vec<String> =
                self.pairs(pairs).map(|pair| self.condition(pair)).collect();
            if !conditions.is_empty() {
                rules.push(self.alert(kind, &severity, conditions.join("\nor\n"), None));
            }
        }
        let five = format!("slo:bad:ratio_rate5m{}", self.selector());
        let severity = self.word("ticket-severity", "warning");
        rules.push(self.alert(
            "NoData",
            &severity,
            format!("absent({five})"),
            Some(NO_DATA),
        ));
        rules
    }

    fn condition(&self, pair: &Pair) -> String {
        let selector = self.selector();
        let limit = rounded(pair.factor * (1.0 - self.objective.target)).min(1.0);
        // A burn that no ratio can exceed fires when everything is bad.
        let sign = if limit >= 1.0 { ">=" } else { ">" };
        let burns = |window: Span| format!("slo:bad:ratio_rate{window}{selector} {sign} {limit}");
        let mut parts = vec![burns(pair.long), burns(pair.short)];
        if self.counts() {
            let Pair { long, .. } = pair;
            parts.push(format!(
                "slo:bad:ratio_rate{long}{selector} * slo:events:increase{long}{selector} >= {}",
                self.options.min_bad_events
            ));
        }
        format!("(\n  {}\n)", parts.join("\n  and\n  "))
    }

    fn alert(&self, kind: &str, severity: &str, expr: String, for_: Option<Span>) -> Rule {
        let mut labels = self.labels();
        for (key, value) in &self.slo.labels {
            let key: String = key
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            if key.starts_with(|c: char| c.is_ascii_alphabetic()) {
                labels.entry(key).or_insert_with(|| value.clone());
            }
        }
        labels.insert("severity".into(), severity.to_owned());
        let (summary, description) = self.texts(kind);
        let mut annotations = BTreeMap::from([
            ("summary".to_owned(), summary),
            ("description".to_owned(), description),
        ]);
        if let Some(url) = self.slo.annotations.get("esclusa/runbook-url") {
            annotations.insert("runbook_url".into(), url.clone());
        }
        let name: String = self
            .slo
            .name
            .split(|c: char| !c.is_ascii_alphanumeric())
            .map(capitalised)
            .collect();
        Rule {
            kind: RuleKind::Alert {
                name: format!("{name}{kind}"),
                for_,
                annotations,
            },
            expr,
            labels,
        }
    }

    /// Summary and description: those of the file, or what can be said in general.
    fn texts(&self, kind: &str) -> (String, String) {
        let slo = self.slo;
        let title = self
            .objective
            .display_name
            .as_ref()
            .or(slo.display_name.as_ref());
        let title = title.unwrap_or(&slo.name);
        if kind == "NoData" {
            return (
                format!("{title}: no data"),
                format!(
                    "Nothing is known about {title} of {} for {NO_DATA}; no other alert can fire.",
                    slo.service
                ),
            );
        }
        let pace = match kind {
            "Page" => "fast",
            _ => "steadily",
        };
        let summary = self.word(
            "summary",
            &format!("{title}: the error budget burns {pace}"),
        );
        let description = self.word(
            "description",
            &format!(
                "{{{{ $value | humanizePercentage }}}} of what {} does is bad; the objective is {} over {}.",
                slo.service,
                self.objective.id,
                slo.period.length()
            ),
        );
        (summary, description)
    }

    /// What an annotation of the file says, or else.
    fn word(&self, key: &str, otherwise: &str) -> String {
        let own = self.slo.annotations.get(&format!("esclusa/{key}"));
        own.map_or_else(|| otherwise.to_owned(), Clone::clone)
    }

    fn record(&self, name: &str, expr: String) -> Rule {
        Rule {
            kind: RuleKind::Record(name.to_owned()),
            expr,
            labels: self.labels(),
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        [
            ("service", &self.slo.service),
            ("slo", &self.slo.name),
            ("objective", &self.objective.id),
        ]
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into()
    }

    fn selector(&self) -> String {
        let parts: Vec<String> = self
            .labels()
            .iter()
            .map(|(key, value)| format!("{key}={}", serde_json::Value::String(value.clone())))
            .collect();
        format!("{{{}}}", parts.join(","))
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + chars.as_str()
    })
}
