//! The same questions for both engines.

use esclusa_flags::{AttributeValue, Context, ContextBuffer, FlagSet, Snapshot};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hint::black_box;
use unleash_types::client_features::ClientFeatures;
use unleash_yggdrasil::{Context as PeerContext, EngineState};

/// One row of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    /// How many evaluations one call is about as long as.
    pub(crate) scale: u32,
    pub(crate) goal: Option<Goal>,
}

/// What is to be reached.
pub(crate) struct Goal {
    pub(crate) ratio: f64,
    pub(crate) nanoseconds: f64,
}

/// What is evaluated.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// One flag, by its key, in a context that is there.
    One(&'static str),
    /// All flags in a context that is there.
    All,
    /// A context made for one evaluation.
    NewContext(&'static str),
}

const fn goal(ratio: f64, nanoseconds: f64) -> Option<Goal> {
    Some(Goal { ratio, nanoseconds })
}

const DEFAULT: &str = "default-000";
const ROLLOUT: &str = "rollout-003";
const TARGETED: &str = "targeted-003";

pub(crate) const CASES: [Case; 5] = [
    Case {
        name: "default",
        work: Work::One(DEFAULT),
        scale: 1,
        goal: goal(0.5, 40.0),
    },
    Case {
        name: "50 % rollout",
        work: Work::One(ROLLOUT),
        scale: 1,
        goal: goal(0.3, 60.0),
    },
    Case {
        name: "two constraints + 50 % rollout",
        work: Work::One(TARGETED),
        scale: 1,
        goal: goal(0.3, 120.0),
    },
    Case {
        name: "all of 354 flags",
        work: Work::All,
        scale: 354,
        goal: goal(0.1, 40_000.0),
    },
    Case {
        name: "new context, two constraints",
        work: Work::NewContext(TARGETED),
        scale: 4,
        goal: None,
    },
];

/// 354 flags: 118 of each kind.
const OF_EACH_KIND: usize = 118;

pub(crate) struct Engines {
    snapshot: Snapshot,
    engine: EngineState,
}

impl Engines {
    pub(crate) fn new() -> Result<Self, String> {
        let set = FlagSet::from_json(our_flags()).map_err(|error| error.to_string())?;
        let snapshot = Snapshot::compile(&set, "production").map_err(|e| format!("{e:?}"))?;
        let features: ClientFeatures =
            serde_json::from_value(peer_features()).map_err(|error| error.to_string())?;
        let engine = EngineState::default();
        let warnings = engine.apply_client_features(features).unwrap_or_default();
        if !warnings.is_empty() {
            return Err(format!("the peer has {} warnings", warnings.len()));
        }
        let engines = Self { snapshot, engine };
        engines.agree()?;
        engines.whole_way()?;
        Ok(engines)
    }

    /// Both must answer what the case says, or the comparison is of two mistakes.
    fn agree(&self) -> Result<(), String> {
        let mut context = self.snapshot.context();
        fill(&mut context);
        let peer = peer_context();
        for key in ["default-000", "targeted-001", "rollout-001"] {
            let on = |i: usize| {
                // Over all flags of a kind: each engine has an order of its own.
                let key = format!("{}{i:03}", &key[..key.len() - 3]);
                let ours = context.evaluate(&key).is_on();
                (ours, self.engine.is_enabled(&key, &peer, &None))
            };
            let (ours, theirs) = (0..OF_EACH_KIND)
                .map(on)
                .fold((0, 0), |(a, b), (ours, theirs)| {
                    (a + usize::from(ours), b + usize::from(theirs))
                });
            let expected = match key.starts_with("default") {
                true => OF_EACH_KIND..=OF_EACH_KIND,
                // Half of 118, give or take four standard deviations.
                false => 37..=81,
            };
            if !(expected.contains(&ours) && expected.contains(&theirs)) {
                return Err(format!(
                    "{key}: {ours} and {theirs} of {OF_EACH_KIND} are on"
                ));
            }
        }
        Ok(())
    }

    /// A flag that stays off may be given up early: the single flags of the table are
    /// on for both, so that both ask everything.
    fn whole_way(&self) -> Result<(), String> {
        let mut context = self.snapshot.context();
        fill(&mut context);
        let peer = peer_context();
        let on =
            |key: &str| context.evaluate(key).is_on() && self.engine.is_enabled(key, &peer, &None);
        for key in [DEFAULT, ROLLOUT, TARGETED] {
            if !on(key) {
                let kind = &key[..key.len() - 3];
                let fit = (0..OF_EACH_KIND).find(|i| on(&format!("{kind}{i:03}")));
                return Err(format!(
                    "{key} is not on for both; the first that is: {fit:?}"
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn ours(&self, work: Work) -> Box<dyn FnMut(u32) + '_> {
        let mut context = self.snapshot.context();
        fill(&mut context);
        match work {
            Work::One(key) => Box::new(move |times| {
                for _ in 0..times {
                    black_box(context.evaluate(black_box(key)));
                }
            }),
            Work::All => Box::new(move |times| {
                for _ in 0..times {
                    for answer in context.evaluate_all() {
                        black_box(answer);
                    }
                }
            }),
            Work::NewContext(key) => {
                let mut buffer = ContextBuffer::default();
                Box::new(move |times| {
                    for _ in 0..times {
                        let mut context = self.snapshot.context_in(std::mem::take(&mut buffer));
                        fill(black_box(&mut context));
                        black_box(context.evaluate(black_box(key)));
                        buffer = context.into_buffer();
                    }
                })
            }
        }
    }

    pub(crate) fn peer(&self, work: Work) -> Box<dyn FnMut(u32) + '_> {
        let context = peer_context();
        match work {
            Work::One(key) => Box::new(move |times| {
                for _ in 0..times {
                    black_box(self.engine.is_enabled(black_box(key), &context, &None));
                }
            }),
            Work::All => Box::new(move |times| {
                for _ in 0..times {
                    black_box(self.engine.resolve_all(&context, &None));
                }
            }),
            Work::NewContext(key) => Box::new(move |times| {
                for _ in 0..times {
                    let context = black_box(peer_context());
                    black_box(self.engine.is_enabled(black_box(key), &context, &None));
                }
            }),
        }
    }
}

fn fill(context: &mut Context<'_>) {
    context.set("targetingKey", AttributeValue::Text("user-000001"));
    context.set("country", AttributeValue::Text("pt"));
    context.set("age", AttributeValue::Integer(42));
}

fn peer_context() -> PeerContext {
    PeerContext {
        user_id: Some("user-000001".into()),
        session_id: None,
        environment: None,
        app_name: None,
        current_time: None,
        remote_address: None,
        properties: Some(HashMap::from([
            ("country".to_owned(), "pt".to_owned()),
            ("age".to_owned(), "42".to_owned()),
        ])),
    }
}

fn our_flags() -> Value {
    let mut flags = serde_json::Map::new();
    let ruled = |rule: Value| json!({ "type": "boolean", "environments": { "production": { "rules": [rule] } } });
    for i in 0..OF_EACH_KIND {
        let default = json!({ "type": "boolean", "default": "on" });
        flags.insert(format!("default-{i:03}"), default);
        let half = json!({ "share": { "basis-points": 5000 }, "variant": "on" });
        flags.insert(format!("rollout-{i:03}"), ruled(half.clone()));
        let mut targeted = half;
        targeted["when"] = json!("country in ['es', 'pt', 'fr'] && age > 18");
        flags.insert(format!("targeted-{i:03}"), ruled(targeted));
    }
    json!({
        "environments": ["production"],
        "attributes": { "country": { "type": "string" }, "age": { "type": "integer" } },
        "flags": flags,
    })
}

fn peer_features() -> Value {
    let mut features = Vec::new();
    let mut feature = |kind: &str, i: usize, constraints: Option<Value>| {
        let name = format!("{kind}-{i:03}");
        let strategies = match kind {
            "default" => json!([{ "name": "default", "constraints": [] }]),
            _ => json!([{
                "name": "flexibleRollout",
                "constraints": constraints.unwrap_or(json!([])),
                "parameters": { "rollout": "50", "stickiness": "userId", "groupId": name },
            }]),
        };
        features.push(json!({ "name": name, "enabled": true, "strategies": strategies }));
    };
    for i in 0..OF_EACH_KIND {
        feature("default", i, None);
        feature("rollout", i, None);
        let constraints = json!([
            { "contextName": "country", "operator": "IN", "values": ["es", "pt", "fr"] },
            { "contextName": "age", "operator": "NUM_GT", "value": "18" },
        ]);
        feature("targeted", i, Some(constraints));
    }
    json!({ "version": 2, "features": features })
}
