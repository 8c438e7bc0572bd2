//! Sends a canary its first requests, before any user does (CAN-15).
//!
//! They pass through the proxy, marked as ours: counted apart, never as users.

use super::{TaskContext, done, failed};
use esclusa_engine::Completion;
use esclusa_plan::Stage;
use esclusa_proxy::{SYNTHETIC_HEADER, synthetic_token};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for one answer; a cold version may take its time.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
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
            request
                .send()
                .await
                .is_ok_and(|answer| answer.status().as_u16() < 500)
        });
        sent += 1;
    }
    while let Some(answer) = answers.join_next().await {
        good += usize::from(matches!(answer, Ok(true)));
    }
    // Half is no fine line: a version that fails its warm-up fails nearly all of it.
    if sent == 0 || good * 2 < sent {
        return failed(format!(
            "{good} of {sent} warm-up requests were answered well"
        ));
    }
    done(format!("{good} of {sent} requests answered well"))
}
