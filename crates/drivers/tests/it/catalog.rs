//! What plans may write about drivers, and what the drivers promise to do.

use esclusa_plan::Catalog;

/// Plans of users rest on it, and lint decides by it: a key that goes away or a
/// capability that is taken back refuses plans that were accepted yesterday.
#[test]
fn the_catalog_is_a_contract() {
    let golden = include_str!("../../golden/catalog.json");
    let catalog = esclusa_drivers::catalog();
    let text = serde_json::to_string_pretty(&catalog).expect("JSON");
    assert_eq!(format!("{text}\n"), golden);
    let read: Catalog = serde_json::from_str(golden).expect("reads what was agreed");
    assert_eq!(read, catalog);
}
