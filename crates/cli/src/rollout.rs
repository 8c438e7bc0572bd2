//! `rollout`: one flag by hand, as a release of that flag alone.

use crate::args::Global;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::release::path_part;
use clap::Args;
use esclusa_model::{BasisPoints, Millis};
use esclusa_server::body::{
    Asked, CheckRollout, LowerRollout, Lowered, Reason, RolloutState, StartRelease, Started,
};
use esclusa_server::{ReleaseView, ServiceView};
use serde::Serialize;
use std::time::Duration;

/// How often it is looked whether a release that was promoted is over.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Turn one flag by hand.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  esclusa rollout exec-reports --to team --reason 'ready for us'
  esclusa rollout exec-reports --to 25% --of tenant --for 30m --reason 'quiet so far'
  esclusa rollout exec-reports --to off --reason 'reports are empty'")]
pub(crate) struct Rollout {
    /// The flag, with its variant where that is not `on`: exec-reports=compact
    #[arg(value_name = "FLAG[=VARIANT]")]
    flag: String,
    /// A share such as 25%, `off`, a segment as segment:NAME, or a word of a pipeline: team,
    /// small, 5percent, 25percent, 50percent, 100percent, all
    #[arg(long, value_name = "TO")]
    to: String,
    /// The service whose traffic is compared [default: the only one]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The environment
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: String,
    /// The attribute that names the unit of a share, such as tenant [default: that of the
    /// share that it has, else targetingKey]
    #[arg(long, value_name = "ATTRIBUTE")]
    of: Option<String>,
    /// How long it is watched before the flag set keeps it
    #[arg(long = "for", value_name = "TIME", default_value = "15m", value_parser = time)]
    watch: Millis,
    /// Why
    #[arg(long, value_name = "WORDS")]
    reason: String,
}

fn time(text: &str) -> Result<Millis, String> {
    Millis::parse(text).map_err(|error| error.to_string())
}

/// Where a flag is turned to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    Share(BasisPoints),
    Segment(String),
}

/// What was done, as data.
#[derive(Debug, Serialize)]
struct Done {
    /// The release that turns it from now on; absent where it was turned down.
    release: Option<String>,
    /// The plan of that release.
    plan: Option<String>,
    /// What was done, in words.
    done: Vec<String>,
}

pub(crate) async fn run(
    asked: &Rollout,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let to = target(&asked.to)?;
    let (flag, variant) = asked.flag.split_once('=').unwrap_or((&asked.flag, "on"));
    let client = Client::new(global)?;
    let path = format!(
        "/api/v1/rollouts/{}?variant={}&environment={}",
        path_part(flag),
        path_part(variant),
        path_part(&asked.environment)
    );
    let state: RolloutState = client.get(&path).await?;
    let reached = state.running.as_ref().map_or(0, |running| running.share_bp);
    let reached = reached.max(state.kept_bp);
    let done = match &to {
        To::Share(share) if share.get() < reached || *share == BasisPoints::ZERO => {
            let body = LowerRollout {
                flag: flag.to_owned(),
                variant: variant.to_owned(),
                environment: asked.environment.clone(),
                to_bp: share.get(),
                of: asked.of.clone(),
                reason: asked.reason.clone(),
            };
            let lowered: Lowered = client.post("/api/v1/rollouts/lower", &body).await?;
            Done {
                release: None,
                plan: None,
                done: lowered.done,
            }
        }
        To::Segment(name) if reached > 0 => {
            return Err(Failure::input(
                "ESC-0788",
                format!(
                    "{flag} reaches {} already, and segment {name} comes before shares",
                    BasisPoints::new(reached).unwrap_or_default()
                ),
                "turn it down first: `--to off`",
            ));
        }
        _ => raise(&client, asked, (flag, variant), &to, &state, output).await?,
    };
    if !output.json(&done) {
        if let Some(plan) = &done.plan {
            output.say(plan.trim_end());
        }
        for line in &done.done {
            output.say(line);
        }
        if let Some(release) = &done.release {
            output.line(release);
        }
    }
    Ok(Exit::Done)
}

