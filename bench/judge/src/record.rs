//! A world as a recording in the format `esclusa-judge/1`.

use crate::world::{ROUTES, World, canary, stable};
use esclusa_judge::record::{Head, Recorder};

/// All lines of one run.
#[must_use]
pub fn record(name: &str, world: &World) -> Vec<String> {
    let start = world.stages.first().map_or(0, |stage| stage.0);
    let mut recorder = Recorder::new(Head {
        id: name.to_owned(),
        service: "shop".to_owned(),
        baseline: (stable(), "v1".to_owned()),
        canary: (canary(), "v2".to_owned()),
        start,
        pre_roll_s: world.pre_roll_s,
        duration_s: world.duration_s,
        routes: ROUTES.iter().map(|route| route.0.to_owned()).collect(),
        judge: None,
    });
    let mut lines: Vec<String> = world
        .stage_at(start)
        .map(|first| recorder.meta(&first))
        .into_iter()
        .collect();
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..world.duration_s {
        lines.extend(world.stage_at(t).map(|stage| recorder.stage(&stage)));
        lines.extend(recorder.second(&traffic.second(t)));
    }
    lines
}
