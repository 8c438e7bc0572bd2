//! Draws a story from a seed: a plan, faults with their beginning and end, what people
//! do meanwhile, and where the controller dies.

use crate::action::{Action, Flow, Place, Trigger, Verb};
use crate::dial::DialMood;
use crate::dice::Dice;
use crate::fact::PointKind;
use crate::outside::Crash;
use crate::plans::{bare, command_dial, flags_alone, full, literal, with_flags};
use crate::store::StoreMode;
use crate::watch::Mood;
use crate::work::{Answer, AnswerEnd, Delivery};
use crate::world::Story;
use esclusa_engine::Command;
use esclusa_judge::BlindThen;
use esclusa_model::Millis;
use esclusa_plan::{HoldOrReturn, HoldThen, OnConflict, Plan, Requirement, Stage, Template};
use esclusa_release::{Phase, Task};

const MINUTE: u64 = 60_000;
/// Somewhere a controller's boundaries of a usual story end.
const BOUNDARIES: u64 = 130;

/// The story of a seed.
pub(crate) fn story(dice: &mut Dice) -> Story {
    let plan = plan(dice);
    let first = dice.percent(12);
    let mut drawn = Drawn {
        external: plan.traffic.driver != "proxy",
        stages: plan.stages.len(),
        actions: vec![start(
            "2.4.1",
            OnConflict::Refuse,
            Trigger::At(Millis::ZERO),
        )],
    };
    for _ in 0..dice.below(5) {
        drawn.fault(dice);
    }
    for _ in 0..dice.below(3) {
        drawn.work(dice, &plan);
    }
    for _ in 0..dice.below(4) {
        drawn.person(dice);
    }
    if dice.percent(15) {
        let how = dice.pick(&[OnConflict::Queue, OnConflict::Supersede, OnConflict::Refuse]);
        let when = drawn.moment(dice);
        let how = how.copied().unwrap_or_default();
        drawn.actions.push(start("2.4.2", how, when));
    }
    if dice.percent(30) {
        let after = Millis(dice.between(0, 90 * MINUTE));
        let rollback = Verb::Rollback("it was not good after all".into());
        let by_ana = Action::Person("ana".into(), rollback);
        let when = Trigger::When(Place::Ended, after);
        drawn.actions.push((when, by_ana));
    }
    let crash = if dice.percent(60) {
        Crash::At(dice.between(1, BOUNDARIES))
    } else {
        Crash::Never
    };
    Story {
        plan,
        first,
        crash,
        downtime: span(dice),
        actions: drawn.actions,
    }
}

fn start(version: &'static str, how: OnConflict, when: Trigger) -> (Trigger, Action) {
    let verb = Verb::Start(literal(version), how);
    (when, Action::Person("ana".into(), verb))
}

/// From nothing to hours, mostly short.
fn span(dice: &mut Dice) -> Millis {
    let most = dice.pick(&[0, 2_000, 30_000, 3 * MINUTE, 40 * MINUTE, 5 * 60 * MINUTE]);
    let most = most.copied().unwrap_or_default();
    Millis(dice.between(0, most))
}

/// Flags, with a version or alone.
fn flags_plan(dice: &mut Dice, template: Template) -> Plan {
    let mut plan = if dice.percent(70) {
        flags_alone(template)
    } else {
        with_flags(template)
    };
    if dice.percent(50) {
        plan.hold.for_ = Millis(30 * MINUTE);
    }
    if dice.percent(30) {
        plan.keep_warm = Millis(60 * MINUTE);
    }
    if plan.flags_alone().is_some() && dice.percent(30) {
        // Flags may stay with some.
        plan.stages.pop();
    }
    plan
}

