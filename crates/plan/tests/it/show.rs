//! What a plan says about itself before it starts.

use crate::good::{accepted, source};
use esclusa_plan::{overview, show};

#[test]
fn the_overview_is_computed_from_the_plan() {
    let plan = accepted(&source("checkout")).plan;
    insta::assert_snapshot!("checkout", show(&plan));
    let endless = accepted(&source("everything")).plan;
    insta::assert_snapshot!("everything", show(&endless));
    insta::assert_json_snapshot!("everything_data", overview(&endless));
    let flags = accepted(&source("flags")).plan;
    insta::assert_snapshot!("flags", show(&flags));
    let overview = overview(&plan);
    let sum: u64 = overview.phases.iter().map(|phase| phase.at_least.0).sum();
    assert_eq!(overview.at_least.0, sum);
}
