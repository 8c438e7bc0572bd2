//! What can happen, in words: the verbs of the command line and the faults of the world.

use super::read::duration;
use crate::action::{Action, Flow, Verb};
use crate::dial::DialMood;
use crate::fact::PointKind;
use crate::store::StoreMode;
use crate::watch::Mood;
use crate::work::{Answer, AnswerEnd, Delivery};
use esclusa_engine::Command;
use esclusa_model::{BasisPoints, VersionName};
use esclusa_plan::OnConflict;
use esclusa_release::Task;

/// All verbs, for whoever wrote none of them.
pub(super) const fn verb_help() -> &'static str {
    "people: start, pause, resume, skip, promote, abort, rollback, sign-off; \
     the world: judge, counts, store, crash, second controller, dial, proxy, clock jumps, \
     task, cancelled work"
}

/// The action that these words name.
pub(super) fn action(said: &[&str]) -> Result<Action, String> {
    // A plan may want that somebody else agrees than who asked.
    if let ["sign-off", "--role", role, "--by", who] = said {
        let verb = verb(&["sign-off", "--role", role])?;
        let verb = verb.ok_or_else(|| "sign-off is not complete".to_owned())?;
        return Ok(Action::Person((*who).to_owned(), verb));
    }
    if let Some(verb) = verb(said)? {
        return Ok(Action::Person("ana".into(), verb));
    }
    match said {
        ["judge", mood, words @ ..] => judge(mood, words),
        ["counts", "stop"] => Ok(Action::Counts(Flow::Stops)),
        ["counts", "return"] => Ok(Action::Counts(Flow::Flows)),
        ["store", "full"] => Ok(Action::Store(StoreMode::Full)),
        ["store", "dead"] => Ok(Action::Store(StoreMode::Dead)),
        ["store", "back"] => Ok(Action::Store(StoreMode::Works)),
        ["crash"] => Ok(Action::Crash(esclusa_model::Millis(5_000))),
        ["crash", "for", time] => Ok(Action::Crash(duration(time)?)),
        ["crash", side, what] => crash_at(side, what),
        ["second", "controller"] => Ok(Action::SecondController),
        ["old", "controller", "ends"] => Ok(Action::OldControllerEnds),
        ["dial", mood @ ..] => Ok(Action::Dial(dial(mood)?)),
        ["proxy", "cut", "off"] => Ok(Action::Link(Flow::Stops)),
        ["proxy", "back"] => Ok(Action::Link(Flow::Flows)),
        ["proxy", "restarts"] => Ok(Action::ProxyRestarts),
        ["clock", "jumps", by] => clock(by),
        ["task", name, how @ ..] => task(name, how),
        ["cancelled", "work", "hangs"] => Ok(Action::CancelTakes(None)),
        ["cancelled", "work", "takes", time] => Ok(Action::CancelTakes(Some(duration(time)?))),
        _ => Err(format!("{:?} is nothing that can happen", said.join(" "))),
    }
}

fn verb(said: &[&str]) -> Result<Option<Verb>, String> {
    let reason = |rest: &[&str]| match rest {
        [] => Ok(String::new()),
        ["--reason", words] => Ok((*words).to_owned()),
        _ => Err("only --reason \"...\" may follow".to_owned()),
    };
    Ok(Some(match said {
        ["start", version, rest @ ..] => {
            let how = match rest {
                [] | ["--on-conflict", "refuse"] => OnConflict::Refuse,
                ["--on-conflict", "queue"] => OnConflict::Queue,
                ["--on-conflict", "supersede"] => OnConflict::Supersede,
                _ => return Err("only --on-conflict refuse, queue or supersede may follow".into()),
            };
            let version = VersionName::new(*version).map_err(|error| error.to_string())?;
            Verb::Start(version, how)
        }
        ["pause"] => Verb::Plain(Command::Pause),
        ["resume"] => Verb::Plain(Command::Resume),
        ["skip"] => Verb::Plain(Command::Skip),
        ["promote"] => Verb::Plain(Command::Promote),
        ["abort", rest @ ..] => Verb::Plain(Command::Abort {
            reason: reason(rest)?,
        }),
        ["rollback", rest @ ..] => Verb::Rollback(reason(rest)?),
        ["sign-off", "--role", role] => Verb::Plain(Command::SignOff {
            role: (*role).to_owned(),
            comment: String::new(),
            items: Vec::new(),
            hands: Vec::new(),
        }),
        _ => return Ok(None),
    }))
}

