//! What there is, who has it and why, for whoever may only look.

use super::{Scene, fits_everybody};
use crate::browser::Browser;
use crate::page::login;
use serde_json::json;

// FLAG-13, SEC-15: a viewer sees what there is and why, and no button that is not theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_flags_and_why() {
    let scene = Scene::new();
    scene.does(&["release", "start", "--json"]);
    let mut browser = Browser::start();
    browser.open(&scene.at("flags"));
    browser.wait("#token");
    login(&mut browser, &scene.viewer);

    browser.wait("[data-flag=exec-reports] [data-mark=stale]");
    assert_eq!(browser.count("[data-test=flags] > li"), 4);
    let line = browser.text("[data-flag=exec-reports]");
    for part in [
        "serves off",
        "boolean",
        "owner reports",
        "Reports for executives",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(
        browser
            .text("[data-flag=reports-api]")
            .contains("serves on")
    );
    // The release that turns one of them, as far as it is.
    browser.wait("[data-flag=mail] [data-mark=release]:has-text('25 %')");
    browser.wait("[data-test=propagation][data-tone=good]");
    assert_eq!(browser.count("[data-verb]"), 0);
    fits_everybody(&mut browser, "the list");

    for (at, value, found) in [
        ("show", "stale", "exec-reports"),
        ("show", "release", "mail"),
        ("project", "shop", "search"),
    ] {
        browser.choose(&format!("[data-test={at}]"), value);
        browser.wait("[data-test=found]:has-text('1 of 4')");
        assert_eq!(browser.count(&format!("[data-flag={found}]")), 1);
        browser.choose(
            &format!("[data-test={at}]"),
            if at == "show" { "all" } else { "" },
        );
    }
    browser.fill("[data-test=find]", "executives");
    browser.wait("[data-test=found]:has-text('1 of 4')");

    // One flag: who has it, what it needs, and why somebody gets what they get.
    browser.click("[data-flag=exec-reports] a");
    browser.wait("[data-test=who] [data-variant=on]");
    let on = scene.tenants("exec-reports", "on");
    assert_eq!(on.len(), 10);
    let who = browser.text("[data-test=who] [data-variant=on]");
    assert!(who.contains("10 of 40 tenants"), "{who}");
    let rule = browser.text("[data-rule='1']");
    assert_eq!(rule, "25 % by tenant → on");
    let needs = browser.text("[data-test=prerequisites]");
    assert!(needs.contains("reports-api must serve on"), "{needs}");
    assert_eq!(browser.count("[data-verb]"), 0);
    let tenant = on.first().expect("ten");
    let form = "[data-test=explain]";
    browser.fill(&format!("{form} .field:has-text('Tenant') input"), tenant);
    browser.click(&format!("{form} button[type=submit]"));
    browser.wait("[data-test=explanation][data-variant=on]");
    let steps = browser.text("[data-test=explanation]");
    for part in [
        "SPLIT",
        "is it killed? no",
        "does \"reports-api\" serve \"on\"?",
    ] {
        assert!(steps.contains(part), "{part}: {steps}");
    }
    assert_eq!(browser.count("[data-test=explanation] .decides"), 1);
    let heard = browser.text("[role=log]");
    assert!(heard.contains("Serves on"), "{heard}");
    fits_everybody(&mut browser, "a flag");

    // NOT-14: what a tenant has, in plain words.
    browser.open(&scene.at("availability"));
    browser.wait("[data-test=avail-form]");
    fits_everybody(&mut browser, "no tenant yet");
    browser.fill("[data-test=avail-form] input >> nth=0", tenant);
    browser.press(&["Enter"]);
    browser.wait("[data-test=availability] [data-flag=exec-reports][data-state=on]");
    let said = browser.text("[data-test=availability] [data-flag=exec-reports]");
    assert!(said.contains("within the share of rule 1"), "{said}");
    browser.wait("[data-flag=reports-api][data-state=on]");
    browser.wait("[data-flag=search][data-state=off]");
    let said = browser.text("[data-test=availability] [data-flag=search]");
    assert!(said.contains("Single users"), "{said}");
    fits_everybody(&mut browser, "a tenant");
    browser.open(&scene.at("availability/t07?user=ana"));
    browser.wait("[data-flag=search][data-state=on]");
    let said = browser.text("[data-test=availability] [data-flag=search]");
    assert!(said.contains("exception for this user"), "{said}");
    browser.open(&scene.at("availability/nobody"));
    browser.wait("[data-test=not-listed]");

    // What the page does not offer, the server refuses.
    let forged = "(async () => {
        const me = await (await fetch('/api/v1/me')).json();
        const answer = await fetch('/api/v1/flag-set/kill', { method: 'POST', body: '{\"all\":true}',
            headers: { 'x-esclusa-csrf': me.csrf, 'content-type': 'application/json' } });
        return answer.status;
    })()";
    assert_eq!(browser.evaluate(forged), json!(403));
    browser.kept_to(&scene.server.url, &["401", "403"]);
}
