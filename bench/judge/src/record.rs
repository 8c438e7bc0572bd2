//! A world as a recording in the format `esclusa-judge/1`.

use crate::world::{ROUTES, World, canary};
use esclusa_judge::EventClass;
use serde_json::{Map, Value, json};

/// All lines of one run.
#[must_use]
pub fn record(name: &str, world: &World) -> Vec<String> {
    let (start, weight, next_weight) = world.stages.first().copied().unwrap_or((0, 0.0, 1.0));
    let routes: Vec<&str> = ROUTES.iter().map(|route| route.0).collect();
    let mut lines = vec![
        json!({
            "kind": "meta", "format": "esclusa-judge/1", "id": name, "service": "shop",
            "routes": routes, "baseline": "v1", "canary": "v2", "canary_start_t": start,
            "pre_roll_s": world.pre_roll_s, "duration_s": world.duration_s,
            "stage": { "weight": weight, "next_weight": next_weight, "max_s": world.duration_s },
            "hist": { "scheme": "loglinear", "unit": "us", "sub_bits": 5 },
        })
        .to_string(),
    ];
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..world.duration_s {
        if let Some((_, weight, next_weight)) =
            world.stages.iter().skip(1).find(|stage| stage.0 == t)
        {
            let line =
                json!({ "kind": "stage", "t": t, "weight": weight, "next_weight": next_weight });
            lines.push(line.to_string());
        }
        let second = traffic.second(t);
        if !second.heard {
            continue;
        }
        lines.push(json!({ "kind": "tick", "t": t, "w": world.share(t) }).to_string());
        for cell in second.cells.iter().map(|c| &c.cell) {
            let route = ROUTES.iter().position(|route| route.0 == cell.route);
            let mut line = json!({
                "kind": "s", "t": t, "v": if cell.intended == canary() { "v2" } else { "v1" },
                "r": route, "n": cell.requests, "e": cell.failures(), "h": cell.latency,
            });
            let classes: Map<String, Value> = [EventClass::ClientError, EventClass::Cancelled]
                .into_iter()
                .filter_map(|class| {
                    let n = cell.events.get(&class)?;
                    let name = serde_json::to_value(class).ok()?;
                    Some((name.as_str()?.to_owned(), json!(n)))
                })
                .collect();
            if !classes.is_empty() {
                line["x"] = Value::Object(classes);
            }
            if cell.pending.total() > 0 {
                line["p"] = json!(cell.pending);
            }
            if let Some(instance) = &cell.instance {
                line["i"] = json!(instance);
            }
            lines.push(line.to_string());
        }
    }
    lines
}