fn judge(mood: &str, words: &[&str]) -> Result<Action, String> {
    let mood = match mood {
        "quiet" => Mood::Quiet,
        "proceed" => Mood::Proved,
        "hold" => Mood::Few,
        "unproven" => Mood::Unproven,
        "rollback" => Mood::Bad,
        "silent" => Mood::Silent,
        other => {
            return Err(format!(
                "a judge says quiet, proceed, hold, unproven, rollback or is silent, not {other:?}"
            ));
        }
    };
    match words {
        [] => Ok(Action::Judge(mood, None)),
        [words] => Ok(Action::Judge(mood, Some((*words).to_owned()))),
        _ => Err("put the judge's words in quotes".into()),
    }
}

fn crash_at(side: &str, what: &str) -> Result<Action, String> {
    let kind = match (side, what) {
        ("before", "record") => PointKind::BeforeRecord,
        ("after", "record") => PointKind::AfterRecord,
        ("before", "act") => PointKind::BeforeAct,
        ("after", "act") => PointKind::AfterAct,
        _ => return Err("a controller dies before or after record or act".into()),
    };
    Ok(Action::CrashAt(kind))
}

fn dial(said: &[&str]) -> Result<DialMood, String> {
    let share = |text: &str| {
        BasisPoints::parse_percent(text)
            .map(BasisPoints::get)
            .map_err(|error| error.to_string())
    };
    Ok(match said {
        ["obeys"] => DialMood::Obeys,
        ["coarse"] => DialMood::Coarse,
        ["hangs"] => DialMood::Hangs,
        ["lies"] => DialMood::Lies,
        ["takes", time] => DialMood::Slow(duration(time)?),
        ["not", "above", most] => DialMood::NotAbove(share(most)?),
        ["not", "below", least] => DialMood::NotBelow(share(least)?),
        ["overshoots", by] => DialMood::Over(share(by)?),
        ["shows", shown] => DialMood::Shows(share(shown)?),
        _ => {
            return Err(
                "a dial obeys, is coarse, hangs, lies, takes 20s, is not above 5%, not below 5%, \
                 overshoots 1% or shows 0%"
                    .into(),
            );
        }
    })
}

fn clock(by: &str) -> Result<Action, String> {
    let (sign, length) = match (by.strip_prefix('+'), by.strip_prefix('-')) {
        (Some(length), _) => (1, length),
        (_, Some(length)) => (-1, length),
        _ => return Err("a clock jumps +1h or -1h".into()),
    };
    let length = i64::try_from(duration(length)?.0).unwrap_or(i64::MAX / 1_000);
    Ok(Action::ClockJumps(sign * length.saturating_mul(1_000)))
}

fn task(name: &str, how: &[&str]) -> Result<Action, String> {
    let task = Task::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let mut answers = Vec::new();
    for said in how.split(|word| *word == "then") {
        answers.push(answer(said)?);
    }
    Ok(Action::Answers(task, answers))
}

fn answer(said: &[&str]) -> Result<Answer, String> {
    let because = |words: &[&str]| words.join(" ");
    let of = |end, delivery| Answer {
        delivery,
        ..Answer::new(end)
    };
    Ok(match said {
        ["done"] => of(AnswerEnd::Done, Delivery::Once),
        ["hangs"] => of(AnswerEnd::Hangs, Delivery::Once),
        ["fails"] => of(AnswerEnd::Fails("exit 1".into()), Delivery::Once),
        ["fails", words @ ..] => of(AnswerEnd::Fails(because(words)), Delivery::Once),
        ["unknown"] => of(AnswerEnd::Unknown("no answer".into()), Delivery::Once),
        ["unknown", words @ ..] => of(AnswerEnd::Unknown(because(words)), Delivery::Once),
        ["lost"] => of(AnswerEnd::Done, Delivery::Lost),
        ["twice"] => of(AnswerEnd::Done, Delivery::Twice),
        ["late", time] => of(AnswerEnd::Done, Delivery::Late(duration(time)?)),
        ["takes", time] => Answer {
            takes: duration(time)?,
            ..Answer::new(AnswerEnd::Done)
        },
        _ => {
            return Err(
                "a task is done, fails, unknown, hangs, lost, twice, late 5s, takes 5s; several \
                 tries are joined with `then`"
                    .into(),
            );
        }
    })
}
