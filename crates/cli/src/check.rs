//! `check`: the plan's requirements that need no canary, asked from here.
//!
//! Unknown is not a pass, and neither is nothing asked. Flags that the plan turns are the
//! server's to know.

use crate::args::{Check, Global};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::place::{PlanText, read_plan};
use crate::plan::accepted;
use crate::table::one_line;
use esclusa_drivers::Placeholders;
use esclusa_drivers::check::{CheckContext, check};
use esclusa_model::{CheckStatus, Millis, Outcome};
use esclusa_plan::{DriverUse, FlagTurns, Requirement};
use esclusa_server::ErrorKind;
use esclusa_server::body::CheckRollout;
use serde::Serialize;
use std::collections::BTreeMap;

/// One requirement and its answer.
#[derive(Debug, Serialize)]
struct Answer {
    name: String,
    /// `pass`, `fail`, `unknown`, or `later` for what cannot be asked yet.
    status: &'static str,
    message: String,
}

pub(crate) async fn run(asked: Check, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let text = read_plan(&asked.plan)?;
    let Some(parsed) = accepted(&text, output) else {
        return Ok(Exit::BadInput);
    };
    let plan = parsed.plan;
    let mut placeholders = Placeholders::new().with("service", plan.service.to_string());
    if let Some(version) = &asked.version {
        placeholders = placeholders.with("version", version);
    }
    let env = BTreeMap::from([("ESCLUSA_SERVICE".to_owned(), plan.service.to_string())]);
    let mut answers = Vec::new();
    if let Some(flags) = &plan.flags {
        answers.push(turnable(flags, &text, global).await);
    }
    for requirement in &plan.requires {
        answers.push(match requirement {
            Requirement::Check {
                name,
                check,
                timeout,
                needs_canary: false,
            } => {
                let context = context(&text, &placeholders, &env, *timeout);
                ask(name, check, &context).await
            }
            Requirement::Check { name, .. } => later(name, "asked once the canary runs"),
            Requirement::SignOff { roles, .. } => later(
                &format!("sign-off by {}", roles.join(", ")),
                "people are asked at the start",
            ),
        });
    }
    Ok(tell(&answers, output))
}

/// Whether the server's flags can be turned as the plan says: known, off for everybody, and
/// killed by nobody.
async fn turnable(flags: &FlagTurns, text: &PlanText, global: &Global) -> Answer {
    let name = format!("flags: {flags} in {}", flags.environment);
    let (status, message) = match ask_server(text, global).await {
        Ok(()) => ("pass", "known, and off for everybody".to_owned()),
        Err(failure) => {
            let error = failure.error;
            let answered = matches!(
                error.kind,
                ErrorKind::BadInput | ErrorKind::Conflict | ErrorKind::NotFound
            );
            let status = if answered { "fail" } else { "unknown" };
            (status, format!("{} ({})", error.message, error.help))
        }
    };
    Answer {
        name,
        status,
        message,
    }
}

async fn ask_server(text: &PlanText, global: &Global) -> Result<(), Failure> {
    let body = CheckRollout {
        plan: text.text.clone(),
        after: None,
    };
    let client = Client::new(global)?;
    client
        .post_without_answer("/api/v1/rollouts/check", &body)
        .await
}

fn context(
    text: &PlanText,
    placeholders: &Placeholders,
    env: &BTreeMap<String, String>,
    timeout: Millis,
) -> CheckContext {
    CheckContext {
        placeholders: placeholders.clone(),
        env: env.clone(),
        cwd: text.base_dir.clone(),
        timeout,
    }
}

async fn ask(name: &str, driver: &DriverUse, context: &CheckContext) -> Answer {
    let (status, message) = match check(&driver.driver, &driver.config) {
        Ok(check) => {
            let result = check.ask(context).await;
            (result.status, result.message)
        }
        Err(error) => (CheckStatus::Unknown, error.to_string()),
    };
    let status = match status {
        CheckStatus::Pass => "pass",
        CheckStatus::Fail => "fail",
        CheckStatus::Unknown => "unknown",
    };
    Answer {
        name: name.to_owned(),
        status,
        message,
    }
}

fn later(name: &str, why: &str) -> Answer {
    Answer {
        name: name.to_owned(),
        status: "later",
        message: why.to_owned(),
    }
}

fn tell(answers: &[Answer], output: &Output) -> Exit {
    let asked = answers
        .iter()
        .filter(|answer| answer.status != "later")
        .count();
    let passed = answers
        .iter()
        .filter(|answer| answer.status == "pass")
        .count();
    let go = asked > 0 && passed == asked;
    let done = if go {
        Exit::Done
    } else {
        Exit::Outcome(Outcome::Refused)
    };
    if output.json(&serde_json::json!({ "go": go, "asked": asked, "checks": answers })) {
        return done;
    }
    for answer in answers {
        let tone = match answer.status {
            "pass" => Tone::Good,
            "fail" => Tone::Bad,
            "unknown" => Tone::Warn,
            _ => Tone::Quiet,
        };
        let status = output.colour.paint(tone, &format!("{:7}", answer.status));
        output.line(&format!(
            "{status} {}: {}",
            answer.name,
            one_line(&answer.message)
        ));
    }
    if asked == 0 {
        output.say("nothing could be asked before a canary runs; that is not a pass");
    } else {
        output.say(&format!("{passed} of {asked} passed"));
    }
    done
}
