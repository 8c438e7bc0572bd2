//! Changing flags with the effect known before, and killing them.

use super::{Scene, fits_everybody};
use crate::browser::Browser;
use crate::page::{confirm, login, logout};
use esclusa_testkit::wait_until;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// A field of a rule's form, by its name.
fn field(rule: u32, label: &str) -> String {
    format!("[data-edit-rule='{rule}'] .field:has(label:text-is(\"{label}\")) input")
}

/// Ten more tenants than now.
fn to_half(browser: &mut Browser) {
    browser.click("[data-verb=edit]");
    browser.wait("[data-test=editor]");
    browser.fill(&field(1, "Share in percent"), "50");
}

// FLAG-13, BLD-08: rules are changed with their effect known before, by one at a time.
#[tokio::test(flavor = "multi_thread")]
async fn rules_are_changed_with_their_effect_known() {
    let scene = Scene::new();
    let before = scene.tenants("exec-reports", "on");
    let mut browser = Browser::start();
    browser.open(&scene.at("flags/exec-reports?environment=production"));
    browser.wait("#token");
    login(&mut browser, &scene.operator);
    browser.wait("[data-test=rules]");

    // What is wrong stands at its field, and the keyboard is there.
    to_half(&mut browser);
    browser.fill(&field(1, "Share in percent"), "200");
    browser.click("[data-verb=look]");
    browser.wait("[data-test=field-problem]:has-text('from 0 to 100')");
    browser.fill(&field(1, "Share in percent"), "50");
    browser.click("[data-add=rule]");
    let named = "document.activeElement.getAttribute('aria-label')";
    assert_eq!(browser.evaluate(named), "Rule 2");
    browser.fill(&field(2, "In segment"), "taem");
    browser.click("[aria-label='Move rule 2 up']");
    browser.wait("[aria-label='Rule 1']:focus");
    browser.click("[data-verb=look]");
    let at = "[data-path='/flags/exec-reports/environments/production/rules/0/segment']";
    browser.wait(at);
    let said = browser.text(at);
    assert!(said.contains("known are team"), "{said}");
    let invalid = "document.activeElement.getAttribute('aria-invalid')";
    assert_eq!(browser.evaluate(invalid), "true");
    fits_everybody(&mut browser, "what is wrong");
    browser.click("[aria-label='Remove: Rule 1']");

    // Who would change, before anything does; then why, then it is saved.
    browser.click("[data-verb=look]");
    browser.wait("[data-test=would-change]");
    let told =
        |browser: &mut Browser, name: &str| browser.attribute("[data-test=would-change]", name);
    assert_eq!(told(&mut browser, "data-asked").as_deref(), Some("40"));
    assert_eq!(told(&mut browser, "data-affected").as_deref(), Some("10"));
    let group = browser.text("[data-test=would-change] [data-flag=exec-reports]");
    assert!(group.starts_with("exec-reports off → on: 10"), "{group}");
    assert_eq!(
        scene.tenants("exec-reports", "on"),
        before,
        "nothing is saved"
    );
    assert!(
        browser.is_disabled("[data-verb=save]"),
        "a reason is missing"
    );
    fits_everybody(&mut browser, "who would change");
    // What was shown is no longer what is written.
    browser.fill(&field(1, "Share in percent"), "75");
    browser.gone("[data-verb=save]");
    browser.fill(&field(1, "Share in percent"), "50");
    browser.click("[data-verb=look]");
    browser.fill(".looked textarea", "half of them");
    browser.click("[data-verb=save]");
    browser.wait("[data-test=outcome]:has-text('Saved as revision')");
    browser.wait("[data-rule='1']:has-text('50 % by tenant')");
    let now = scene.tenants("exec-reports", "on");
    assert_eq!(now.len(), 20);
    assert!(before.iter().all(|id| now.contains(id)));
    browser.wait("[data-test=who] [data-variant=on]:has-text('20 of 40')");

    // Somebody else is first: who, what, and nothing of theirs is lost.
    to_half(&mut browser);
    browser.click("[data-add=tenants]");
    browser.fill("[data-override=tenants] input", "t01");
    browser.choose("[data-override=tenants] select", "off");
    browser.click("[data-verb=look]");
    browser.wait("[data-verb=save]");
    browser.fill(".looked textarea", "t01 has trouble");
    scene.does(&[
        "flag",
        "set",
        "exec-reports",
        "off",
        "--environment",
        "production",
        "--tenant",
        "t02",
        "--reason",
        "t02 asked",
    ]);
    browser.click("[data-verb=save]");
    browser.wait("[data-test=conflict]");
    browser.wait("[data-test=conflict]:has-text('t02 asked')");
    browser.wait("[data-verb=mine]");
    let said = browser.text("[data-test=conflict]");
    assert!(said.contains("by ana"), "{said}");
    fits_everybody(&mut browser, "a conflict");
    browser.click("[data-verb=mine]");
    browser.click("[data-verb=look]");
    browser.fill(".looked textarea", "t01 has trouble");
    browser.click("[data-verb=save]");
    browser.wait("[data-overrides=tenants]:has-text('t01 → off')");
    browser.wait("[data-overrides=tenants]:has-text('t02 → off')");

    // The record has author, reason and both values; a change is taken back by its revision.
    let entry = "[data-test=history] li:has-text('half of them')";
    let said = browser.text(entry);
    for part in ["by ana", "25 % by tenant", "50 % by tenant"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    browser.click(&format!("{entry} [data-verb=revert]"));
    browser.wait("dialog.ask[open]");
    browser.is_for_everybody("taking back");
    confirm(&mut browser, "too soon");
    browser.wait("[data-rule='1']:has-text('25 % by tenant')");
    browser.wait("[data-overrides=tenants]:has-text('t01 → off')");
    browser.wait("[data-test=history] li:has-text('too soon')");
    browser.kept_to(&scene.server.url, &["400", "401", "409"]);
}

// EMG-01, BLD-09: one button kills, its dependents are told first, and everybody has it off.
#[tokio::test(flavor = "multi_thread")]
async fn a_feature_is_killed_with_its_dependents_known() {
    let scene = Scene::new();
    let mut browser = Browser::start();
    browser.open(&scene.at("flags/reports-api?environment=production"));
    browser.wait("#token");
    login(&mut browser, &scene.operator);
    browser.wait("[data-verb=kill]");
    let needs = browser.text("[data-test=dependents]");
    assert_eq!(needs, "exec-reports");
    browser.click("[data-verb=kill]");
    browser.wait("[data-test=dependents-first]:has-text('exec-reports')");
    fits_everybody(&mut browser, "before a kill");
    // Nothing is done by looking.
    browser.press(&["Escape"]);
    browser.gone("dialog.ask[open]");
    assert_eq!(scene.tenants("reports-api", "on").len(), 40);
    browser.click("[data-verb=kill]");
    confirm(&mut browser, "errors at acme");
    browser.wait("[data-mark=killed]");
    browser.wait("[data-test=outcome]:has-text('in force at the proxy')");
    let heard = browser.text("[role=log]");
    assert!(heard.contains("reports-api: killed"), "{heard}");
    assert!(scene.tenants("reports-api", "on").is_empty());
    assert!(scene.tenants("exec-reports", "on").is_empty());
    browser.wait("[data-test=history] li[data-kind=killed]:has-text('errors at acme')");
    browser.wait("[data-test=kill-acknowledged][data-heard=heard]");
    fits_everybody(&mut browser, "a killed flag");

    browser.open(&scene.at("availability/t07?environment=production"));
    browser.wait("[data-flag=exec-reports][data-state=off]");
    let said = browser.text("[data-test=availability] [data-flag=exec-reports]");
    for part in ["needs reports-api", "turned off for everybody"] {
        assert!(said.contains(part), "{part}: {said}");
    }

    browser.open(&scene.at("flags/reports-api?environment=production"));
    browser.click("[data-verb=lift]");
    browser.wait("dialog.ask[open]");
    assert!(browser.is_disabled("dialog.ask button[type=submit]"));
    confirm(&mut browser, "fixed");
    browser.gone("[data-mark=killed]");
    assert_eq!(scene.tenants("reports-api", "on").len(), 40);

    // Disabled in one environment alone, with its rules kept.
    browser.open(&scene.at("flags/exec-reports?environment=production"));
    browser.click("[data-verb=disable]");
    confirm(&mut browser, "not in production yet");
    browser.wait("[data-mark=disabled]");
    assert!(scene.tenants("exec-reports", "on").is_empty());
    browser.choose("[data-test=environment]", "staging");
    browser.wait("[data-verb=disable]");
    browser.choose("[data-test=environment]", "production");
    browser.click("[data-verb=enable]");
    confirm(&mut browser, "now");
    browser.gone("[data-mark=disabled]");
    assert_eq!(scene.tenants("exec-reports", "on").len(), 10);

    // Everything at once, from the list, and back.
    browser.press(&["g", "f"]);
    browser.click("[data-verb=kill-all]");
    confirm(&mut browser, "everything burns");
    browser.wait("[data-test=all-killed]");
    let all_off = wait_until("nobody", LONG, async || {
        scene.tenants("reports-api", "on").is_empty().then_some(())
    });
    all_off.await.expect("nobody has it");
    fits_everybody(&mut browser, "everything killed");
    browser.click("[data-verb=lift-all]");
    confirm(&mut browser, "over");
    browser.gone("[data-test=all-killed]");
    assert_eq!(scene.tenants("reports-api", "on").len(), 40);
    logout(&mut browser);
    browser.kept_to(&scene.server.url, &["401"]);
}