async fn raise(
    client: &Client,
    asked: &Rollout,
    flag: (&str, &str),
    to: &To,
    state: &RolloutState,
    output: &Output,
) -> Result<Done, Failure> {
    if asked.reason.trim().is_empty() {
        return Err(Failure::input(
            "ESC-0408",
            "nothing is said of why",
            "say it: --reason 'quiet so far'",
        ));
    }
    let mut done = Vec::new();
    let mut goes_on = state.kept_bp > 0;
    let mut service = asked.service.clone();
    let mut running = None;
    if let Some(known) = &state.running {
        let release = of_one_stage(client, &known.release).await?;
        service.get_or_insert(release.service);
        running = Some(&known.release);
        goes_on = true;
    } else if !goes_on {
        // A segment that an earlier one left is where this one goes on from.
        goes_on = state.kept_for.iter().any(|whom| whom.contains("(release "));
    }
    let service = service_of(client, service, output).await?;
    let of = asked.of.as_ref().or(state.of.as_ref());
    let plan = plan(&service, asked, of, flag, to, goes_on);
    let check = CheckRollout {
        plan: plan.clone(),
        after: running.cloned(),
    };
    // Nothing ends for one that cannot begin.
    client
        .post_without_answer("/api/v1/rollouts/check", &check)
        .await?;
    if let Some(running) = running {
        end_at_its_share(client, running, &asked.reason).await?;
        done.push(format!("release {running} ended at its share"));
    }
    let body = StartRelease {
        plan_name: "rollout.yaml".to_owned(),
        plan: plan.clone(),
        version: None,
        base_dir: "/".to_owned(),
        on_conflict: None,
        source: None,
    };
    let started: Result<Started, Failure> = client.post("/api/v1/releases", &body).await;
    let started = started.map_err(|mut failure| {
        if failure.error.code == "ESC-0301" {
            // A rollout stands in no line, so the server's advice is none here.
            failure.error.help = "wait for it, or take it back with `esclusa release abort`; a \
                                  rollout by hand waits in no line"
                .to_owned();
        }
        failure
    })?;
    done.push("started; see `esclusa release watch`".to_owned());
    Ok(Done {
        release: Some(started.release),
        plan: Some(plan),
        done,
    })
}

/// A running release, unless it goes stage by stage.
async fn of_one_stage(client: &Client, release: &str) -> Result<ReleaseView, Failure> {
    let path = format!("/api/v1/releases/{}", path_part(release));
    let view: ReleaseView = client.get(&path).await?;
    if view.stages.len() > 1 {
        return Err(Failure::input(
            "ESC-0788",
            format!("release {release} turns this flag by a plan of its own, stage by stage"),
            "move that one: `esclusa release promote`, `skip` or `abort`",
        ));
    }
    Ok(view)
}

