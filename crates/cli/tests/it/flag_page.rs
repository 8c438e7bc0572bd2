//! Flags on the page, in a real browser against a real server and proxy: what there is,
//! who has it and why, and changing it, for whoever may.

use super::access::Server;
use super::browser::Browser;
use super::page::{confirm, login, logout};
use esclusa_testkit::wait_until;
use serde_json::{Value, json};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// Forty tenants, so that shares of them are whole numbers.
fn set() -> Value {
    let tenants: serde_json::Map<String, Value> =
        (0..40).map(|n| (format!("t{n:02}"), json!({}))).collect();
    json!({
        "environments": ["production", "staging"],
        "attributes": { "country": { "type": "string" } },
        "segments": { "team": { "keys": ["t07"], "of": "tenant" } },
        "tenants": tenants,
        "flags": {
            "reports-api": {
                "type": "boolean", "default": "on", "owner": "reports",
                "project": "reports", "aliases": ["reports"],
            },
            "exec-reports": {
                "type": "boolean", "owner": "reports", "project": "reports",
                "description": "Reports for executives",
                "lifetime": { "kind": "release", "expires": "2020-01-31" },
                "prerequisites": [{ "flag": "reports-api", "variant": "on" }],
                "environments": { "production": { "rules": [
                    { "share": { "of": "tenant", "basis-points": 2500 }, "variant": "on" },
                ] } },
            },
            "search": {
                "type": "boolean", "owner": "shop", "project": "shop",
                "environments": { "production": { "users": { "ana": "on" } } },
            },
            "mail": { "type": "boolean" },
        },
    })
}

/// A release that turns one flag for a part of the tenants, and waits there.
const PLAN: &str = "
esclusa: 1
service: shop
flags: { set: { mail: on }, of: tenant }
judge: { blind: { then: hold } }
stages: [ { to: 25%, for: 1h }, { to: 100%, watch: 1h } ]
";

struct Scene {
    server: Server,
    operator: String,
    viewer: String,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        let file = serde_json::to_string_pretty(&set()).expect("JSON");
        std::fs::write(server.path().join("flags.json"), file).expect("written");
        std::fs::write(server.path().join("esclusa.yaml"), PLAN).expect("written");
        let operator = server.token(&["ana", "--role", "operator"]);
        let viewer = server.token(&["eve", "--role", "viewer"]);
        let scene = Self {
            server,
            operator,
            viewer,
        };
        scene.does(&["flag", "apply", "flags.json", "--yes", "--reason", "first"]);
        scene
    }

    /// The command, as an operator; gives what it says.
    fn does(&self, args: &[&str]) -> String {
        let (code, said, talk) = self.server.remote(&self.operator, args);
        assert_eq!(code, 0, "{args:?}: {said}\n{talk}");
        said
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.does(&[args, &["--json"]].concat());
        serde_json::from_str(&said).expect("JSON")
    }

    /// The tenants that get a variant.
    fn tenants(&self, flag: &str, variant: &str) -> Vec<String> {
        let found = self.json(&["flag", "who", flag, "--environment", "production"]);
        let all = found["variants"].as_array().cloned().unwrap_or_default();
        let one = all.iter().find(|one| one["variant"] == variant);
        let ids = one.and_then(|one| one["tenants"].as_array().cloned());
        let ids = ids.unwrap_or_default();
        ids.iter()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect()
    }

    fn at(&self, address: &str) -> String {
        format!("{}/#/{address}", self.server.url)
    }
}

/// Nobody is shut out, on a desk and on a phone, and nothing is wider than the window.
fn fits_everybody(browser: &mut Browser, what: &str) {
    for (width, height) in [(360, 740), (1280, 900)] {
        browser.size(width, height);
        browser.is_for_everybody(&format!("{what}, {width} wide"));
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert_eq!(wide, width, "{what}");
    }
}

/// A field of a rule's form, by its name.
fn field(rule: u32, label: &str) -> String {
    format!("[data-edit-rule='{rule}'] .field:has(label:text-is(\"{label}\")) input")
}

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
