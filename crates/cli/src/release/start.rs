//! `release start`.

use super::checkout;
use super::follow::{Show, follow, words};
use super::report;
use crate::args::{OnConflict, Start};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::findings;
use crate::output::{Form, Output};
use crate::place::read_plan;
use esclusa_model::VersionName;
use esclusa_plan::SourceFile;
use esclusa_server::body::{Conflict, StartRelease, Started};

impl From<OnConflict> for Conflict {
    fn from(how: OnConflict) -> Self {
        match how {
            OnConflict::Refuse => Self::Refuse,
            OnConflict::Queue => Self::Queue,
            OnConflict::Supersede => Self::Supersede,
        }
    }
}

pub(super) async fn start(client: &Client, asked: Start, output: &Output) -> Result<Exit, Failure> {
    let plan = read_plan(&asked.plan)?;
    let version = asked.version.map(VersionName::new).transpose();
    let version = version.map_err(|error| {
        Failure::input(
            "ESC-0507",
            error.to_string(),
            "give --version a name such as 2.4.1",
        )
    })?;
    let base_dir = plan.base_dir.to_str().ok_or_else(|| {
        Failure::input(
            "ESC-0502",
            "the plan's folder is not UTF-8",
            "move the plan elsewhere",
        )
    })?;
    let source = SourceFile::new(plan.name.clone(), plan.text.clone());
    // A plan that is wrong is refused by the server, with all that is wrong.
    let parsed = esclusa_plan::parse(&source, &esclusa_drivers::catalog()).ok();
    let service = parsed.map(|parsed| parsed.plan.service.to_string());
    let source = checkout::source(client, service.as_deref(), &plan.base_dir).await;
    let body = StartRelease {
        plan_name: plan.name.clone(),
        plan: plan.text.clone(),
        version,
        base_dir: base_dir.to_owned(),
        on_conflict: asked.on_conflict.map(Into::into),
        source,
    };
    let started: Started = match client.post("/api/v1/releases", &body).await {
        Ok(started) => started,
        Err(mut failure) => {
            // Findings of the plan are shown in it; what is said of the flags is words.
            let mut details = std::mem::take(&mut failure.error.details);
            if output.form == Form::Json || details.iter().any(serde_json::Value::is_string) {
                std::mem::swap(&mut failure.error.details, &mut details);
            }
            if !details.is_empty() {
                let source = SourceFile::new(plan.name, plan.text);
                findings::print_values(&details, &source, output);
            }
            return Err(failure.refusing());
        }
    };
    if !asked.wait {
        if !output.json(&started) {
            output.line(&started.release);
            output.say(if started.queued {
                "in line; see `esclusa release watch`"
            } else {
                "started; see `esclusa release watch`"
            });
        }
        return Ok(Exit::Done);
    }
    let show = if output.form == Form::Json {
        Show::Talk
    } else {
        Show::Lines
    };
    if output.form == Form::People {
        output.say(&format!("release {}", started.release));
    }
    let waited = follow(client, &started.release, asked.timeout, show, output).await?;
    if let Some(folder) = &asked.reports {
        let outcome = waited.outcome;
        let written = report::into_folder(client, &waited.release, outcome, folder, output);
        if let Err(failure) = Box::pin(written).await {
            // The exit code tells how the release ended, whatever became of its report.
            output.failure(&failure);
        }
    }
    if !output.json(&waited) {
        output.say(&words(&waited));
    }
    Ok(Exit::Outcome(waited.outcome))
}
