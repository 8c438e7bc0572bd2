//! Controllers and surroundings that do one thing wrong. Rules that do not notice are no
//! rules: each mutant must be caught, and by a rule that names what it does.

use crate::fuzz::run_seed;
use crate::outside::Mutant;

/// Seeds that a mutant may survive before it counts as not caught.
const SEEDS: u64 = 1_000;

/// The rules that a mutant breaks in the first seeds, and how often.
fn caught(mutant: Mutant, by: &[&str]) {
    let mut broken = 0;
    let mut named = false;
    for seed in 0..SEEDS {
        if let Some(what) = run_seed(seed, Some(mutant)).broken {
            broken += 1;
            named |= by.contains(&what.rule);
            if named && broken >= 3 {
                return;
            }
        }
    }
    panic!("{mutant:?} broke {broken} stories of {SEEDS}, by {by:?}: {named}");
}

#[test]
fn a_read_back_that_is_skipped_is_noticed() {
    caught(Mutant::SkipsReadBack, &["evidence"]);
}

#[test]
fn effects_in_the_wrong_order_are_noticed() {
    caught(Mutant::ActsBeforeRecord, &["record_first"]);
    caught(Mutant::RecordsBeforeLowering, &["lower_first"]);
}

#[test]
fn a_forgotten_fence_is_noticed() {
    caught(Mutant::ForgetsFence, &["one_writer"]);
}

#[test]
fn a_dropped_journal_entry_is_noticed() {
    caught(Mutant::DropsJournalEntry, &["no_raise"]);
}

#[test]
fn exposure_raised_after_a_return_is_noticed() {
    caught(Mutant::RaisesAfterReturn, &["no_raise"]);
}

#[test]
fn a_proxy_that_forgets_its_own_return_is_noticed() {
    caught(Mutant::ForgetsReturn, &["no_raise"]);
}

#[test]
fn deadlines_that_never_come_are_noticed() {
    caught(Mutant::NeverLate, &["in_time"]);
}

#[test]
fn a_check_that_passes_unseen_is_noticed() {
    caught(Mutant::PassesUnseen, &["evidence"]);
}
