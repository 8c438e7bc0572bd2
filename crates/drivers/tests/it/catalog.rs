//! What plans may write about drivers, and what the drivers promise to do.

use esclusa_plan::Catalog;

/// Plans of users rest on it, and lint decides by it: a key that goes away or a
/// capability that is taken back refuses plans that were accepted yesterday. What was
/// added is written down with `UPDATE=1`.
#[test]
fn the_catalog_is_a_contract() {
    let at = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/catalog.json");
    let catalog = esclusa_drivers::catalog();
    let text = serde_json::to_string_pretty(&catalog).expect("JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(at, &text).expect("written");
    }
    let golden = std::fs::read_to_string(at).expect("the golden file");
    assert_eq!(text, golden);
    let read: Catalog = serde_json::from_str(&golden).expect("reads what was agreed");
    assert_eq!(read, catalog);
}
