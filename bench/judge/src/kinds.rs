//! The kinds of canaries: what each is, and what a judge should say of it.

use crate::world::{Bursts, Effect, Load, Side, User, What, World};
use esclusa_judge::EventClass;

/// What is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// Must not be returned.
    Healthy,
    /// Must be returned.
    Harmful,
    /// Must be neither returned nor proved.
    Unknown,
}

/// One kind of canary.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Kinds of one group share a goal.
    pub group: &'static str,
    /// Name.
    pub name: String,
    /// What is right.
    pub truth: Truth,
    /// First cause of a return, or a label that a hold should show.
    pub label: Option<&'static str>,
    /// When harm begins.
    pub onset: i64,
    /// Whether the harm is larger than the risk budget, so that a proof would be wrong.
    pub unprovable: bool,
    /// Median seconds to the decision that are aimed at.
    pub goal_s: Option<i64>,
    /// The world.
    pub world: World,
}

const EVER: i64 = i64::MAX;

fn since(from: i64, side: Side, what: What) -> Effect {
    Effect {
        side,
        from,
        to: EVER,
        of_every: None,
        what,
    }
}

struct Kinds(Vec<Kind>);

impl Kinds {
    fn healthy(&mut self, group: &'static str, name: &str, world: World) -> &mut Kind {
        self.add(group, name, Truth::Healthy, world)
    }

    fn harmful(
        &mut self,
        group: &'static str,
        name: &str,
        label: &'static str,
        onset: i64,
        world: World,
    ) -> &mut Kind {
        let kind = self.add(group, name, Truth::Harmful, world);
        kind.label = Some(label);
        kind.onset = onset;
        kind.unprovable = true;
        kind
    }

