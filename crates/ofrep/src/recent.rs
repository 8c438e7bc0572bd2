//! The contexts of the latest questions, so that a change can be tried on real ones before it is
//! made. In memory alone, and never more than a part: they name people.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Contexts that are kept for each environment.
const KEPT: usize = 500;
/// Of one second's questions, those that are kept: a busy server shows those of the last
/// half minute, not of the last instant.
const A_SECOND: u64 = 20;
/// Longest body that is kept.
const BYTES: usize = 4 * 1_024;
/// Environments that are remembered.
const ENVIRONMENTS: usize = 50;

/// A few of the latest questions of each environment.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// A second, and how many of its questions were taken (the lowest eight bits).
    taken: AtomicU64,
    kept: Mutex<BTreeMap<String, VecDeque<Box<[u8]>>>>,
}

impl Recent {
    /// Notes a question that was answered. Mostly it only reads a number; it never waits.
    pub(crate) fn note(&self, environment: &str, body: &[u8], second: u64) {
        let taken = self.taken.load(Ordering::Relaxed);
        let is_same = taken >> 8 == second & (u64::MAX >> 8);
        if (is_same && taken & 0xff >= A_SECOND) || body.len() > BYTES {
            return;
        }
        let Ok(mut kept) = self.kept.try_lock() else {
            return;
        };
        let next = match is_same {
            true => taken + 1,
            false => second << 8 | 1,
        };
        self.taken.store(next, Ordering::Relaxed);
        if !kept.contains_key(environment) {
            if kept.len() >= ENVIRONMENTS {
                return;
            }
            kept.insert(environment.to_owned(), VecDeque::new());
        }
        if let Some(bodies) = kept.get_mut(environment) {
            if bodies.len() >= KEPT {
                bodies.pop_front();
            }
            bodies.push_back(body.into());
        }
    }

    /// What was asked with in an environment, newest first, each once.
    pub(crate) fn contexts(&self, environment: &str) -> Vec<Map<String, Value>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = BTreeSet::new();
        let newest = kept.get(environment).into_iter().flatten().rev();
        newest
            .filter_map(|body| context(body))
            .filter(|context| {
                // Keys of an object are sorted: one context has one spelling.
                seen.insert(Value::Object(context.clone()).to_string())
            })
            .collect()
    }
}

/// The context of a body, unless it says nothing.
fn context(body: &[u8]) -> Option<Map<String, Value>> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    match body.get_mut("context")?.take() {
        Value::Object(mut context) => {
            context.remove(esclusa_wire::TESTER_NAME);
            (!context.is_empty()).then_some(context)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(n: usize) -> Vec<u8> {
        json!({ "context": { "targetingKey": format!("u{n}") } })
            .to_string()
            .into_bytes()
    }

    // BLD-08
    #[test]
    fn the_latest_are_kept_each_once_and_a_few_a_second() {
        let recent = Recent::default();
        for n in 0..100 {
            recent.note("production", &body(n), 7);
        }
        let first = recent.contexts("production");
        assert_eq!(first.len() as u64, A_SECOND);
        assert_eq!(first[0]["targetingKey"], "u19");
        recent.note("production", &body(3), 8);
        recent.note("production", b"{}", 8);
        recent.note("staging", &body(4), 8);
        let now = recent.contexts("production");
        assert_eq!(now.len() as u64, A_SECOND);
        assert_eq!(now[0]["targetingKey"], "u3");
        assert_eq!(recent.contexts("staging").len(), 1);
        assert_eq!(recent.contexts("other").len(), 0);
        // A tester's token opens something: whoever looks at contexts does not get it.
        let tester = json!({ "context": { "targetingKey": "t", "x-esclusa-tester": "esct1" } });
        recent.note("other", tester.to_string().as_bytes(), 9);
        let only_the_key = json!([{ "targetingKey": "t" }]);
        assert_eq!(json!(recent.contexts("other")), only_the_key);
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::default();
        for second in 0..200_u64 {
            for n in 0..20 {
                recent.note("production", &body(second as usize * 20 + n), second);
            }
        }
        let kept = recent.contexts("production");
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0]["targetingKey"], "u3999");
        recent.note("production", &vec![b' '; BYTES + 1], 1_000);
        assert_eq!(recent.contexts("production")[0]["targetingKey"], "u3999");
        for n in 0..100 {
            recent.note(&format!("e{n}"), &body(n), 2_000 + n as u64);
        }
        let environments = recent.kept.lock().expect("whole").len();
        assert_eq!(environments, ENVIRONMENTS);
    }
}
