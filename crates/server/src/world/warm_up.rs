//! Sends a canary its first requests, before any user does (CAN-15).
//!
//! They pass through the proxy, marked as ours: counted apart, never as users.

use super::{TaskContext, done, failed};
use esclusa_engine::Completion;
use esclusa_model::Digest;
use esclusa_plan::Stage;
use esclusa_proxy::{SYNTHETIC_HEADER, synthetic_token};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for one answer; a cold version may take its time.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for a proxy that knows the canary.
const ROUTE_LIMIT: Duration = Duration::from_secs(30);
/// Of a hundred answers so many may be bad: a first request may meet a cold cache, a
/// version that is broken answers most of them badly.
const BAD_PER_HUNDRED: usize = 10;
/// What the proxy says itself names the reason in this header; a version's answer has none.
const PROXY_SPOKE: &str = "proxy-status";
/// More requests at once than this are not sent, however slow the answers are.
const MAX_IN_FLIGHT: usize = 64;

pub(super) async fn warm_up(context: &TaskContext, index: usize) -> Completion {
    let plan = &context.release.requested.plan;
    let Some(Stage::WarmUp(warm_up)) = plan.stages.get(index) else {
        return failed("the plan has no such warm-up");
    };
    let (Some(route), Some(version)) = (&plan.route, &context.release.version) else {
        return failed("there is no route to warm the version up through");
    };
    if let Err(reason) = until_served(context, &version.digest).await {
        return failed(reason);
    }
    let token = match synthetic_token(&context.cookie_key, &version.digest) {
        Ok(token) => token,
        Err(error) => return failed(error.to_string()),
    };
    let client = match reqwest::Client::builder().timeout(ANSWER_LIMIT).build() {
        Ok(client) => client,
        Err(error) => return failed(format!("no client could be made: {error}")),
    };
    let host = route.host.clone().unwrap_or_else(|| route.listen.clone());
    let end = Instant::now() + warm_up.for_.as_std();
    let gap = Duration::from_secs_f64(1_000.0 / warm_up.rate_per_1000s.max(1) as f64);
    let mut pulse = tokio::time::interval(gap);
    let mut answers = tokio::task::JoinSet::new();
    let (mut sent, mut good) = (0_usize, 0_usize);
    let mut paths = warm_up.get.iter().cycle();
    while Instant::now() < end {
        pulse.tick().await;
        while answers.len() >= MAX_IN_FLIGHT {
            good += usize::from(matches!(answers.join_next().await, Some(Ok(true))));
        }
        let Some(path) = paths.next() else { break };
        let request = client
            .get(format!("http://{}{path}", route.listen))
            .header("host", &host)
            .header(SYNTHETIC_HEADER, &token);
        answers.spawn(async move {
            request.send().await.is_ok_and(|answer| {
                let by_version = !answer.headers().contains_key(PROXY_SPOKE);
                by_version && answer.status().as_u16() < 500
            })
        });
        sent += 1;
    }
    while let Some(answer) = answers.join_next().await {
        good += usize::from(matches!(answer, Ok(true)));
    }
    if !is_enough(sent, good) {
        return failed(format!(
            "{good} of {sent} warm-up requests were answered well by the new version"
        ));
    }
    done(format!("{good} of {sent} requests answered well"))
}

/// Whether so many good answers let users in. None at all do not.
const fn is_enough(sent: usize, good: usize) -> bool {
    sent > 0 && (sent - good) * 100 <= sent * BAD_PER_HUNDRED
}

/// Waits until the proxy serves the canary: before that it would send our requests to the
/// stable version, as if users had come.
async fn until_served(context: &TaskContext, version: &Digest) -> Result<(), String> {
    let service = &context.release.requested.service;
    let mut contact = context.shared.dataplane.contact();
    let served = contact.wait_for(|contact| {
        contact.status.as_ref().is_some_and(|(status, _)| {
            let mut load = status.load.iter();
            load.any(|load| load.service == *service && load.version == *version)
        })
    });
    match tokio::time::timeout(ROUTE_LIMIT, served).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err("the proxy's state is not known".into()),
        Err(_) => Err(format!(
            "the proxy did not take the new version's route within {} s",
            ROUTE_LIMIT.as_secs()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::is_enough;

    // CAN-15
    #[test]
    fn most_answers_must_be_good() {
        for (sent, good, enough) in [
            (0, 0, false),
            (1, 0, false),
            (1, 1, true),
            (10, 9, true),
            (10, 8, false),
            (57, 32, false),
            (100, 90, true),
            (100, 89, false),
        ] {
            assert_eq!(is_enough(sent, good), enough, "{good} of {sent}");
        }
    }
}
