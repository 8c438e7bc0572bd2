//! Stages that see too little at the traffic that there is. Asked only where it is known.

use super::warning;
use crate::diagnostic as code;
use crate::model::Plan;
use crate::power::{Lack, StagePower, Traffic, stage_power};
use crate::sink::Sink;

pub(crate) fn check(plan: &Plan, traffic: &Traffic, sink: &mut Sink<'_>) {
    for stage in stage_power(plan, traffic) {
        if let Some(lack) = stage.lacks {
            warn(&stage, lack, traffic, sink);
        }
    }
}

fn warn(stage: &StagePower, lack: Lack, traffic: &Traffic, sink: &mut Sink<'_>) {
    let requests = stage.power.requests;
    let what = match lack {
        Lack::Requests { needed } => {
            format!("its canary gets {requests:.0} of the {needed} requests that its end asks for")
        }
        Lack::Sight => format!("{requests:.0} requests show no regression in its time"),
        Lack::Proof => {
            "a healthy version is not proved in its time, and nothing else lets it go on".to_owned()
        }
    };
    let help = stage
        .advice_in_words()
        .unwrap_or_else(|| "give it more traffic or more time".to_owned());
    warning(
        sink,
        code::POWERLESS,
        &format!("stages[{}].to", stage.stage),
        &format!(
            "at {} requests/s this stage is powerless: {what}",
            traffic.rps
        ),
        &help,
    );
}