fn plan(dice: &mut Dice) -> Plan {
    let template = dice.pick(&Template::ALL).copied();
    let template = template.unwrap_or(Template::Minutes);
    let mut plan = if dice.percent(10) {
        return flags_plan(dice, template);
    } else if dice.percent(70) {
        full(template)
    } else {
        bare(template)
    };
    if dice.percent(20) {
        plan.traffic = command_dial();
    }
    if dice.percent(15) {
        plan.requires.push(Requirement::SignOff {
            roles: vec!["tech-lead".into()],
            within: Millis(60 * MINUTE),
            not_by_author: false,
            items: Vec::new(),
        });
    }
    if dice.percent(50) {
        plan.hold.for_ = Millis(30 * MINUTE);
    }
    if dice.percent(20) {
        plan.hold.then = HoldThen::Hold;
    }
    if dice.percent(20) {
        plan.judge.blind.then = BlindThen::Hold;
    }
    if dice.percent(30) {
        plan.keep_warm = Millis(60 * MINUTE);
    }
    if let Some(route) = &mut plan.route
        && dice.percent(20)
    {
        route.lost_control.then = HoldOrReturn::Hold;
    }
    let early = dice.percent(20);
    for stage in &mut plan.stages {
        if let Stage::Expose(expose) = stage {
            expose.early = early;
            if dice.percent(10) {
                expose.budget = Some(Millis(expose.for_.0 + MINUTE));
            }
        }
    }
    plan
}

struct Drawn {
    external: bool,
    stages: usize,
    actions: Vec<(Trigger, Action)>,
}

impl Drawn {
    fn stage(&self, dice: &mut Dice) -> usize {
        let stages = u64::try_from(self.stages).unwrap_or(1);
        usize::try_from(dice.below(stages)).unwrap_or(0)
    }

    fn moment(&self, dice: &mut Dice) -> Trigger {
        let stage = self.stage(dice);
        let place = match dice.below(9) {
            0..=2 => Place::Events(usize::try_from(dice.between(1, 70)).unwrap_or(1)),
            3 | 4 => Place::Confirmed(stage),
            5 => Place::Phase(Phase::Stage(stage)),
            6 => {
                let phases = [
                    Phase::Before,
                    Phase::Deploying,
                    Phase::After,
                    Phase::HandOver,
                    Phase::Lowering,
                    Phase::Stopping,
                    Phase::Undoing,
                ];
                Place::Phase(dice.pick(&phases).copied().unwrap_or(Phase::Deploying))
            }
            7 => Place::Returning,
            _ => Place::Held,
        };
        Trigger::When(place, span(dice))
    }

    /// An action, and the one that ends it, as long after it as was drawn.
    fn pair(&mut self, dice: &mut Dice, begin: Action, end: Action) {
        let when = self.moment(dice);
        let later = match &when {
            Trigger::When(place, after) => {
                Trigger::When(*place, Millis(after.0 + 1 + span(dice).0))
            }
            Trigger::At(after) => Trigger::At(Millis(after.0 + 1 + span(dice).0)),
        };
        self.actions.push((when, begin));
        self.actions.push((later, end));
    }

    fn fault(&mut self, dice: &mut Dice) {
        match dice.below(11) {
            0 | 1 => {
                let modes = [StoreMode::Full, StoreMode::Dead];
                let mode = dice.pick(&modes).copied().unwrap_or(StoreMode::Dead);
                let begin = Action::Store(mode);
                self.pair(dice, begin, Action::Store(StoreMode::Works));
            }
            2 => {
                let when = self.moment(dice);
                let down = span(dice);
                self.actions.push((when, Action::Crash(down)));
            }
            3 => {
                let kinds = [
                    PointKind::BeforeRecord,
                    PointKind::AfterRecord,
                    PointKind::BeforeAct,
                    PointKind::AfterAct,
                ];
                let when = self.moment(dice);
                let kind = dice.pick(&kinds).copied();
                let kind = kind.unwrap_or(PointKind::BeforeRecord);
                self.actions.push((when, Action::CrashAt(kind)));
            }
            4 | 5 => self.judge(dice),
            6 => self.pair(
                dice,
                Action::Counts(Flow::Stops),
                Action::Counts(Flow::Flows),
            ),
            7 if self.external => {
                let mood = dial_mood(dice);
                self.pair(dice, Action::Dial(mood), Action::Dial(DialMood::Obeys));
            }
            7 | 8 if !self.external => {
                self.pair(dice, Action::Link(Flow::Stops), Action::Link(Flow::Flows));
            }
            9 if !self.external => {
                self.pair(dice, Action::SecondController, Action::OldControllerEnds);
            }
            10 => {
                let far = i64::try_from(span(dice).0).unwrap_or(0) * 1_000;
                let by = if dice.percent(50) { far } else { -far };
                let when = self.moment(dice);
                self.actions.push((when, Action::ClockJumps(by)));
            }
            _ => {
                let when = self.moment(dice);
                self.actions.push((when, Action::ProxyRestarts));
            }
        }
    }

