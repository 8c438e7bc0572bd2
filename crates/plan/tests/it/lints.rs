//! Contradictions that a plan is warned of or refused for: one plan that has each, and
//! the same plan put right.

use crate::catalog;
use esclusa_plan::{Diagnostic, Severity, SourceFile, parse, render_all};

const HEAD: &str = "esclusa: 1\nservice: shop\n";
const ROUTE: &str = "route: { listen: 127.0.0.1:8080 }\n";
const RUN: &str = "artifact: ./dist/${version}\nprocess: { command: [\"${dir}/shop\", \"${port}\"], ready: { http: /health } }\n";
const STAGES: &str = "stages: [{ to: 5%, for: 30m }, { to: 100%, watch: 1h }]\n";

fn findings(text: &str) -> (Vec<Diagnostic>, String) {
    let source = SourceFile::new("plan.yaml", text);
    let found = match parse(&source, &catalog::sample()) {
        Ok(parsed) => parsed.warnings,
        Err(found) => found,
    };
    let shown = render_all(&source, &found);
    (found, shown)
}

/// A plan with `wrong` has the finding at `path`; the same with `right` has none at all.
fn caught(code: &str, severity: Severity, path: &str, frame: &str, wrong: &str, right: &str) {
    let (found, shown) = findings(&frame.replace("@", wrong));
    let hit = found.iter().find(|d| d.code == code && d.path == path);
    assert!(
        hit.is_some_and(|d| d.severity == severity),
        "{wrong}:\n{shown}"
    );
    let (found, shown) = findings(&frame.replace("@", right));
    assert!(found.is_empty(), "{right}:\n{shown}");
}

fn plan(route: &str, run: &str, stages: &str) -> String {
    format!("{HEAD}{route}{run}{stages}@\n")
}

use Severity::{Error, Warning};

// Traps 7 and 53: a limit that cannot act is said so before anybody relies on it.
#[test]
fn limits_that_can_never_act() {
    let all = plan(ROUTE, RUN, STAGES);
    let warned = |path: &str, frame: &str, wrong: &str, right: &str| {
        caught("ESC-0220", Warning, path, frame, wrong, right);
    };
    warned(
        "judge.latency.p95.never-above",
        &all,
        "judge: { latency: { p95: { never-above: 60s } } }",
        "judge: { latency: { p95: { never-above: 59s } } }",
    );
    warned(
        "judge.errors.never-above",
        &all,
        "judge: { errors: { never-above: 100% } }",
        "judge: { errors: { never-above: 99% } }",
    );
    warned(
        "judge.floor",
        &all,
        "judge: { on-unproven: hold, floor: { min-requests: 5 } }",
        "judge: { on-unproven: promote-if-quiet, floor: { min-requests: 5 } }",
    );
    warned(
        "judge.blind.hold",
        &all,
        "judge: { blind: { hold: 2h } }\nhold: { for: 1h }",
        "judge: { blind: { hold: 1h } }\nhold: { for: 1h }",
    );
    let stage = plan(
        ROUTE,
        RUN,
        "stages: [{ to: 5%, for: 30m@ }, { to: 100%, watch: 1h }]\n",
    );
    let stage = stage.trim_end_matches("@\n");
    warned("stages[0].budget", stage, ", budget: 25h", ", budget: 24h");
    let stage = stage.replace("30m@", "@");
    warned(
        "stages[0].early",
        &stage,
        "60s, early: true",
        "61s, early: true",
    );
    let slow = format!("{stage}judge: {{ block-s: 50, warm-up: {{ arm-s: 10 }} }}\n");
    warned("stages[0].for", &slow, "40s", "50s");
    let routes = plan(
        "route: { listen: 127.0.0.1:8080, path: /shop, routes: [@] }\n",
        RUN,
        STAGES,
    );
    let routes = routes.trim_end_matches("@\n");
    warned(
        "route.routes[0]",
        routes,
        "GET /cart",
        "GET /shop/cart, \"/*\"",
    );
    let people = format!(
        "{HEAD}route: {{ listen: 127.0.0.1:8080, sticky: [header:x-tenant-id] }}\n{RUN}population: [a, b, c]\n\
         stages: [{{ to: 5%, for: 30m }}, {{ to: @, for: 30m }}, {{ to: 100%, watch: 1h }}]\n"
    );
    warned("stages[1].to", &people, "25%", "50%");
}

