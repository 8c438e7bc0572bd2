//! A script's lines: settings, times, and what happens then.

use super::verbs::{action, verb_help};
use super::{Expected, ScenarioError, Script};
use crate::action::{Action, Place, Trigger};
use crate::outside::Crash;
use crate::plans::{bare, command_dial, flags_alone, full, with_flags};
use crate::world::Story;
use esclusa_judge::BlindThen;
use esclusa_model::{Millis, Outcome};
use esclusa_plan::{HoldOrReturn, HoldThen, Plan, Requirement, Stage, Template};
use esclusa_release::Phase;

const SETTINGS: &str = "plan, first deployment, traffic command, hold, blind, lost-control, \
                        keep-warm, sign-off-by, early, downtime, run, expect";

/// A line's words; quoted ones are one word without their quotes.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted
                .split_once('"')
                .ok_or_else(|| "a quote is not closed".to_owned())?;
            words.push(word.to_owned());
            rest = after.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            words.push(word.to_owned());
            rest = after.trim_start();
        }
    }
    Ok(words)
}

pub(super) fn duration(text: &str) -> Result<Millis, String> {
    Millis::parse(text).map_err(|error| error.to_string())
}

pub(super) fn read(text: &str, plan: Option<&Plan>) -> Result<Script, ScenarioError> {
    let mut reader = Reader {
        plan: plan.cloned(),
        brought: plan.is_some(),
        first: false,
        downtime: Millis(5_000),
        actions: Vec::new(),
        lines: Vec::new(),
        run: None,
        expect: None,
    };
    for (index, line) in text.lines().enumerate() {
        let said = line.split_once('#').map_or(line, |(said, _)| said).trim();
        if said.is_empty() {
            continue;
        }
        let words = words(said).and_then(|words| reader.line(said, &words));
        words.map_err(|message| ScenarioError {
            line: index + 1,
            message,
            help: format!(
                "settings: {SETTINGS}; times: at 5s ..., when stage 2 confirmed +30s ...; {}",
                verb_help()
            ),
        })?;
    }
    let Some(plan) = reader.plan else {
        return Err(ScenarioError {
            line: 1,
            message: "no plan is named".into(),
            help: "write `plan minutes`, or bring a plan of your own with --plan".into(),
        });
    };
    Ok(Script {
        story: Story {
            plan,
            first: reader.first,
            crash: Crash::Never,
            downtime: reader.downtime,
            actions: reader.actions,
        },
        lines: reader.lines,
        run: reader.run,
        expect: reader.expect,
    })
}

struct Reader {
    plan: Option<Plan>,
    brought: bool,
    first: bool,
    downtime: Millis,
    actions: Vec<(Trigger, Action)>,
    lines: Vec<String>,
    run: Option<Millis>,
    expect: Option<Expected>,
}

impl Reader {
    fn line(&mut self, line: &str, words: &[String]) -> Result<(), String> {
        let said: Vec<&str> = words.iter().map(String::as_str).collect();
        match said.as_slice() {
            ["at", time, what @ ..] => {
                let trigger = Trigger::At(duration(time)?);
                self.happens(line, trigger, what)
            }
            ["when", rest @ ..] => {
                let (place, rest) = place(rest)?;
                let (delay, what) = match rest {
                    [delay, what @ ..] if delay.starts_with('+') => {
                        (duration(delay.trim_start_matches('+'))?, what)
                    }
                    what => (Millis::ZERO, what),
                };
                self.happens(line, Trigger::When(place, delay), what)
            }
            ["first", "deployment"] => {
                self.first = true;
                Ok(())
            }
            ["downtime", time] => {
                self.downtime = duration(time)?;
                Ok(())
            }
            ["run", time] => {
                self.run = Some(duration(time)?);
                Ok(())
            }
            ["expect", end] => {
                self.expect = Some(expected(end)?);
                Ok(())
            }
            ["plan", template, how @ ..] => self.choose_plan(template, how),
            said => match self.setting(said) {
                Some(done) => done,
                None => self.happens(line, Trigger::At(Millis::ZERO), said),
            },
        }
    }

    fn happens(&mut self, line: &str, trigger: Trigger, what: &[&str]) -> Result<(), String> {
        let action = action(what)?;
        self.actions.push((trigger, action));
        self.lines.push(line.to_owned());
        Ok(())
    }

    fn choose_plan(&mut self, template: &str, how: &[&str]) -> Result<(), String> {
        if self.brought {
            return Err("a plan was brought with --plan, so the script names none".into());
        }
        let named = Template::named(template).ok_or_else(|| {
            format!("{template:?} is no template: minutes, days, flags, blue-green")
        })?;
        self.plan = Some(match how {
            [] => bare(named),
            ["full"] => full(named),
            ["flags"] => with_flags(named),
            ["flags", "alone"] => flags_alone(named),
            _ => {
                let known =
                    "after the template's name only `full`, `flags` and `flags alone` are known";
                return Err(known.into());
            }
        });
        Ok(())
    }

