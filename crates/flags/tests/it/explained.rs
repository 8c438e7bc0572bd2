//! Explanations, as people read them.

use crate::flag_world::{context, shop, snapshot};
use esclusa_flags::Kills;
use serde_json::json;

#[test]
fn explanations_say_every_step() {
    let mut shop = snapshot(shop());
    let mut texts: Vec<String> = [
        json!({ "targetingKey": "ana@example.com", "tenant": "acme" }),
        json!({ "tenant": "acme", "beta": true, "age": "12" }),
        json!({ "tenant": "not-known", "country": "fr" }),
        json!({ "country": "fr\n\u{1b}[31m" }),
        json!({ "user": "eve@example.com" }),
    ]
    .iter()
    .map(|who| format!("{who}\n{}", context(&shop, who).explain("exec-reports")))
    .collect();
    let who = json!({ "targetingKey": "ana@example.com" });
    texts.push(context(&shop, &who).explain("page-size").to_string());
    texts.push(context(&shop, &who).explain("pagesize").to_string());
    let mut kills = Kills::default();
    kills.kill(Some("reports-api"));
    shop.merge_kills(&kills);
    texts.push(context(&shop, &who).explain("exec-reports").to_string());
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn explanations_are_data() {
    let shop = snapshot(shop());
    let who = json!({ "user": "eve@example.com" });
    insta::assert_json_snapshot!(context(&shop, &who).explain("exec-reports"));
}