/// A running release is passed through its gate, so that the flag set keeps its share.
async fn end_at_its_share(client: &Client, release: &str, reason: &str) -> Result<(), Failure> {
    let path = format!("/api/v1/releases/{}", path_part(release));
    let body = Reason {
        reason: reason.to_owned(),
    };
    let _: Asked = client.post(&format!("{path}/promote"), &body).await?;
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now: ReleaseView = client.get(&path).await?;
        match now.outcome.as_deref() {
            Some("promoted" | "promoted_early") => return Ok(()),
            Some(outcome) => {
                let why = now.reason.unwrap_or_default();
                return Err(Failure::input(
                    "ESC-0788",
                    format!("release {release} ended {outcome} meanwhile: {why}"),
                    "look at it before you go on: `esclusa release status`",
                ));
            }
            None if tokio::time::Instant::now() >= until => {
                return Err(Failure::input(
                    "ESC-0788",
                    format!("release {release} did not end within a minute"),
                    "look at what it waits for: `esclusa release status`",
                ));
            }
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// The service whose traffic is compared. One that nobody has heard of may be meant, or
/// mistyped: that is said.
async fn service_of(
    client: &Client,
    named: Option<String>,
    output: &Output,
) -> Result<String, Failure> {
    let services: Vec<ServiceView> = client.get("/api/v1/services").await?;
    if let Some(named) = named {
        if !services.iter().any(|known| known.service == named) {
            output.say(&format!(
                "note: no service {named} is known: nothing compares its traffic, and it is \
                 known from now on"
            ));
        }
        return Ok(named);
    }
    match services.as_slice() {
        [only] => Ok(only.service.clone()),
        all => {
            let names: Vec<&str> = all.iter().map(|one| one.service.as_str()).collect();
            Err(Failure::input(
                "ESC-0788",
                "no service is named whose traffic is compared",
                match names.is_empty() {
                    true => "name it: --service NAME; it need not be known yet".to_owned(),
                    false => format!("name one: --service {}", names.join(" or ")),
                },
            ))
        }
    }
}

/// The plan of a rollout by hand: one stage, and a person decides where nobody can see.
fn plan(
    service: &str,
    asked: &Rollout,
    of: Option<&String>,
    (flag, variant): (&str, &str),
    to: &To,
    goes_on: bool,
) -> String {
    let of = of.map(|of| format!("\n  of: {of}"));
    let allow = if goes_on { "\n  allow-on: true" } else { "" };
    let stage = match to {
        To::Share(BasisPoints::FULL) => format!("{{ to: 100%, watch: {} }}", asked.watch),
        To::Share(share) => format!("{{ to: {share}, for: {} }}", asked.watch),
        To::Segment(name) => format!("{{ to: {{ segment: {name} }}, for: {} }}", asked.watch),
    };
    format!(
        "esclusa: 1\nservice: {service}\nflags:\n  set: {{ {flag}: {variant} }}\n  \
         environment: {}{}{allow}\njudge: {{ blind: {{ then: hold }} }}\nstages:\n  \
         - {stage}\n",
        asked.environment,
        of.unwrap_or_default(),
    )
}

/// Shares, and the words that pipelines have for them.
fn target(text: &str) -> Result<To, Failure> {
    let share = |bp: u16| Ok(To::Share(BasisPoints::new(bp).unwrap_or_default()));
    match text {
        "off" | "none" => return share(0),
        "5percent" => return share(500),
        "25percent" => return share(2_500),
        "50percent" => return share(5_000),
        "100percent" | "all" => return share(10_000),
        "team" | "small" => return Ok(To::Segment(text.to_owned())),
        _ => {}
    }
    if let Some(name) = text
        .strip_prefix("segment:")
        .filter(|name| !name.is_empty())
    {
        return Ok(To::Segment(name.to_owned()));
    }
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok());
    let whole = number
        .map(|number| number * 100.0)
        .filter(|bp| (0.0..=10_000.0).contains(bp) && (bp - bp.round()).abs() < 1e-6);
    // In range, so nothing is cut off.
    if let Some(bp) = whole {
        return share(bp.round() as u16);
    }
    Err(Failure::input(
        "ESC-0787",
        format!("{text:?} says nothing of whom the flag reaches"),
        "write a share such as 25%, off, segment:NAME, or one of team, small, 5percent, \
         25percent, 50percent, 100percent, all",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(to: &str, of: Option<&str>) -> Rollout {
        Rollout {
            flag: "exec-reports".into(),
            to: to.into(),
            service: None,
            environment: "production".into(),
            of: of.map(str::to_owned),
            watch: Millis::from_secs(900),
            reason: "why not".into(),
        }
    }

    // ROL-05: every phase word of a pipeline, and nothing that looks like one.
    #[test]
    fn words_of_pipelines_are_understood() {
        for (text, bp) in [
            ("off", 0),
            ("0%", 0),
            ("5percent", 500),
            ("25%", 2_500),
            ("12.5%", 1_250),
            ("50percent", 5_000),
            ("100percent", 10_000),
            ("all", 10_000),
        ] {
            assert_eq!(
                target(text).ok(),
                Some(To::Share(BasisPoints::new(bp).expect("a share")))
            );
        }
        for (text, name) in [
            ("team", "team"),
            ("small", "small"),
            ("segment:beta", "beta"),
        ] {
            assert_eq!(target(text).ok(), Some(To::Segment(name.into())));
        }
        for text in [
            "",
            "phase5",
            "25",
            "101%",
            "-5%",
            "segment:",
            "5 percent",
            "1.234%",
        ] {
            let failure = target(text).expect_err(text);
            assert_eq!(failure.error.code, "ESC-0787");
            assert!(
                failure.error.help.contains("team, small, 5percent"),
                "{text}"
            );
        }
    }

    // ROL-05: what it writes is a plan.
    #[test]
    fn the_plan_it_writes_is_accepted() {
        for to in ["25%", "all", "team"] {
            for of in [None, Some("tenant")] {
                let asked = asked(to, of);
                let to = target(to).expect("understood");
                let of_asked = asked.of.as_ref();
                let text = plan("shop", &asked, of_asked, ("exec-reports", "on"), &to, true);
                let source = esclusa_plan::SourceFile::new("rollout.yaml", text.clone());
                let parsed = esclusa_plan::parse(&source, &esclusa_drivers::catalog());
                let parsed = parsed.unwrap_or_else(|found| panic!("{text}{found:?}"));
                let flags = parsed.plan.flags_alone().expect("flags alone");
                assert_eq!((flags.of.as_deref(), flags.allow_on), (of, true));
            }
        }
    }
}
