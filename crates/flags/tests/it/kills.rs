//! A kill beats everything and is never lost.

use crate::flag_world::{ask, set, shop, snapshot};
use esclusa_flags::{FlagReason, KillMark, Kills, Snapshot};
use proptest::prelude::*;
use serde_json::json;

fn marks() -> impl Strategy<Value = Kills> {
    let mark = || (0u64..6, any::<bool>()).prop_map(|(epoch, killed)| KillMark { epoch, killed });
    let flags = prop::collection::btree_map("[abc]", mark(), 0..4);
    (mark(), flags).prop_map(|(all, flags)| Kills { all, flags })
}

fn merged(a: &Kills, b: &Kills) -> Kills {
    let mut result = a.clone();
    result.merge(b);
    result
}

proptest! {
    // design 6.5: a monotonic epoch, whatever the order of messages.
    #[test]
    fn merging_is_a_join(a in marks(), b in marks(), c in marks()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a);
    }

    #[test]
    fn the_last_word_counts(before in marks(), late in marks(), all: bool) {
        let mut kills = before;
        let target = (!all).then_some("a");
        kills.kill(target);
        // An older message that arrives late changes nothing.
        let older = late.epoch() < kills.epoch();
        prop_assume!(older);
        prop_assert!(merged(&kills, &late).of("a").is_some());
        kills.lift(target);
        let other = if all { kills.flags.get("a").is_some_and(|m| m.killed) } else { kills.all.killed };
        prop_assert_eq!(kills.of("a").is_some(), other);
    }
}

// EMG-01, EMG-02, trap 10: all tenants, all overrides, computed and not listed by hand.
#[test]
fn kill_all_turns_everything_off_for_everybody() {
    let mut json = shop();
    json["flags"]["exec-reports"]["environments"]["production"]["tenants"] =
        json!({ "acme": "on", "initech": "on" });
    json["flags"]["exec-reports"]["environments"]["production"]["users"] =
        json!({ "eve@example.com": "on" });
    let mut shop = snapshot(json.clone());
    let mut kills = Kills::default();
    kills.kill(None);
    shop.merge_kills(&kills);
    let everybody = ["acme", "initech", "umbrella", "new"];
    for tenant in everybody {
        let who = json!({ "tenant": tenant, "user": "eve@example.com", "targetingKey": "k" });
        let mut context = crate::flag_world::context(&shop, &who);
        context.grant("exec-reports", "on");
        for (info, answer) in context.evaluate_all() {
            assert_eq!(answer.reason, FlagReason::Disabled, "{} {tenant}", info.key);
            assert!(!answer.is_on());
        }
    }
    // A compilation that comes later knows the kill from its first moment.
    let again = Snapshot::compile_with(&set(json), "production", shop.kills()).expect("compiles");
    assert!(!ask(&again, "exec-reports", &json!({ "tenant": "acme" })).is_on());
    kills.lift(None);
    shop.merge_kills(&kills);
    assert!(ask(&shop, "exec-reports", &json!({ "tenant": "acme" })).is_on());
}

#[test]
fn killing_a_prerequisite_takes_its_dependents_along() {
    let mut shop = snapshot(shop());
    let mut kills = Kills::default();
    kills.kill(Some("reports-api"));
    kills.kill(Some("a flag that comes later"));
    shop.merge_kills(&kills);
    let answer = ask(&shop, "exec-reports", &json!({ "user": "ana@example.com" }));
    assert_eq!(
        (answer.is_on(), answer.reason),
        (false, FlagReason::Disabled)
    );
    assert!(
        answer.detail.to_string().contains("reports-api"),
        "{}",
        answer.detail
    );
}
