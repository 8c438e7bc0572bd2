//! Settings of the judge that contradict each other (trap 53).

use super::{error, warning};
use crate::diagnostic as code;
use crate::sink::{Sink, child};
use esclusa_judge::{JudgeConfig, Quantile};
use esclusa_model::Fraction;

/// Checks a judge's settings; `at` is the path of their block.
pub(crate) fn check(judge: &JudgeConfig, at: &str, sink: &mut Sink<'_>) {
    alpha(judge, at, sink);
    errors(judge, at, sink);
    latency(judge, at, sink);
    times(judge, at, sink);
    super::series::check(judge, at, sink);
    super::slo::check(judge, at, sink);
    super::reach::judge(judge, at, sink);
}

fn alpha(judge: &JudgeConfig, at: &str, sink: &mut Sink<'_>) {
    let alphas = [
        ("alpha.rollback", judge.alpha.rollback),
        ("alpha.proceed", judge.alpha.proceed),
    ];
    for (key, value) in alphas {
        if value.get() <= 0.0 || value.get() > 0.5 {
            error(
                sink,
                code::JUDGE,
                &child(at, key),
                &format!("an error probability of {value} decides nothing"),
                "write one above 0 and at most 50%; usual are 1% and 5%",
            );
        }
    }
}

fn errors(judge: &JudgeConfig, at: &str, sink: &mut Sink<'_>) {
    let Some(rail) = judge.errors.never_above else {
        return;
    };
    let margins = [
        ("tolerated by comparison", judge.errors.delta),
        ("in the risk budget", judge.errors.risk_budget),
    ];
    for (what, margin) in margins {
        if rail <= margin {
            error(
                sink,
                code::JUDGE,
                &child(at, "errors.never-above"),
                &format!("the guard rail of {rail} is not above the {margin} {what}"),
                &format!("write a rail well above {margin}, or `off`"),
            );
        }
    }
}

fn latency(judge: &JudgeConfig, at: &str, sink: &mut Sink<'_>) {
    let quantiles = [
        ("p50", &judge.latency.p50),
        ("p95", &judge.latency.p95),
        ("p99", &judge.latency.p99),
    ];
    let mut lower: Option<(&str, &Quantile)> = None;
    for (name, quantile) in quantiles {
        let Some(quantile) = quantile else { continue };
        let at = child(at, &format!("latency.{name}"));
        margins(quantile, &at, sink);
        if quantile.never_above.is_some_and(|rail| rail.0 == 0) {
            error(
                sink,
                code::ZERO_TIME,
                &child(&at, "never-above"),
                "every answer takes longer than no time",
                "write the slowest that is acceptable, such as `2s`, or `off`",
            );
        }
        if let (Some(rail), Some((other, Some(below)))) =
            (quantile.never_above, lower.map(|(n, q)| (n, q.never_above)))
            && rail < below
        {
            warning(
                sink,
                code::JUDGE,
                &child(&at, "never-above"),
                &format!(
                    "{name} is never below {other}, so the rail of {below} for {other} never acts"
                ),
                &format!("write at least {below} here, or remove the other"),
            );
        }
        lower = Some((name, quantile));
    }
}

fn margins(quantile: &Quantile, at: &str, sink: &mut Sink<'_>) {
    let Quantile {
        harm, noninferior, ..
    } = quantile;
    if noninferior < harm {
        let help = twice(*harm).map_or_else(
            || "write a larger `noninferior`".to_owned(),
            |twice| format!("write `noninferior: {twice}`, or a smaller `harm`"),
        );
        error(
            sink,
            code::JUDGE,
            at,
            &format!(
                "`harm` of {harm} is above `noninferior` of {noninferior}: what is not yet harm must \
                 still count as harmless"
            ),
            &help,
        );
    } else if noninferior.get() == 0.0 {
        error(
            sink,
            code::JUDGE,
            at,
            "a margin of 0% can never be proved",
            "write how much slower is harmless, such as `noninferior: 20%`",
        );
    }
}

fn twice(fraction: Fraction) -> Option<Fraction> {
    Fraction::new(fraction.get() * 2.0).ok()
}

fn times(judge: &JudgeConfig, at: &str, sink: &mut Sink<'_>) {
    if judge.evidence.block_s == 0 || judge.evidence.block_s > 60 {
        error(
            sink,
            code::JUDGE,
            &child(at, "block-s"),
            &format!(
                "blocks of {} seconds gather no evidence in time",
                judge.evidence.block_s
            ),
            "write from 1 to 60 seconds; 5 is usual",
        );
    }
    if judge.warm_up.max_s < judge.warm_up.arm_s {
        error(
            sink,
            code::JUDGE,
            &child(at, "warm-up.max-s"),
            "a cold start is excused for less time than latency is silent anyway",
            &format!("write at least `max-s: {}`", judge.warm_up.arm_s),
        );
    }
    if judge.warm_up.decay.get() >= 1.0 {
        error(
            sink,
            code::JUDGE,
            &child(at, "warm-up.decay"),
            "a gap that did not shrink would count as a cold start",
            "write a part below 1, such as `0.75`",
        );
    }
    if judge.blind.hold.0 == 0 {
        error(
            sink,
            code::ZERO_TIME,
            &child(at, "blind.hold"),
            "the first moment without data would end the release",
            "write how long no data may arrive, such as `2m`",
        );
    }
}
