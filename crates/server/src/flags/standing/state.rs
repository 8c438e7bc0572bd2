//! Where a rule's features stand, from decisions about kills. Pure.

use super::actor;
use esclusa_engine::{KillStanding, counts_still};
use esclusa_flags::{KillTargets, Kills, StandingRule};
use esclusa_model::Timestamp;
use esclusa_wire::FlagKill;

/// The recorded reason of a rule's act; it names the rule.
pub(super) fn reason_of(rule: &str, because: &str) -> String {
    format!("rule {rule}: {because}")
}

/// Where what a rule kills stands now.
pub(super) fn kill_standing(
    name: &str,
    rule: &StandingRule,
    decisions: &[FlagKill],
    in_force: &Kills,
    now: Timestamp,
) -> KillStanding {
    let own = |kill: &FlagKill| kill.by == actor() && kill.reason.starts_with(&reason_of(name, ""));
    let touches = |kill: &&FlagKill| match (&rule.kill, &kill.flags) {
        (_, None) => true,
        (KillTargets::All, Some(_)) => false,
        (KillTargets::Flags(ours), Some(theirs)) => ours.iter().any(|key| theirs.contains(key)),
    };
    let about: Vec<&FlagKill> = decisions.iter().filter(touches).collect();
    let newest = about.iter().max_by_key(|kill| kill.epoch);
    let killed = match &rule.kill {
        KillTargets::All => in_force.all.killed,
        KillTargets::Flags(keys) => keys.iter().all(|key| in_force.of(key).is_some()),
    };
    let acts = about
        .iter()
        .filter(|kill| own(kill) || (kill.by != actor() && !kill.killed));
    let act = acts.max_by_key(|kill| kill.epoch);
    let kills = about.iter().filter(|kill| kill.killed && own(kill));
    let in_a_day = kills.filter(|kill| counts_still(kill.at, now)).count();
    KillStanding {
        killed,
        killed_by_rule_at: newest
            .filter(|kill| killed && kill.killed && own(kill))
            .map(|kill| kill.at),
        changed_at: newest.map(|kill| kill.at),
        acted_at: act.map(|kill| kill.at),
        kills_in_a_day: u32::try_from(in_a_day).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_flags::Symptom;
    use esclusa_model::{Actor, BasisPoints};

    fn rule(kill: KillTargets) -> StandingRule {
        StandingRule {
            service: "shop".into(),
            routes: Vec::new(),
            when: Symptom::ErrorRate {
                above: BasisPoints::ZERO,
            },
            over_s: 60,
            at_least: 1,
            kill,
            cool_down_s: 60,
            lift_after_s: None,
            lifts_a_day: 1,
            paused: false,
        }
    }

    fn decision(epoch: u64, killed: bool, flags: Option<&[&str]>, by: &str) -> FlagKill {
        FlagKill {
            flags: flags.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
            killed,
            epoch,
            by: Actor::new(by).expect("a name"),
            reason: reason_of("r", "too many"),
            at: Timestamp(1_000_000 * i64::try_from(epoch).expect("small")),
        }
    }

    fn stands(rule: &StandingRule, decisions: &[FlagKill]) -> KillStanding {
        let mut kills = Kills::default();
        for kill in decisions {
            kills.merge(&super::super::super::ledger::marks(kill));
        }
        kill_standing("r", rule, decisions, &kills, Timestamp(10_000_000))
    }

    // RBK-23: whose kill it is decides who may lift it.
    #[test]
    fn a_persons_kill_is_not_the_rules() {
        let flags = rule(KillTargets::Flags(vec!["a".into(), "b".into()]));
        let ab: Option<&[&str]> = Some(&["a", "b"]);
        let by_rule = stands(&flags, &[decision(3, true, ab, "standing-rule")]);
        assert_eq!(by_rule.killed_by_rule_at, Some(Timestamp(3_000_000)));
        assert_eq!((by_rule.killed, by_rule.kills_in_a_day), (true, 1));
        let person = decision(4, true, ab, "ana");
        let both = stands(&flags, &[decision(3, true, ab, "standing-rule"), person]);
        assert_eq!((both.killed, both.killed_by_rule_at), (true, None));
        let mut other = decision(3, true, ab, "standing-rule");
        other.reason = reason_of("another", "too many");
        assert_eq!(stands(&flags, &[other]).killed_by_rule_at, None);
    }

    // RBK-09: a mild rule that turned one feature off keeps no severe one from turning off all;
    // a person who lifts is left in peace for as long as one waits between two acts.
    #[test]
    fn what_others_kill_keeps_no_rule_from_its_own() {
        let ours = rule(KillTargets::Flags(vec!["a".into(), "b".into()]));
        let mut other = decision(3, true, Some(&["a"]), "standing-rule");
        other.reason = reason_of("another", "too many");
        let acted = |decisions: &[FlagKill]| stands(&ours, decisions).acted_at;
        assert_eq!(acted(std::slice::from_ref(&other)), None);
        assert_eq!(acted(&[decision(3, true, Some(&["a"]), "ana")]), None);
        let own = decision(4, true, Some(&["a", "b"]), "standing-rule");
        assert_eq!(acted(&[other.clone(), own]), Some(Timestamp(4_000_000)));
        let lifted = decision(5, false, Some(&["b"]), "ana");
        assert_eq!(acted(&[other, lifted]), Some(Timestamp(5_000_000)));
    }

    #[test]
    fn what_is_killed_in_part_is_not_killed() {
        let flags = rule(KillTargets::Flags(vec!["a".into(), "b".into()]));
        let one = stands(&flags, &[decision(1, true, Some(&["a"]), "ana")]);
        assert_eq!(
            (one.killed, one.changed_at),
            (false, Some(Timestamp(1_000_000)))
        );
        let none = stands(&flags, &[decision(1, true, Some(&["c"]), "ana")]);
        assert_eq!(none, KillStanding::default());
        let all = rule(KillTargets::All);
        assert!(!stands(&all, &[decision(1, true, Some(&["a"]), "ana")]).killed);
        let everything = [decision(1, true, None, "ana")];
        assert!(stands(&all, &everything).killed && stands(&flags, &everything).killed);
        let lifted = [
            decision(1, true, None, "ana"),
            decision(2, false, None, "ana"),
        ];
        assert!(!stands(&all, &lifted).killed);
    }
}
