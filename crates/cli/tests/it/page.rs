//! The page in a real browser: what it shows is what is so, who may not act does not, and
//! nobody is shut out.

use super::access::Server;
use super::browser::Browser;
use super::run;
use super::world::{
    BY_HAND, ERRORS_ONLY, LONG, Shop, break_version, ends, phase, plane, url, version,
};
use esclusa_testkit::load::{LoadReport, VersionReport};
use esclusa_testkit::machine::processes_of;
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long old numbers may look like new ones.
const STALE_WITHIN: Duration = Duration::from_secs(10);

/// Longest pause between two looks of the page, in which what it shows may be behind.
const REFRESH: Duration = Duration::from_secs(5);

fn at_release(base: &str, release: &str) -> String {
    format!("{base}/#/releases/{release}")
}

/// A number of a table of the page: its row by side, its column from 0.
fn number(browser: &mut Browser, table: &str, side: &str, column: u64) -> Option<u64> {
    let at = format!("[data-test={table}] [data-side={side}] data >> nth={column}");
    browser.attribute(&at, "value")?.parse().ok()
}

/// Requests and failures of a version, as its client counted them.
fn counted(report: &LoadReport, version: &str) -> (u64, u64) {
    let of = |one: &VersionReport| (one.ok + one.failed, one.failed);
    report.by_version.get(version).map_or((0, 0), of)
}

/// Does something with the page's dialog, as a person does.
pub(crate) fn confirm(browser: &mut Browser, words: &str) {
    browser.wait("dialog.ask[open]");
    browser.fill("dialog.ask textarea", words);
    browser.click("dialog.ask button[type=submit]");
    browser.gone("dialog.ask[open]");
}

/// A control plane's processes that were started with this word.
fn processes(plane: &ControlPlane, word: &str) -> Vec<Pid> {
    let all = processes_of(&plane.data()).into_iter();
    let found: Vec<Pid> = all
        .filter(|one| one.words.contains(&format!(" {word} ")))
        .map(|one| Pid::from_raw(one.pid))
        .collect();
    assert!(!found.is_empty(), "no {word} runs");
    found
}

fn signal(processes: &[Pid], signal: Signal) {
    for pid in processes {
        kill(*pid, signal).expect("told");
    }
}

// DSH-01..03, MET-08: the page shows what clients counted, says when it does not know any
// more, and takes users back.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_is_so() {
    let plane = plane();
    let shop = Shop::new("shop");
    version(&plane, "1.0", "");
    version(&plane, "2.0", "");
    shop.first(&plane, "1.0").await;
    let plan = shop.plan(&format!("{ERRORS_ONLY}{BY_HAND}"));
    let release = plane.release(&plan, "2.0").await;
    phase(&plane, &release, "stage 1").await;
    break_version(&url(&plane, &release).await, 0.02).await;

    let mut browser = Browser::start();
    browser.open(&at_release(plane.url(), &release));
    browser.wait("[data-gate=stage-0][data-state=here]");
    let load = shop.load(80.0);
    browser.wait("[data-test=now] [data-side=canary] data");
    let told = wait_until("live numbers", LONG, async || {
        let mut enough = |side| number(&mut browser, "now", side, 0).is_some_and(|n| n > 110);
        (enough("stable") && enough("canary")).then_some(())
    });
    told.await.expect("live numbers");
    browser.wait(".now [data-fresh=live]");
    browser.wait("figure.chart canvas");
    let report = load.stop().await;
    assert_eq!(report.transport.values().sum::<u64>(), 0, "{report:?}");

    // One refresh later the sums are those of the client.
    tokio::time::sleep(REFRESH).await;
    for (side, name) in [("stable", "1.0"), ("canary", "2.0")] {
        let shown = (
            number(&mut browser, "totals", side, 0),
            number(&mut browser, "totals", side, 1),
        );
        let (requests, failures) = counted(&report, name);
        assert!(requests > 100, "{report:?}");
        assert_eq!(shown, (Some(requests), Some(failures)), "{name}");
    }
    assert!(counted(&report, "2.0").1 > 0, "the test would notice");
    browser.is_for_everybody("a running release");
    // The charts' numbers without a look at them.
    browser.click("details:has-text('table') summary");
    assert!(browser.count("details[open] tbody tr") > 1);

    // Whoever counts stops: the page says so in time, and by itself not again.
    let proxies = processes(&plane, "proxy");
    let stopped = Instant::now();
    signal(&proxies, Signal::SIGSTOP);
    browser.wait(".now [data-fresh=stale]");
    assert!(stopped.elapsed() <= STALE_WITHIN, "{:?}", stopped.elapsed());
    assert_eq!(browser.count(".now table.old"), 1);
    let said = browser.text(".now [data-fresh]");
    assert!(said.starts_with("Stale since "), "{said}");
    signal(&proxies, Signal::SIGCONT);
    browser.wait(".now [data-fresh=live]");

    // Whoever tells stops: the same, and the page finds back by itself.
    let server = processes(&plane, "serve");
    let stopped = Instant::now();
    signal(&server, Signal::SIGSTOP);
    browser.wait(".now [data-fresh=stale]");
    browser.wait("[data-test=lost]");
    assert!(stopped.elapsed() <= STALE_WITHIN, "{:?}", stopped.elapsed());
    signal(&server, Signal::SIGCONT);
    browser.gone("[data-test=lost]");
    browser.wait(".now [data-fresh=live]");

    browser.press(&["g", "s"]);
    browser.wait("[data-service=shop] [data-mood]");
    browser.is_for_everybody("services");
    browser.click("[data-service=shop] footer a.button");
    browser.wait("[data-verb=abort]");
    browser.click("[data-verb=abort]");
    let effect = browser.text("#ask-effect");
    assert!(effect.contains("version 1.0"), "{effect}");
    browser.is_for_everybody("a dialog");
    confirm(&mut browser, "seen enough");
    let view = ends(&plane, &release, "aborted").await;
    assert_eq!(view["reason"], "aborted by a person: seen enough");
    let back = super::world::events(&plane, &release, "return_decided").await;
    assert_eq!(back[0]["actor"], "dev", "{back:#?}");
    browser.wait("[data-phase=ended] .release-top [data-mood=back]");
    browser.wait("[data-test=timeline] :text('Decided to go back')");
    browser.wait("[data-return=already]");
    // Who hears the page was told.
    let said = browser.text("[role=log]");
    assert!(said.contains("shop 2.0 is over"), "{said}");
    browser.is_for_everybody("a release that was returned");
    browser.kept_to(plane.url(), &[]);
}