// Trap 7, exactly: the judge's histogram ends, and a rail beyond its end is never crossed.
#[test]
fn a_rail_beyond_the_histogram_is_noticed() {
    let all = plan(
        "route: { listen: 127.0.0.1:8080, response-timeout: 3h }\n",
        RUN,
        STAGES,
    );
    let all = all.replace("ready: {", "drain: 3h, ready: {");
    let (found, shown) =
        findings(&all.replace("@", "judge: { latency: { p95: { never-above: 2h } } }"));
    assert!(
        found.iter().any(|d| d.message.contains("told apart up to")),
        "{shown}"
    );
    let (found, _) =
        findings(&all.replace("@", "judge: { latency: { p95: { never-above: 9m } } }"));
    assert!(found.is_empty());
}

#[test]
fn times_that_contradict_each_other() {
    let run = RUN.replace("http: /health", "http: /health, @");
    let ready = plan(ROUTE, &run, STAGES);
    let ready = ready.trim_end_matches("@\n");
    let found = |severity, path, frame: &str, wrong, right| {
        caught("ESC-0221", severity, path, frame, wrong, right);
    };
    found(
        Warning,
        "process.ready.within",
        ready,
        "within: 6m",
        "within: 5m",
    );
    let drain = RUN.replace("ready: {", "drain: @, ready: {");
    let route = "route: { listen: 127.0.0.1:8080, response-timeout: 2m }\n";
    let drained = plan(route, &drain, STAGES);
    found(
        Warning,
        "process.drain",
        drained.trim_end_matches("@\n"),
        "1m",
        "2m",
    );
}

// Trap 50: 300000 here, 300 there, and nobody knows which is seconds.
#[test]
fn slips_of_the_unit() {
    let all = plan(ROUTE, RUN, STAGES);
    for (path, wrong, right, meant) in [
        (
            "deploy-timeout",
            "deploy-timeout: 300ms",
            "deploy-timeout: 300s",
            "`300s`",
        ),
        (
            "keep-warm.for",
            "keep-warm: { for: 48ms }",
            "keep-warm: { for: 48h }",
            "`48s`",
        ),
        (
            "judge.latency.p95.never-above",
            "judge: { latency: { p95: { never-above: 2000s } } }",
            "judge: { latency: { p95: { never-above: 2000ms } } }",
            "`2000ms`",
        ),
        (
            "judge.blind.hold",
            "judge: { blind: { hold: 120ms } }",
            "judge: { blind: { hold: 120s } }",
            "`120s`",
        ),
        (
            "before[0].timeout",
            "before: [{ command: ./x, undo: none, timeout: 30ms }]",
            "before: [{ command: ./x, undo: none, timeout: 30s }]",
            "`30s`",
        ),
        (
            "requires[0].sign-off.within",
            "requires: [{ sign-off: { roles: [dba], within: 24s } }]",
            "requires: [{ sign-off: { roles: [dba], within: 24h } }]",
            "`24m`",
        ),
        (
            "hold.for",
            "hold: { for: 500ms }",
            "hold: { for: 10m }",
            "`500s`",
        ),
    ] {
        caught("ESC-0222", Warning, path, &all, wrong, right);
        let (found, shown) = findings(&all.replace("@", wrong));
        let help = found
            .iter()
            .find(|d| d.code == "ESC-0222")
            .map(|d| d.help.as_str());
        assert!(help.is_some_and(|help| help.contains(meant)), "{shown}");
    }
}