    /// A setting of the plan; nothing when the words are none.
    fn setting(&mut self, said: &[&str]) -> Option<Result<(), String>> {
        let known = [
            "traffic",
            "hold",
            "blind",
            "lost-control",
            "keep-warm",
            "sign-off-by",
            "early",
        ];
        if !said.first().is_some_and(|word| known.contains(word)) {
            return None;
        }
        let Some(plan) = &mut self.plan else {
            return Some(Err("name the plan first".into()));
        };
        Some(set(plan, said))
    }
}

fn set(plan: &mut Plan, said: &[&str]) -> Result<(), String> {
    match said {
        ["traffic", "command"] => plan.traffic = command_dial(),
        ["hold", time, "then", then] => {
            plan.hold.for_ = duration(time)?;
            plan.hold.then = match *then {
                "rollback" => HoldThen::Rollback,
                "hold" => HoldThen::Hold,
                other => return Err(format!("a hold ends with rollback or hold, not {other:?}")),
            };
        }
        ["blind", time, "then", then] => {
            plan.judge.blind.hold = duration(time)?;
            plan.judge.blind.then = match *then {
                "rollback" => BlindThen::Rollback,
                "hold" => BlindThen::Hold,
                other => return Err(format!("blind leads to rollback or hold, not {other:?}")),
            };
        }
        ["lost-control", time, "then", then] => {
            let Some(route) = &mut plan.route else {
                return Err("the plan has no route".into());
            };
            route.lost_control.after = duration(time)?;
            route.lost_control.then = match *then {
                "return" => HoldOrReturn::Return,
                "hold" => HoldOrReturn::Hold,
                other => {
                    return Err(format!(
                        "lost control leads to return or hold, not {other:?}"
                    ));
                }
            };
        }
        ["keep-warm", time] => plan.keep_warm = duration(time)?,
        ["sign-off-by", role, "within", time] => plan.requires.push(Requirement::SignOff {
            roles: vec![(*role).to_owned()],
            within: duration(time)?,
            not_by_author: false,
            items: Vec::new(),
        }),
        ["early"] => {
            for stage in &mut plan.stages {
                if let Stage::Expose(expose) = stage {
                    expose.early = true;
                }
            }
        }
        _ => return Err(format!("{:?} is not complete", said.join(" "))),
    }
    Ok(())
}

fn expected(end: &str) -> Result<Expected, String> {
    let outcomes = [
        Outcome::Promoted,
        Outcome::PromotedEarly,
        Outcome::RolledBack,
        Outcome::Aborted,
        Outcome::Refused,
        Outcome::RollbackFailed,
    ];
    if end == "held" {
        return Ok(Expected::Held);
    }
    let found = outcomes
        .into_iter()
        .find(|outcome| outcome.to_string() == end);
    found
        .map(Expected::Ended)
        .ok_or_else(|| format!("{end:?} is no outcome"))
}

/// Where a release stands, and the words after it.
fn place<'a, 'b>(said: &'a [&'b str]) -> Result<(Place, &'a [&'b str]), String> {
    let phase = |phase| Ok(Place::Phase(phase));
    let (place, rest): (Result<Place, String>, &[&str]) = match said {
        ["stage", number, rest @ ..] => {
            let number: usize = number
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| format!("{number:?} is no stage's number"))?;
            match rest {
                ["confirmed", rest @ ..] => (Ok(Place::Confirmed(number - 1)), rest),
                rest => (phase(Phase::Stage(number - 1)), rest),
            }
        }
        ["canary", "checks", rest @ ..] => (phase(Phase::CanaryChecks), rest),
        ["returning", "users", rest @ ..] => (phase(Phase::Lowering), rest),
        ["handing", "back", rest @ ..] => (phase(Phase::HandingBack), rest),
        [word, rest @ ..] => {
            let place = match *word {
                "preparing" => phase(Phase::Preparing),
                "preflight" => phase(Phase::Preflight),
                "before" => phase(Phase::Before),
                "deploying" => phase(Phase::Deploying),
                "after" => phase(Phase::After),
                "hand-over" => phase(Phase::HandOver),
                "promoted" => phase(Phase::Promoted),
                "stopping" => phase(Phase::Stopping),
                "undoing" => phase(Phase::Undoing),
                "returning" => Ok(Place::Returning),
                "held" => Ok(Place::Held),
                "ended" => Ok(Place::Ended),
                other => Err(format!("{other:?} is no place in a release")),
            };
            (place, rest)
        }
        [] => (Err("when what?".into()), said),
    };
    Ok((place?, rest))
}