const PLAN: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:0 }
address: { url: 'http://127.0.0.1:9/${version}' }
requires:
  - sign-off:
      roles: [security, dba]
      within: 1h
      not-by-author: true
      items: [the restore was rehearsed]
stages: [ { to: 5%, for: 10m, budget: 20m }, { to: 100%, watch: 20m } ]
";

pub(crate) fn login(browser: &mut Browser, token: &str) {
    browser.fill("#token", token);
    browser.click("form.login button[type=submit]");
    browser.wait("[data-test=who]");
}

pub(crate) fn logout(browser: &mut Browser) {
    browser.click("[data-test=who] button");
    browser.wait("#token");
}

// SEC-15, DSH-04, DSH-05, NOT-08: by token and role, in a browser.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_does_what_their_role_says() {
    let server = Server::start();
    std::fs::write(server.path().join("esclusa.yaml"), PLAN).expect("written");
    let viewer = server.token(&["eve", "--role", "viewer"]);
    let approver = server.token(&["ben", "--role", "approver", "--role", "security"]);
    let author = server.token(&["ana-ci", "--role", "operator", "--person", "ana"]);
    let start = ["release", "start", "--version", "2.4.1", "--json"];
    let (code, started, talk) = server.remote(&author, &start);
    assert_eq!(code, 0, "{talk}");
    let started: Value = serde_json::from_str(&started).expect("JSON");
    let release = started["release"].as_str().expect("an id").to_owned();
    let here = at_release(&server.url, &release);

    // Nobody in without a token that is one.
    let mut browser = Browser::start();
    browser.open(&here);
    browser.wait("#token");
    browser.is_for_everybody("login");
    browser.fill("#token", "esclusa_nobody_0");
    browser.click("form.login button[type=submit]");
    browser.wait("[data-test=login-error]");
    let said = browser.text("[data-test=login-error]");
    assert!(said.contains("not valid"), "{said}");
    // Whoever guesses is told to wait; a right token is let in all the same.
    let told = wait_until("the limit", LONG, async || {
        browser.fill("#token", "esclusa_nobody_1");
        browser.click("form.login button[type=submit]");
        let said = browser.text("[data-test=login-error]");
        said.starts_with("Too many wrong tokens").then_some(())
    });
    told.await.expect("the limit");
    // From the keyboard alone: the first stop leads past the header.
    browser.reload();
    browser.wait("#token");
    browser.press(&["Shift+Tab", "Shift+Tab"]);
    let seen = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.evaluate(seen), "solid");

    // A viewer sees what there is, and why it is not theirs.
    login(&mut browser, &viewer);
    assert!(browser.text("[data-test=who]").contains("eve viewer"));
    browser.wait("[data-verb=promote]");
    for verb in ["promote", "abort", "pause", "skip", "sign-off"] {
        let button = format!("[data-verb={verb}]");
        assert!(browser.is_disabled(&button), "{verb}");
    }
    let why = browser.text(".refused");
    assert!(why.contains("your token lacks the role operator"), "{why}");
    browser.evaluate("document.querySelector('[data-verb=promote]').click()");
    assert_eq!(browser.count("dialog[open]"), 0);
    let forged = format!(
        "(async () => {{
            const me = await (await fetch('/api/v1/me')).json();
            const answer = await fetch('/api/v1/releases/{release}/promote', {{
                method: 'POST', headers: {{ 'x-esclusa-csrf': me.csrf }} }});
            return [answer.status, (await answer.json()).code];
        }})()"
    );
    assert_eq!(browser.evaluate(&forged), json!([403, "ESC-0403"]));
    // What a viewer sees: what it waits for, whom, and its budget of time.
    let gate = browser.text("[data-gate=checks]");
    assert!(gate.contains("Sign-off missing: security, dba"), "{gate}");
    assert!(
        browser
            .text("[data-gate=stage-0]")
            .contains("budget 20 min")
    );
    browser.is_for_everybody("a release that waits for people");

    // The inbox is each reader's own.
    browser.press(&["g", "i"]);
    browser.wait("[data-entry]");
    browser.is_for_everybody("inbox");
    browser.wait("[data-test=unread]");
    let entries = browser.count("[data-entry]");
    browser.click("[data-read=false] button >> nth=0");
    browser.wait("[data-read=true]");
    browser.click("[data-read=true] button:has-text('Delete')");
    browser.gone("[data-read=true]");
    assert_eq!(browser.count("[data-entry]"), entries - 1);

    browser.press(&["g", "h"]);
    browser.wait(".releases li");
    browser.is_for_everybody("history");
    browser.choose(".filters select >> nth=1", "promoted");
    browser.wait(".nothing");
    browser.choose(".filters select >> nth=1", "running");
    browser.wait(".releases li");
    browser.press(&["g", "d"]);
    browser.wait("h1:has-text('Delivery')");
    browser.is_for_everybody("delivery");

    // The same in Spanish, also after a look from elsewhere.
    browser.choose(".tools select >> nth=1", "es");
    browser.wait("h1:has-text('Entrega')");
    browser.reload();
    browser.wait("nav :text('Historial')");
    assert_eq!(browser.evaluate("document.documentElement.lang"), "es");
    browser.choose(".tools select >> nth=1", "en");
    // A phone shows the same without scrolling sideways.
    browser.open(&here);
    browser.size(360, 740);
    browser.wait("[data-verb=abort]");
    let wide = "document.documentElement.scrollWidth";
    assert_eq!(browser.evaluate(wide), 360);
    browser.is_for_everybody("a phone");
    browser.size(1280, 900);
    logout(&mut browser);

    // Who has the role agrees, with the checklist; from the keyboard alone.
    login(&mut browser, &approver);
    browser.wait("[data-verb=sign-off]");
    assert_eq!(
        browser.count("[data-verb=sign-off][aria-disabled=false]"),
        1
    );
    browser.click("[data-verb=sign-off][aria-disabled=false]");
    browser.wait("dialog.ask[open]");
    browser.is_for_everybody("a checklist");
    assert!(browser.is_disabled("dialog.ask button[type=submit]"));
    browser.click("dialog.ask input[type=checkbox]");
    confirm(&mut browser, "rehearsed on Monday");
    browser.wait("[data-signed=true]");
    let signed = browser.text("[data-signed=true]");
    assert!(signed.contains("by ben"), "{signed}");

    // An abort is two keys away.
    browser.press(&["a"]);
    browser.wait("dialog.ask[open]");
    browser.press(&["Escape"]);
    browser.gone("dialog.ask[open]");
    let refused = ["401", "403", "429"];
    browser.kept_to(&server.url, &refused);

    // Or a link away, for whoever has no token.
    let link = ["release", "link", "abort", &release, "--for", "on-call"];
    let (code, address, talk) = server.remote(&author, &link);
    assert_eq!(code, 0, "{talk}");
    browser.open(address.trim());
    browser.is_for_everybody("the page of a link");
    browser.fill("textarea", "wrong build");
    browser.click("button");
    browser.wait("h1:has-text('Done')");
    browser.is_for_everybody("what came of a link");
    browser.open(&server.url);
    browser.open(&here);
    browser.wait("[data-phase=ended]");
    let story = browser.text("[data-test=timeline]");
    assert!(
        story.contains("link.on-call") && story.contains("wrong build"),
        "{story}"
    );
    browser.kept_to(&server.url, &[]);
    let (code, _, talk) = run(server.path(), &["release", "watch", &release]);
    assert!([5, 6].contains(&code), "{code} {talk}");
}