    fn add(&mut self, group: &'static str, name: &str, truth: Truth, world: World) -> &mut Kind {
        let at = format!("{name}, {} rps {} %", world.rps, world.stages[0].1 * 100.0);
        self.0.push(Kind {
            group,
            name: at,
            truth,
            label: None,
            onset: 0,
            unprovable: false,
            goal_s: None,
            world,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

/// A world of this size.
fn sized(rps: f64, share: f64) -> World {
    let next = if share < 0.02 {
        0.05
    } else if share < 0.1 {
        0.25
    } else if share < 0.5 {
        0.5
    } else {
        1.0
    };
    World {
        rps,
        stages: vec![(0, share, next)],
        ..World::default()
    }
}

fn with(world: &World, effects: Vec<Effect>) -> World {
    World {
        effects,
        ..world.clone()
    }
}

/// All kinds.
#[must_use]
pub fn all() -> Vec<Kind> {
    let mut kinds = Kinds(Vec::new());
    healthy(&mut kinds);
    bursts(&mut kinds);
    principles_healthy(&mut kinds);
    harmful_errors(&mut kinds);
    harmful_latency(&mut kinds);
    principles_harmful(&mut kinds);
    absent(&mut kinds);
    kinds.0
}

/// A few kinds of each sort, small enough for every change.
#[must_use]
pub fn quick() -> Vec<Kind> {
    const NAMES: [&str; 18] = [
        "iid, 100 rps 25 %",
        "route mix, 100 rps 25 %",
        "cold x2, 100 rps 25 %",
        "shared fault, 100 rps 25 %",
        "bursts often, 100 rps 25 %",
        "slow user moved, 1000 rps 50 %",
        "baseline gets faster, 100 rps 25 %",
        "baseline restarted, 100 rps 25 %",
        "traffic pauses, 100 rps 25 %",
        "outage, 1000 rps 5 %",
        "outage, 10 rps 5 %",
        "errors +5.0 pp, 100 rps 25 %",
        "late errors +5 pp, 100 rps 25 %",
        "404 20 %, 100 rps 25 %",
        "hangs, 100 rps 25 %",
        "+50 %, 100 rps 25 %",
        "broken new route, 100 rps 25 %",
        "no canary traffic, 1000 rps 5 %",
    ];
    all()
        .into_iter()
        .filter(|kind| NAMES.contains(&kind.name.as_str()))
        .collect()
}

const SIZES: [(f64, f64); 4] = [
    (1_000.0, 0.05),
    (1_000.0, 0.5),
    (100.0, 0.25),
    (100.0, 0.05),
];

fn healthy(kinds: &mut Kinds) {
    for (rps, share) in SIZES.into_iter().chain([(1_000.0, 0.01), (10.0, 0.5)]) {
        let base = sized(rps, share);
        let kind = kinds.healthy("plain", "iid", base.clone());
        kind.goal_s = match (rps as u64, share) {
            (1_000, 0.01) => Some(95),
            (1_000, _) => Some(60),
            (100, 0.05) => Some(300),
            _ => None,
        };
        let slower = vec![since(0, Side::Canary, What::Slow(1.03))];
        kinds.healthy("plain", "+3 % latency", with(&base, slower));
        for (name, load) in [
            ("load x2", Load::Ramp(2.0, 600.0)),
            ("load x0.4", Load::Ramp(0.4, 300.0)),
            ("load wave", Load::Wave(240.0, 0.6)),
        ] {
            let world = World {
                load,
                ..base.clone()
            };
            kinds.healthy("plain", name, world);
        }
        let mixes = vec![since(0, Side::Canary, What::Mix([0.35, 0.25, 0.2, 0.2]))];
        kinds
            .healthy("context", "route mix", with(&base, mixes))
            .label = Some("traffic_mix");
        for (name, cold, fades) in [("cold x2", 2.0, 20.0), ("cold x3", 3.0, 25.0)] {
            let effects = vec![since(0, Side::Canary, What::Cold(cold, fades))];
            kinds.healthy("context", name, with(&base, effects)).label = Some("cold_start");
        }
        let fault = vec![
            since(200, Side::Both, What::Errors(0.08)),
            since(200, Side::Both, What::Slow(1.6)),
        ];
        kinds
            .healthy("context", "shared fault", with(&base, fault))
            .label = Some("shared_dependency");
        for (name, uneven) in [
            ("errors uneven together", Some((0.3, true))),
            ("errors uneven apart", Some((0.5, false))),
        ] {
            let world = World {
                uneven,
                error_rate: 0.003,
                ..base.clone()
            };
            kinds.healthy("context", name, world);
        }
    }
}

fn bursts(kinds: &mut Kinds) {
    for (rps, share) in SIZES {
        for (name, every_s, seconds, rate) in [
            ("bursts rare", 1_200.0, (3.0, 10.0), (0.2, 0.5)),
            ("bursts often", 200.0, (2.0, 8.0), (0.1, 0.5)),
            ("bursts mixed", 300.0, (2.0, 15.0), (0.1, 0.7)),
        ] {
            for told in [false, true] {
                let bursts = Some(Bursts {
                    every_s,
                    seconds,
                    rate,
                    slower: 1.0,
                });
                let world = World {
                    bursts,
                    told,
                    ..sized(rps, share)
                };
                let name = if told {
                    format!("{name} told")
                } else {
                    name.into()
                };
                if !told || share > 0.05 {
                    kinds.healthy("bursts", &name, world);
                }
            }
        }
    }
}

fn principles_healthy(kinds: &mut Kinds) {
    let user = User {
        part: 0.01,
        fails: 0.0,
        slower: 1.0,
        harmed: 0.0,
        on_canary: Some(true),
    };
    for (rps, share) in SIZES {
        let base = sized(rps, share);
        let failing = User { fails: 0.1, ..user };
        let slow = User {
            slower: 4.0,
            part: 0.01,
            ..user
        };
        for (name, users) in [
            ("failing user moved", vec![failing]),
            ("slow user moved", vec![slow]),
            (
                "many uneven users",
                (0..60)
                    .map(|i| User {
                        part: 0.3 / f64::from(i + 1) / 4.7,
                        fails: if i % 7 == 3 { 0.03 } else { 0.0 },
                        on_canary: None,
                        ..user
                    })
                    .collect(),
            ),
        ] {
            let world = World {
                users,
                ..base.clone()
            };
            kinds.healthy("hard", name, world);
        }
        let retries = World {
            retries: Some((5, 0.8)),
            error_rate: 0.002,
            ..base.clone()
        };
        kinds.healthy("hard", "retries", retries);
        let long = World {
            bursts: Some(Bursts {
                every_s: 2_500.0,
                seconds: (40.0, 90.0),
                rate: (0.05, 0.3),
                slower: 1.5,
            }),
            ..base.clone()
        };
        kinds.healthy("long bursts", "long bursts", long.clone());
        if share > 0.1 {
            let told = World { told: true, ..long };
            kinds.healthy("long bursts", "long bursts told", told);
        }
        let before = |what| Effect {
            to: 0,
            ..since(-1_000, Side::Both, what)
        };
        let improves = vec![since(120, Side::Baseline, What::Slow(0.8))];
        kinds.healthy("hard", "baseline gets faster", with(&base, improves));
        let fewer = World {
            error_rate: 0.001,
            effects: vec![
                Effect {
                    to: 120,
                    ..since(-1_000, Side::Both, What::Errors(0.01))
                },
                since(120, Side::Canary, What::Errors(0.01)),
            ],
            ..base.clone()
        };
        kinds.healthy("hard", "baseline gets better", fewer);
        let recovers = vec![before(What::Errors(0.03)), before(What::Slow(1.5))];
        kinds.healthy("hard", "pre-roll was bad", with(&base, recovers));
        let restarts = vec![since(300, Side::Baseline, What::Cold(2.5, 30.0))];
        kinds.healthy("hard", "baseline restarted", with(&base, restarts));
        let heavy = World {
            slow_part: (0.02, 30.0),
            spread: 0.8,
            ..base.clone()
        };
        kinds.healthy("hard", "heavy tails", heavy);
        let cache = World {
            slow_part: (0.3, 8.0),
            spread: 0.2,
            ..base.clone()
        };
        kinds.healthy("hard", "cache hits and misses", cache);
        let pauses = vec![Effect {
            of_every: Some((40, 200)),
            ..since(60, Side::Both, What::Pause)
        }];
        kinds.healthy("hard", "traffic pauses", with(&base, pauses));
        let new = World {
            new_route: Some((0.1, 0.0)),
            ..base.clone()
        };
        kinds.healthy("hard", "healthy new route", new);
        let gone = vec![since(0, Side::Canary, What::Mix([0.6, 0.25, 0.15, 0.0]))];
        kinds.healthy("hard", "removed route", with(&base, gone));
        let ramp = World {
            stages: vec![(0, share / 2.0, share), (200, share, 0.5), (500, 0.5, 1.0)],
            ..base.clone()
        };
        kinds.healthy("plain", "several stages", ramp);
        let drift = vec![
            since(0, Side::Both, What::Leak(0.0005)),
            Effect {
                of_every: Some((60, 300)),
                ..since(0, Side::Both, What::Errors(0.002))
            },
        ];
        kinds.healthy("plain", "both drift", with(&base, drift));
    }
}

fn harmful_errors(kinds: &mut Kinds) {
    let errors = |rps, share, rate| {
        with(
            &sized(rps, share),
            vec![since(0, Side::Canary, What::Errors(rate))],
        )
    };
    for (rps, goal) in [(1_000.0, 3), (10.0, 17), (1.0, 120)] {
        let kind = kinds.harmful("outage", "outage", "errors", 0, errors(rps, 0.05, 1.0));
        kind.goal_s = Some(goal);
    }
    for (rate, goal) in [(0.049, 15), (0.009, 30), (0.004, 75), (0.002, 240)] {
        let name = format!("errors +{:.1} pp", rate * 100.0);
        let kind = kinds.harmful("errors", &name, "errors", 0, errors(1_000.0, 0.05, rate));
        kind.goal_s = Some(goal);
        kind.unprovable = rate > 0.004;
    }
    for (rps, share, rate) in [
        (100.0, 0.25, 0.05),
        (10.0, 0.5, 0.05),
        (100.0, 0.05, 0.05),
        (100.0, 0.5, 0.01),
    ] {
        let name = format!("errors +{:.1} pp", rate * 100.0);
        kinds.harmful("errors", &name, "errors", 0, errors(rps, share, rate));
    }
    for (rps, share) in SIZES {
        let base = sized(rps, share);
        let one = vec![since(0, Side::Canary, What::ErrorsOn(2, 0.1))];
        kinds.harmful("errors", "one route 10 %", "errors", 0, with(&base, one));
        let late = vec![since(300, Side::Canary, What::Errors(0.05))];
        let kind = kinds.harmful(
            "late",
            "late errors +5 pp",
            "errors",
            300,
            with(&base, late),
        );
        kind.goal_s = (rps > 500.0).then_some(30);
        kind.unprovable = false;
        for (name, class) in [
            ("404 20 %", EventClass::ClientError),
            ("cancelled 20 %", EventClass::Cancelled),
        ] {
            let effects = vec![since(0, Side::Canary, What::Class(class, 0.2))];
            kinds.harmful("errors", name, "errors", 0, with(&base, effects));
        }
        let hang = vec![since(60, Side::Canary, What::Hang(1.0))];
        let kind = kinds.harmful("outage", "hangs", "errors", 60, with(&base, hang));
        kind.unprovable = false;
        kind.label = None;
    }
}

fn harmful_latency(kinds: &mut Kinds) {
    for (rps, share) in SIZES {
        let base = sized(rps, share);
        for (name, label, goal, what) in [
            ("+50 %", "latency", 20, What::Slow(1.5)),
            ("+25 %", "latency", 30, What::Slow(1.25)),
            ("one route +80 %", "latency", 35, What::SlowOn(1, 1.8)),
            ("tail 2 % x6", "tail", 75, What::Tail(0.02, 6.0)),
        ] {
            if rps < 500.0 && matches!(what, What::Tail(..)) {
                continue;
            }
            let world = with(&base, vec![since(0, Side::Canary, what)]);
            let kind = kinds.harmful("latency", name, label, 0, world);
            kind.goal_s = (rps > 500.0).then_some(goal);
        }
        let leak = vec![since(0, Side::Canary, What::Leak(0.003))];
        let kind = kinds.harmful("late", "leak", "latency", 0, with(&base, leak));
        kind.goal_s = (rps > 500.0).then_some(100);
        kind.unprovable = false;
        let late = vec![since(300, Side::Canary, What::Slow(1.5))];
        let kind = kinds.harmful("late", "late +50 %", "drift", 300, with(&base, late));
        kind.goal_s = (rps > 500.0).then_some(30);
        kind.unprovable = false;
        let cold = vec![
            since(0, Side::Canary, What::Cold(2.0, 20.0)),
            since(0, Side::Canary, What::Slow(1.4)),
        ];
        let kind = kinds.harmful("late", "cold and +40 %", "latency", 0, with(&base, cold));
        kind.goal_s = (rps > 500.0).then_some(100);
    }
}

fn principles_harmful(kinds: &mut Kinds) {
    for (rps, share) in SIZES {
        let base = sized(rps, share);
        let new = World {
            new_route: Some((0.1, 0.3)),
            ..base.clone()
        };
        kinds.harmful("hard harm", "broken new route", "errors", 0, new);
        let repeats = |seconds, period, what| {
            let effect = Effect {
                of_every: Some((seconds, period)),
                ..since(0, Side::Canary, what)
            };
            with(&base, vec![effect])
        };
        let world = repeats(6, 60, What::Errors(0.15));
        kinds.harmful(
            "hard harm",
            "errors in 6 s of each minute",
            "errors",
            0,
            world,
        );
        if rps * share >= 25.0 {
            let world = repeats(20, 240, What::Errors(0.05));
            kinds.harmful("hard harm", "errors at each load peak", "errors", 0, world);
        }
        let world = repeats(6, 60, What::Slow(3.0));
        kinds.harmful(
            "hard harm",
            "slow in 6 s of each minute",
            "latency",
            0,
            world,
        );
        let near = World {
            error_rate: 0.05,
            effects: vec![since(0, Side::Canary, What::Errors(0.02))],
            ..base.clone()
        };
        if rps * share >= 50.0 {
            kinds.harmful("hard harm", "errors 5 to 7 %", "errors", 0, near);
            let near = vec![since(0, Side::Canary, What::Slow(1.16))];
            kinds.harmful(
                "hard harm",
                "latency +16 %",
                "latency",
                0,
                with(&base, near),
            );
        }
        let among_bursts = World {
            bursts: Some(Bursts {
                every_s: 2_500.0,
                seconds: (40.0, 90.0),
                rate: (0.05, 0.3),
                slower: 1.5,
            }),
            effects: vec![
                since(200, Side::Canary, What::Errors(0.05)),
                since(200, Side::Canary, What::Slow(1.5)),
            ],
            ..base.clone()
        };
        let name = "harm among long bursts";
        let kind = kinds.harmful("hard harm", name, "errors", 200, among_bursts);
        (kind.label, kind.unprovable) = (None, false);
        let harmed = User {
            part: 0.05 * share.max(0.2),
            fails: 0.0,
            slower: 1.0,
            harmed: 0.5,
            on_canary: Some(true),
        };
        let world = World {
            users: vec![harmed],
            ..base.clone()
        };
        kinds.harmful("hard harm", "a heavy user fails", "errors", 0, world);
    }
}

fn absent(kinds: &mut Kinds) {
    for (name, label, what) in [
        ("no canary traffic", "no_traffic", What::Pause),
        ("canary goes quiet", "no_traffic", What::Pause),
    ] {
        let from = if name.starts_with("no") { 0 } else { 200 };
        let world = with(&sized(1_000.0, 0.05), vec![since(from, Side::Canary, what)]);
        let kind = kinds.add("absent", name, Truth::Unknown, world);
        kind.label = Some(label);
        kind.onset = from;
    }
    let world = with(
        &sized(1_000.0, 0.05),
        vec![since(200, Side::Both, What::Silence)],
    );
    let kind = kinds.add("absent", "no slices", Truth::Unknown, world);
    kind.label = Some("missing_data");
    kind.onset = 200;
}