    fn judge(&mut self, dice: &mut Dice) {
        let moods = [
            Mood::Quiet,
            Mood::Proved,
            Mood::Few,
            Mood::Unproven,
            Mood::Bad,
            Mood::Bad,
            Mood::Silent,
        ];
        let mood = dice.pick(&moods).cloned().unwrap_or(Mood::Bad);
        let begin = Action::Judge(mood, None);
        self.pair(dice, begin, Action::Judge(Mood::Quiet, None));
    }

    /// A task does something else than it should.
    fn work(&mut self, dice: &mut Dice, plan: &Plan) {
        if dice.percent(10) {
            let takes = dice.percent(50).then(|| span(dice));
            let now = Trigger::At(Millis::ZERO);
            self.actions.insert(0, (now, Action::CancelTakes(takes)));
            return;
        }
        let mut tasks = vec![
            Task::Prepare,
            Task::Deploy,
            Task::HandOver,
            Task::HandBack,
            Task::StopCanary,
            Task::WarmUp(0),
        ];
        tasks.extend((0..plan.requires.len()).map(Task::Check));
        tasks.extend((0..plan.before.len()).flat_map(|i| [Task::Before(i), Task::UndoBefore(i)]));
        tasks.extend((0..plan.after.len()).flat_map(|i| [Task::After(i), Task::UndoAfter(i)]));
        let Some(task) = dice.pick(&tasks).copied() else {
            return;
        };
        let mut answers = vec![answer(dice)];
        if dice.percent(50) {
            answers.push(Answer::new(AnswerEnd::Done));
        }
        let now = Trigger::At(Millis::ZERO);
        self.actions
            .insert(0, (now, Action::Answers(task, answers)));
    }

    fn person(&mut self, dice: &mut Dice) {
        let verb = match dice.below(12) {
            0 => Verb::Plain(Command::Pause),
            1 | 2 => Verb::Plain(Command::Resume),
            3 | 4 => Verb::Plain(Command::Skip),
            5 | 6 => Verb::Plain(Command::Promote),
            7 | 8 => Verb::Plain(Command::Abort {
                reason: String::new(),
            }),
            9 => Verb::Rollback(String::new()),
            _ => Verb::Plain(Command::SignOff {
                role: "tech-lead".into(),
                comment: String::new(),
                items: Vec::new(),
                hands: Vec::new(),
            }),
        };
        let when = self.moment(dice);
        self.actions
            .push((when, Action::Person("ben".into(), verb)));
    }
}

fn dial_mood(dice: &mut Dice) -> DialMood {
    let share = |dice: &mut Dice| u16::try_from(dice.below(10_001)).unwrap_or(0);
    match dice.below(8) {
        0 => DialMood::Coarse,
        1 => DialMood::Slow(Millis(dice.between(1_000, 29_000))),
        2 => DialMood::Hangs,
        3 => DialMood::NotAbove(share(dice)),
        4 => DialMood::NotBelow(share(dice)),
        5 => DialMood::Over(share(dice) / 40),
        6 => DialMood::Lies,
        _ => DialMood::Shows(share(dice)),
    }
}

fn answer(dice: &mut Dice) -> Answer {
    let end = match dice.below(6) {
        0 | 1 => AnswerEnd::Fails("exit 2".into()),
        2 => AnswerEnd::Unknown("no answer".into()),
        3 => AnswerEnd::Hangs,
        _ => AnswerEnd::Done,
    };
    let delivery = match dice.below(5) {
        0 => Delivery::Lost,
        1 => Delivery::Twice,
        2 => Delivery::Late(span(dice)),
        _ => Delivery::Once,
    };
    Answer {
        end,
        takes: Millis(dice.between(1, 9 * MINUTE)),
        delivery,
    }
}