/// What stands against a figure of the HTML report, where the JSON has `value`.
fn differs(shown: &str, value: &Value) -> bool {
    let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
    match value {
        Value::String(text) => shown != text,
        Value::Bool(yes) => shown != if *yes { "yes" } else { "no" },
        Value::Null => !digits.is_empty(),
        Value::Number(number) => match number.as_u64() {
            Some(whole) => {
                digits != whole.to_string() && shown != esclusa_model::Millis(whole).to_string()
            }
            None => {
                // With a unit behind it.
                let end = shown.find(|c: char| !c.is_ascii_digit() && c != '.');
                let read = shown[..end.unwrap_or(shown.len())].parse::<f64>();
                let value = number.as_f64().expect("a number");
                read.map_or(true, |read| (read - value).abs() > 0.051)
            }
        },
        Value::Array(_) | Value::Object(_) => true,
    }
}

// PIP-10: the report that somebody keeps says what the data says, without a server.
#[tokio::test(flavor = "multi_thread")]
async fn the_report_on_disk_has_the_figures_of_the_data() {
    let plane = plane();
    let shop = Shop::new("shop");
    version(&plane, "1.0", "");
    version(&plane, "2.0", "");
    shop.first(&plane, "1.0").await;
    let plan = shop.plan(&format!("{ERRORS_ONLY}{BY_HAND}"));
    let release = plane.release(&plan, "2.0").await;
    phase(&plane, &release, "stage 1").await;
    let load = shop.load(60.0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    load.stop().await;
    plane.ask(&release, "abort").await;
    ends(&plane, &release, "aborted").await;

    let at = |form: &str| format!("/api/v1/releases/{release}/report{form}");
    // The last counts may come a moment after the end.
    let settled = wait_until("the last counts", LONG, async || {
        let (_, before) = plane.get(&at("")).await;
        let (status, html) = plane.get(&at(".html")).await;
        let (_, after) = plane.get(&at("")).await;
        (status == 200 && before == after).then_some((after, html))
    });
    let (json, html) = settled.await.expect("the last counts");
    let file = plane.work().join("report.html");
    std::fs::write(&file, html.as_str().expect("a page")).expect("written");
    let mut browser = Browser::start();
    browser.open(&format!("file://{}", file.display()));
    let figures = browser.evaluate(
        "[...document.querySelectorAll('[data-path]')].map((one) => \
         [one.dataset.path, one.textContent])",
    );
    let figures: Vec<(String, String)> = serde_json::from_value(figures).expect("pairs");
    assert!(figures.len() > 20, "{figures:#?}");
    let mut numbers = 0;
    for (path, shown) in &figures {
        let value = json.pointer(path).unwrap_or(&Value::Null);
        assert!(!differs(shown, value), "{path}: {shown:?}, not {value}");
        let more = value.as_u64().map(|whole| json!(whole + 1));
        if let Some(more) = more {
            numbers += 1;
            assert!(differs(shown, &more), "the test would notice: {path}");
        }
    }
    assert!(numbers > 5, "{figures:#?}");
    browser.is_for_everybody("the report");
    browser.kept_to("file://", &[]);
}

// The look for barriers finds some where there are some.
#[test]
fn barriers_would_be_noticed() {
    let mut browser = Browser::start();
    browser.content(
        "<!doctype html><html><title>x</title><body><main><h1>x</h1><input>\
         <button></button><p style='color:#999;background:#fff'>pale</p></main></body></html>",
    );
    let found: Vec<Value> = browser.axe();
    let found: Vec<&str> = found.iter().filter_map(|one| one["id"].as_str()).collect();
    for barrier in ["label", "button-name", "color-contrast", "html-has-lang"] {
        assert!(found.contains(&barrier), "{barrier}: {found:?}");
    }
}