#[test]
fn roles_and_repeated_questions() {
    let all = plan(ROUTE, RUN, STAGES);
    caught(
        "ESC-0223",
        Error,
        "requires[0].sign-off.roles[0]",
        &all,
        "requires: [{ sign-off: { roles: [Tech Lead] } }]",
        "requires: [{ sign-off: { roles: [tech-lead] } }]",
    );
    caught(
        "ESC-0223",
        Warning,
        "requires[1].sign-off.roles[0]",
        &all,
        "requires: [{ sign-off: { roles: [tech-lead] } }, { sign-off: { roles: [techlead] } }]",
        "requires: [{ sign-off: { roles: [tech-lead] } }, { sign-off: { roles: [security] } }]",
    );
    caught(
        "ESC-0224",
        Warning,
        "requires[1].sign-off.roles[0]",
        &all,
        "requires: [{ sign-off: { roles: [dba] } }, { sign-off: { roles: [dba] } }]",
        "requires: [{ sign-off: { roles: [dba] } }, { sign-off: { roles: [security] } }]",
    );
    caught(
        "ESC-0224",
        Warning,
        "requires[1].tcp",
        &all,
        "requires: [{ tcp: { address: \"a:1\" } }, { tcp: { address: \"a:1\" } }]",
        "requires: [{ tcp: { address: \"a:1\" } }, { tcp: { address: \"a:2\" } }]",
    );
}

#[test]
fn requests_that_would_come_back() {
    let taken = plan(ROUTE, RUN, STAGES);
    caught(
        "ESC-0225",
        Error,
        "take-over.url",
        &taken,
        "take-over: { version: 1, url: http://localhost:8080 }",
        "take-over: { version: 1, url: http://localhost:3000 }",
    );
    let address = plan(ROUTE, "address: { url: \"@\" }\n", STAGES);
    let address = address.trim_end_matches("@\n");
    caught(
        "ESC-0225",
        Error,
        "address.url",
        address,
        "http://127.0.0.1:8080/x",
        "http://127.0.0.1:8081/x",
    );
}

// Trap 17: going back is written before it is needed, and is not the step itself.
#[test]
fn steps_without_a_way_back() {
    let all = plan(ROUTE, RUN, STAGES);
    let found = |path, wrong, right| caught("ESC-0206", Warning, path, &all, wrong, right);
    found(
        "before[0]",
        "before: [{ command: ./up }]",
        "before: [{ command: ./up, undo: ./down }]",
    );
    found(
        "before[0]",
        "before: [{ command: ./up }]",
        "before: [{ command: ./up, undo: none }]",
    );
    found(
        "after[0].undo",
        "after: [{ command: ./up, undo: ./up }]",
        "after: [{ command: ./up, undo: ./down }]",
    );
}

#[test]
fn a_singleton_without_a_hand_over() {
    let cron = "components:\n  cron: { kind: singleton, artifact: ./dist, process: { command: [\"${dir}/cron\"]@ } }\n";
    let all = format!("{HEAD}{cron}judge: {{ blind: {{ then: hold }} }}\n{STAGES}");
    let (found, shown) = findings(&all.replace("@", ""));
    assert!(
        found
            .iter()
            .any(|d| d.code == "ESC-0207" && d.severity == Warning),
        "{shown}"
    );
    let (found, shown) =
        findings(&all.replace("@", ", track-hook: [\"${dir}/cron\", \"${track}\"]"));
    assert!(found.iter().all(|d| d.code != "ESC-0207"), "{shown}");
}

#[test]
fn what_a_driver_cannot_do() {
    let router = format!(
        "{HEAD}traffic: {{ command: {{ set: ./set.sh, read: ./read.sh }} }}\naddress: {{ url: \"http://shop-${{version}}.internal\" }}\n\
         judge: {{ blind: {{ then: hold }} }}\nstages: [{{ @ }}, {{ to: 100%, watch: 1h }}]\n"
    );
    for (path, wrong) in [
        ("stages[0].to", "to: 0.5%, for: 30m"),
        ("stages[0].early", "to: 5%, for: 30m, early: true"),
    ] {
        let (found, shown) = findings(&router.replace('@', wrong));
        let hit = found.iter().any(|d| d.code == "ESC-0208" && d.path == path);
        assert!(hit, "{shown}");
    }
    let (found, shown) = findings(&router.replace('@', "to: 5%, for: 30m"));
    assert!(found.iter().all(|d| d.code != "ESC-0208"), "{shown}");
}
