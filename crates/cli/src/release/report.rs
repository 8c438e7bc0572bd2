//! A release's report, in the form that somebody or something reads.

use super::pick;
use crate::args::{Report, ReportForm};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Form, Output};
use esclusa_model::Outcome;
use std::path::Path;
use std::time::Duration;

/// What a folder of reports holds of a release, and under which name.
const FILES: [(ReportForm, &str); 4] = [
    (ReportForm::Json, "report.json"),
    (ReportForm::Markdown, "report.md"),
    (ReportForm::Html, "report.html"),
    (ReportForm::Junit, "junit.xml"),
];
const POST_MORTEM: &str = "post-mortem.md";
/// How often the forms are asked for until they agree, and the pause between.
const ROUNDS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn report(
    client: &Client,
    asked: &Report,
    output: &Output,
) -> Result<Exit, Failure> {
    let id = pick::release(client, &asked.which).await?;
    let form = asked.format.unwrap_or(match output.form {
        Form::Json => ReportForm::Json,
        Form::People => ReportForm::Markdown,
    });
    let text = text(client, &id, form).await?;
    match &asked.out {
        Some(file) => {
            write(file, &text)?;
            output.say(&format!("written: {}", file.display()));
        }
        None => output.line(text.trim_end()),
    }
    Ok(Exit::Done)
}

/// Writes all forms into a folder, at the end of a wait.
pub(super) async fn into_folder(
    client: &Client,
    id: &str,
    outcome: Outcome,
    folder: &Path,
    output: &Output,
) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let back = matches!(
        outcome,
        Outcome::RolledBack | Outcome::Aborted | Outcome::RollbackFailed
    );
    for round in 1..=ROUNDS {
        let texts = all_forms(client, id, back).await?;
        // The last counts come in a moment after the end. Nothing changed between the first
        // form and now: all forms say the same.
        let json = text(client, id, ReportForm::Json).await?;
        let same = texts.first().is_some_and(|(_, first)| *first == json);
        if same || round == ROUNDS {
            for (name, text) in &texts {
                write(&folder.join(name), text)?;
            }
            if !same {
                output.say("counts were still coming in: the forms of the report may differ");
            }
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    output.say(&format!("reports are in {}", folder.display()));
    Ok(())
}

/// All forms by file name, JSON first.
async fn all_forms(
    client: &Client,
    id: &str,
    back: bool,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let post_mortem = back.then_some((ReportForm::PostMortem, POST_MORTEM));
    let mut texts = Vec::new();
    for (form, name) in FILES.into_iter().chain(post_mortem) {
        texts.push((name, text(client, id, form).await?));
    }
    Ok(texts)
}

async fn text(client: &Client, id: &str, form: ReportForm) -> Result<String, Failure> {
    let name = match form {
        ReportForm::Json => "report",
        ReportForm::Markdown => "report.md",
        ReportForm::Html => "report.html",
        ReportForm::Junit => "report.junit.xml",
        ReportForm::PostMortem => "post-mortem.md",
    };
    let path = format!("/api/v1/releases/{}/{name}", pick::path_part(id));
    if form == ReportForm::Json {
        let report: esclusa_server::report::Report = client.get(&path).await?;
        let text = serde_json::to_string_pretty(&report);
        return text
            .map(|text| text + "\n")
            .map_err(|error| Failure::internal(error.to_string()));
    }
    client.text(&path).await
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| unwritable(file, &error))
}

fn unwritable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::input(
        "ESC-0512",
        format!("{} cannot be written: {error}", file.display()),
        "name a file or folder that you may write; the release itself is not touched by this",
    )
}
