//! Every part of the page as it looks on a desk and on a phone, in the light and in the dark:
//! nobody is shut out, and nothing is wider than the window. The pictures are left in
//! `target/shots` for people to look at.

use super::browser::Browser;
use super::world::{ERRORS_ONLY, LONG, Shop, break_version, ends, phase, plane, url, version};
use serde_json::json;
use std::path::Path;

/// The themes, and the windows of a desk and of a phone.
const THEMES: [&str; 2] = ["light", "dark"];
const WINDOWS: [(&str, u32, u32); 2] = [("desk", 1280, 900), ("phone", 360, 740)];

const STEPS: &str = "
requires:
  - command: { run: 'echo 12 tables compared' }
stages:
  - { to: 5%, for: 10m, budget: 20m }
  - { to: 25%, for: 10m, budget: 30m }
  - { to: 50%, for: 10m }
  - { to: 100%, watch: 10m }
";

#[tokio::test(flavor = "multi_thread")]
async fn every_part_fits_and_shuts_nobody_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/shots");
    std::fs::create_dir_all(&folder).expect("created");
    let plane = plane();
    let (shop, search, mail) = (Shop::new("shop"), Shop::new("search"), Shop::new("mail"));
    for name in ["1.8.2", "1.9.0"] {
        version(&plane, name, "");
    }
    for one in [&shop, &search, &mail] {
        one.first(&plane, "1.8.2").await;
    }
    // Under way, with some failures.
    let running = plane
        .release(&shop.plan(&format!("{ERRORS_ONLY}{STEPS}")), "1.9.0")
        .await;
    phase(&plane, &running, "stage 1").await;
    let (_, _) = plane.ask(&running, "skip").await;
    phase(&plane, &running, "stage 2").await;
    let load = shop.load(60.0);
    // Held: nobody comes.
    let waits = "stages: [ { to: 10%, for: 1s }, { to: 100%, watch: 10m } ]\n";
    let held = plane
        .release(&search.plan(&format!("{ERRORS_ONLY}{waits}")), "1.9.0")
        .await;
    // Rolled back by the judge.
    let stages = "stages: [ { to: 25%, for: 10m }, { to: 100%, watch: 10m } ]\n";
    let back = plane
        .release(&mail.plan(&format!("{ERRORS_ONLY}{stages}")), "1.9.0")
        .await;
    phase(&plane, &back, "stage 1").await;
    let mails = mail.load(60.0);
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    break_version(&url(&plane, &back).await, 0.4).await;
    ends(&plane, &back, "rolled_back").await;
    mails.stop().await;
    let is_held = |view: &serde_json::Value| view["hold"].is_string();
    plane.until(&held, LONG, is_held).await;
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;

    let mut browser = Browser::start();
    let pages = [
        ("services", String::new(), "[data-service=mail]"),
        ("running", format!("releases/{running}"), "figure canvas"),
        ("held", format!("releases/{held}"), ".timeline li"),
        ("rolled-back", format!("releases/{back}"), "figure canvas"),
        ("history", "history".to_owned(), ".releases li"),
        ("delivery", "delivery".to_owned(), "h1"),
        ("inbox", "inbox".to_owned(), "[data-entry]"),
        ("no-flags", "flags".to_owned(), ".nothing code"),
    ];
    for (name, hash, at) in &pages {
        browser.open("about:blank");
        browser.open(&format!("{}/#/{hash}", plane.url()));
        browser.wait(at);
        for (window, width, height) in WINDOWS {
            browser.size(width, height);
            for theme in THEMES {
                browser.media(json!({ "colorScheme": theme, "reducedMotion": "reduce" }));
                tokio::time::sleep(std::time::Duration::from_millis(700)).await;
                let found = browser.axe();
                assert!(found.is_empty(), "{name}, {window}, {theme}: {found:#?}");
                let wide = browser.evaluate("document.documentElement.scrollWidth");
                assert_eq!(wide, width, "{name}, {window}, {theme}");
                let picture = |end: &str| folder.join(format!("{name}-{window}-{theme}{end}.png"));
                browser.shot(&picture(""), false);
                browser.shot(&picture("-whole"), true);
            }
        }
    }
    browser.size(1280, 900);
    browser.open("about:blank");
    browser.open(&format!("{}/#/releases/{running}", plane.url()));
    browser.click("[data-verb=abort]");
    browser.shot(&folder.join("ask.png"), false);
    load.stop().await;
}
