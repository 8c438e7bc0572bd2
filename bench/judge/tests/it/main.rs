//! The benchmark's own outcomes, with few runs.

use esclusa_judge::JudgeConfig;
use esclusa_judge_bench::kinds::{Truth, quick};
use esclusa_judge_bench::run::run;
use esclusa_judge_bench::world::World;

/// Every quick kind once: healthy ones are never returned, harmful ones always, and
/// absent ones are neither returned nor proved. CAN-08, BLD-03
#[test]
fn the_quick_kinds_end_as_they_should() {
    let kinds = quick();
    assert_eq!(kinds.len(), 18, "each name is a kind");
    for kind in kinds {
        let world = World {
            seed: 5,
            duration_s: 420,
            ..kind.world.clone()
        };
        let outcome = run(&world, kind.onset, &JudgeConfig::default());
        match kind.truth {
            Truth::Healthy => assert_eq!(outcome.rollback, None, "{}", kind.name),
            Truth::Harmful => assert!(outcome.rollback.is_some(), "{}: {outcome:?}", kind.name),
            Truth::Unknown => {
                assert_eq!(
                    (&outcome.rollback, outcome.proceed),
                    (&None, None),
                    "{}",
                    kind.name
                );
            }
        }
    }
}
