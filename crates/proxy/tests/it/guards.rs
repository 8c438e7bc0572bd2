//! Flags before proxied requests, and splits whose canary is a side of a flag.

use crate::flags::{document, kill, killed};
use crate::hand_over::take_over;
use crate::support::{
    Client, World, digest, events, eventually, get, raw_backend, read_head, total, upstream,
};
use bytes::Bytes;
use esclusa_flags::{AttributeValue, FlagSide, Rollout, Snapshot};
use esclusa_judge::{Cell, EventClass};
use esclusa_model::{BasisPoints, Epoch, ReleaseId};
use esclusa_wire::{FlagDocument, LostControlThen, ServiceRoute};
use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

fn set(guard: &Value) -> Value {
    json!({
        "revision": 1,
        "environments": ["production"],
        "tenants": { "acme": {}, "umbrella": {} },
        "flags": {
            "exec-reports": { "type": "boolean", "message": "ExecReports not available",
                "environments": { "production": { "tenants": { "acme": "on" } } } },
            "master_reports": { "type": "boolean" },
        },
        "guards": { "reports": guard },
    })
}

fn guard() -> Value {
    json!({
        "service": "shop",
        "environment": "production",
        "tenant": [{ "header": "x-tenant" }],
        "routes": [
            { "method": "POST", "path": "/modules/:moduleId/execute", "flag": "exec-reports" },
            { "method": "GET", "path": "/reports/*", "flag": "exec-reports", "mode": "fallback" },
            { "path": "/master", "flag": "master_reports", "status": 404, "retry-after": 5 },
        ],
    })
}

async fn guarded() -> World {
    let mut world = World::new().await;
    world.share(0).await;
    let taken = world
        .control
        .put_flags(&document(1, 1, set(&guard())))
        .await;
    taken.expect("taken");
    world
}

const EXECUTE: &str = "/modules/7/execute";

async fn post(world: &World, path: &str, headers: &[(&str, &str)]) -> crate::support::Got {
    let mut client = Client::http1(world.listen).await;
    let sent = client.send(Method::POST, path, headers, Bytes::from_static(b"{}"));
    sent.await.expect("an answer")
}

// GRD-01, GRD-02, GRD-04: trap 11.
#[tokio::test]
async fn a_feature_that_is_off_is_answered_before_any_version() {
    let world = guarded().await;
    let got = post(&world, EXECUTE, &[("x-tenant", "umbrella")]).await;
    let header = |got: &crate::support::Got, name: &str| {
        let value = got
            .headers
            .get(name)
            .map(|v| v.to_str().expect("text").to_owned());
        value.unwrap_or_default()
    };
    assert_eq!(got.status, 503);
    assert_eq!(
        got.body,
        r#"{"error":"ExecReports not available","code":"FEATURE_DISABLED"}"#
    );
    assert_eq!(header(&got, "retry-after"), "60");
    assert_eq!(header(&got, "content-type"), "application/json");
    assert_eq!(header(&got, "x-esclusa-guard"), "exec-reports");
    assert_eq!(header(&got, "cache-control"), "no-store");
    assert!(header(&got, "proxy-status").contains("http_request_denied"));
    let got = get(world.listen, "/master", &[("x-tenant", "acme")]).await;
    assert_eq!(
        (got.status, header(&got, "retry-after").as_str()),
        (404, "5")
    );
    assert_eq!(
        got.body,
        r#"{"error":"Master reports not available","code":"FEATURE_DISABLED"}"#
    );
    assert_eq!(world.stable.requests(), 0, "no version was asked");
    // Another spelling of the path is the same path.
    for path in ["/Modules//7/execute/", "/modules/7/%65xecute"] {
        assert_eq!(
            post(&world, path, &[("x-tenant", "umbrella")]).await.status,
            503
        );
    }
    let got = post(&world, EXECUTE, &[("x-tenant", "acme")]).await;
    assert_eq!((got.status, got.version()), (200, "stable"));
    assert!(!world.stable.last().headers.contains_key("x-esclusa-flag"));
    // Another method and path are nobody's business.
    for path in [EXECUTE, "/other"] {
        assert_eq!(get(world.listen, path, &[]).await.status, 200);
    }
    // Three requests went to a version; what the guard answered is in no slice at all.
    let cells = world.cells(3).await;
    assert!(cells.iter().all(|cell| cell.events.is_empty()), "{cells:?}");
    let metrics = world.control.metrics().await.expect("metrics");
    for line in [
        "esclusa_guard_requests_total{service=\"shop\",flag=\"exec-reports\",outcome=\"blocked\"} 3",
        "esclusa_guard_requests_total{service=\"shop\",flag=\"exec-reports\",outcome=\"open\"} 1",
        "esclusa_guard_requests_total{service=\"shop\",flag=\"master_reports\",outcome=\"blocked\"} 1",
        "esclusa_guard_without_tenant_total{service=\"shop\",flag=\"exec-reports\"} 0",
        "esclusa_faults_total{service=\"shop\",owner=\"client\"} 0",
        "esclusa_faults_total{service=\"shop\",owner=\"proxy\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

// GRD-05: trap 23.
#[tokio::test]
async fn an_application_can_be_told_to_do_without_the_feature() {
    let world = guarded().await;
    let forged = [
        ("x-tenant", "umbrella"),
        ("x-esclusa-flag", "on"),
        ("x-esclusa-flag-key", "other"),
    ];
    let got = get(world.listen, "/reports/exec/1", &forged).await;
    assert_eq!(got.status, 200);
    let seen = world.stable.last().headers;
    assert_eq!(seen["x-esclusa-flag"], "off");
    assert_eq!(seen["x-esclusa-flag-key"], "exec-reports");
    let own = [("x-tenant", "acme"), ("x-esclusa-flag", "off")];
    get(world.listen, "/reports/exec/1", &own).await;
    let seen = world.stable.last().headers;
    assert!(!seen.contains_key("x-esclusa-flag") && !seen.contains_key("x-esclusa-flag-key"));
}

// GRD-03: trap 22.
#[tokio::test]
async fn without_a_tenant_the_safe_value_decides_and_is_counted() {
    let mut world = guarded().await;
    assert_eq!(post(&world, EXECUTE, &[]).await.status, 503);
    let both = [("x-tenant", "acme"), ("x-tenant", "umbrella")];
    assert_eq!(
        post(&world, EXECUTE, &both).await.status,
        503,
        "not one of two"
    );
    let metrics = world.control.metrics().await.expect("metrics");
    let line = "esclusa_guard_without_tenant_total{service=\"shop\",flag=\"exec-reports\"} 2";
    assert!(metrics.contains(line), "{metrics}");
    let mut open = set(&guard());
    open["flags"]["exec-reports"]["safe"] = json!("on");
    world
        .control
        .put_flags(&document(1, 2, open))
        .await
        .expect("taken");
    assert_eq!(
        post(&world, EXECUTE, &[]).await.status,
        200,
        "declared safe"
    );
    // Killed is off, whatever is safe.
    killed(&world, &kill(None, true)).await;
    assert_eq!(post(&world, EXECUTE, &[]).await.status, 503);
    world.stop().await;
}

// EMG-04, BLD-07: trap 10.
#[tokio::test]
async fn a_kill_is_in_force_for_everybody_before_it_is_answered() {
    let mut world = guarded().await;
    let mut kept = Client::http2(world.listen).await;
    let acme = [("x-tenant", "acme")];
    let send = async |client: &mut Client| {
        let sent = client.send(Method::POST, EXECUTE, &acme, Bytes::new());
        sent.await.expect("an answer").status
    };
    assert_eq!(send(&mut kept).await, 200);
    killed(&world, &kill(Some(&["exec-reports"]), true)).await;
    assert_eq!(send(&mut kept).await, 503, "an override does not help");
    // A document of a controller that does not know of it changes nothing.
    world
        .control
        .put_flags(&document(1, 2, set(&guard())))
        .await
        .expect("taken");
    assert_eq!(send(&mut kept).await, 503);
    // Nor does a restart without anybody.
    world.restart().await;
    assert_eq!(post(&world, EXECUTE, &acme).await.status, 503);
    killed(&world, &kill(Some(&["exec-reports"]), false)).await;
    assert_eq!(post(&world, EXECUTE, &acme).await.status, 200);
}

// BLD-07
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_reaches_connections_of_a_proxy_that_drains() {
    let mut world = guarded().await;
    let acme = [("x-tenant", "acme")];
    let mut kept = Client::http2(world.listen).await;
    let mut slow = Client::http2(world.listen).await;
    let under_way = tokio::spawn(async move { slow.get("/slow/2000", &[]).await.status });
    eventually(|| async { (world.stable.requests() > 0).then_some(()) }).await;
    let _old = take_over(&mut world);
    killed(&world, &kill(None, true)).await;
    let sent = kept.send(Method::POST, EXECUTE, &acme, Bytes::new());
    // It may have been told to go already; it is answered by nothing older.
    if let Ok(got) = sent.await {
        assert_eq!(got.status, 503);
    }
    assert_eq!(post(&world, EXECUTE, &acme).await.status, 503);
    assert_eq!(under_way.await.expect("answer"), 200);
}

// GRD-03
#[tokio::test]
async fn a_tenant_is_read_from_a_verified_token_alone() {
    let mut world = World::new().await;
    world.share(0).await;
    let signed: Value = serde_json::from_str(include_str!("../tokens/tokens.json")).expect("JSON");
    let path = world.dir.path().join("jwks.json");
    std::fs::write(&path, signed["jwks"].to_string()).expect("written");
    let mut by_claim = guard();
    by_claim["tenant"] = json!([{ "claim": "tenant_id" }]);
    by_claim["claims"] = json!({ "jwks-file": path, "issuer": "https://id.example" });
    world
        .control
        .put_flags(&document(1, 1, set(&by_claim)))
        .await
        .expect("taken");
    let text = |name: &str| format!("Bearer {}", signed[name].as_str().expect("text"));
    for (name, status) in [
        ("rs256", 200),
        ("es256", 503),
        ("expired", 503),
        ("es_otherissuer", 503),
    ] {
        let got = post(&world, EXECUTE, &[("authorization", &text(name))]).await;
        assert_eq!(got.status, status, "{name}");
    }
    let header = [("x-tenant", "acme")];
    assert_eq!(
        post(&world, EXECUTE, &header).await.status,
        503,
        "a claim is asked for"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_guard_whose_key_cannot_be_read_is_shown() {
    let mut world = World::new().await;
    world.share(0).await;
    let mut guard = guard();
    guard["tenant"] = json!([{ "claim": "org" }]);
    guard["claims"] = json!({ "secret": "env:ESCLUSA_TEST_NO_SUCH_SECRET" });
    let taken = world.control.put_flags(&document(1, 1, set(&guard))).await;
    taken.expect("taken");
    let status = world.control.flag_status().await.expect("it says");
    assert_eq!(status.keyless.len(), 1, "{status:?}");
    assert_eq!(status.keyless[0].guard, "reports");
    let why = &status.keyless[0].trouble;
    assert!(
        why.contains("ESCLUSA_TEST_NO_SUCH_SECRET is not set"),
        "{why}"
    );
    let metrics = world.control.metrics().await.expect("metrics");
    assert!(
        metrics.contains("\nesclusa_guards_without_key 1\n"),
        "{metrics}"
    );
    let taken = world
        .control
        .put_flags(&document(2, 2, set(&self::guard())))
        .await;
    taken.expect("taken");
    let status = world.control.flag_status().await.expect("it says");
    assert_eq!(status.keyless, []);
    world.stop().await;
}

// GRD-05: what cannot work is refused.
#[tokio::test]
async fn guards_that_cannot_work_are_refused() {
    let world = guarded().await;
    let mut wrong = guard();
    wrong["routes"][0]["flag"] = json!("exec");
    let refused = world.control.put_flags(&document(1, 2, set(&wrong))).await;
    let told = refused.expect_err("wrong").to_string();
    assert!(told.contains("/guards/reports/routes/0/flag"), "{told}");
    let got = post(&world, EXECUTE, &[("x-tenant", "umbrella")]).await;
    assert_eq!(got.status, 503, "the one in force stays");
}

/// Flags with a rollout of `share`, and the service with the canary that is its side.
fn by_flag(world: &World, number: u64, share: u16) -> (FlagDocument, ServiceRoute) {
    let share = BasisPoints::new(share).expect("share");
    let mut flags = document(1, number, set(&guard()));
    flags.rollouts = vec![Rollout {
        release: ReleaseId::new("r1").expect("id"),
        environment: "production".into(),
        flags: [("master_reports".to_owned(), "on".to_owned())].into(),
        segments: Vec::new(),
        share,
        of: None,
        salt: "r1".into(),
    }];
    let mut service = world.service(share.get());
    // The same instances under another digest.
    service.upstreams[1] = upstream("stable", &[world.stable.address]);
    service.upstreams[1].digest = digest("stable with master reports");
    let split = service.split.as_mut().expect("a split");
    split.canary = digest("stable with master reports");
    split.by_flag = Some(FlagSide {
        environment: "production".into(),
        flag: "master_reports".into(),
        variant: "on".into(),
    });
    (flags, service)
}

/// Asks for a hundred tenants; which of them the slices say were on the canary's side.
async fn sides(world: &World, counted: u64) -> (u64, u64) {
    let mut client = Client::http1(world.listen).await;
    for n in 0..100 {
        let tenant = format!("t{n}");
        let got = client.get("/", &[("x-tenant", &tenant)]).await;
        assert_eq!((got.status, got.version()), (200, "stable"));
    }
    let cells = world.cells(counted + 100).await;
    let side = |name| total(&cells, |cell| cell.intended == digest(name));
    (side("stable"), side("stable with master reports"))
}

// ROL-01: slices carry the virtual version's digest.
#[tokio::test]
async fn a_split_by_flag_follows_the_evaluator_until_it_is_killed() {
    let mut world = World::new().await;
    let (flags, service) = by_flag(&world, 1, 5_000);
    // Before there are flags everybody is at the stable side.
    world.publish(vec![service.clone()]).await;
    assert_eq!(sides(&world, 0).await, (100, 0));
    world.control.put_flags(&flags).await.expect("taken");
    let set = flags.set.while_running(&flags.rollouts);
    let snapshot = Snapshot::compile(&set, "production").expect("a set");
    let on = (0..100).filter(|n| {
        let mut context = snapshot.context();
        context.set("targetingKey", AttributeValue::Text(&format!("t{n}")));
        context.evaluate("master_reports").is_on()
    });
    let on = on.count() as u64;
    assert!((20..80).contains(&on), "{on}");
    assert_eq!(sides(&world, 100).await, (200 - on, on));
    killed(&world, &kill(Some(&["master_reports"]), true)).await;
    assert_eq!(sides(&world, 200).await, (300 - on, on));
}

// ROL-04, EMG-04: a release that was taken back at the proxy turns no flag there.
#[tokio::test]
async fn taking_a_release_back_takes_its_flags_back() {
    let mut world = World::new().await;
    let (mut flags, service) = by_flag(&world, 1, 10_000);
    world.publish(vec![service.clone()]).await;
    world.control.put_flags(&flags).await.expect("taken");
    let master = [("x-tenant", "umbrella")];
    assert_eq!(get(world.listen, "/master", &master).await.status, 200);
    crate::take_back::take_back(&world).await;
    assert_eq!(get(world.listen, "/master", &master).await.status, 404);
    // Whoever publishes changes nothing, as long as the rollout is the same release's.
    flags.id.number = 2;
    world.control.put_flags(&flags).await.expect("taken");
    assert_eq!(get(world.listen, "/master", &master).await.status, 404);
    let without = world.service(0);
    world.publish(vec![without]).await;
    assert_eq!(get(world.listen, "/master", &master).await.status, 404);
    world.restart().await;
    assert_eq!(get(world.listen, "/master", &master).await.status, 404);
    // Until the release is gone from the flags.
    let rollouts = std::mem::take(&mut flags.rollouts);
    flags.id.number = 3;
    world.control.put_flags(&flags).await.expect("taken");
    flags.id.number = 4;
    flags.rollouts = rollouts;
    world.control.put_flags(&flags).await.expect("taken");
    assert_eq!(get(world.listen, "/master", &master).await.status, 200);
}

// Design: dead-man.
#[tokio::test]
async fn without_control_a_split_by_flag_is_taken_back_with_its_flags() {
    let mut world = World::new().await;
    let (flags, service) = by_flag(&world, 1, 5_000);
    let service = crate::survival::lonely(service, 1_500, LostControlThen::Return);
    world.control.put_flags(&flags).await.expect("taken");
    world.publish(vec![service]).await;
    let exposed = async || {
        let mut client = Client::http1(world.listen).await;
        let mut exposed = 0;
        for n in 0..50 {
            let tenant = format!("t{n}");
            let got = client.get("/master", &[("x-tenant", &tenant)]).await;
            exposed += usize::from(got.status == 200);
        }
        exposed
    };
    assert!(exposed().await > 0);
    eventually(|| async { (exposed().await == 0).then_some(()) }).await;
    let status = world.control.status().await.expect("status");
    assert_eq!(status.returned.len(), 1);
    // A newer controller that was told decides to show it again.
    let mut again = by_flag(&world, 2, 5_000);
    again.0.id.epoch = Epoch(2);
    world.control.status_as(Epoch(2)).await.expect("status");
    let mut generation = world.generation(vec![again.1]);
    generation.id.epoch = Epoch(2);
    world.control.publish(&generation).await.expect("published");
    world.control.put_flags(&again.0).await.expect("taken");
    let mut client = Client::http1(world.listen).await;
    let mut shown = 0;
    for n in 0..50 {
        let tenant = format!("t{n}");
        shown += usize::from(client.get("/master", &[("x-tenant", &tenant)]).await.status == 200);
    }
    assert!(shown > 0);
}

// Trap 11: an application's own guard says which of its 503s are no failures.
#[tokio::test]
async fn an_application_with_a_feature_off_has_not_failed() {
    let mut world = World::new().await;
    let address = raw_backend(|mut stream: TcpStream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let marked = if head.starts_with("GET /off ") {
                "X-Esclusa-Flag: off\r\n"
            } else {
                ""
            };
            let answer =
                format!("HTTP/1.1 503 Service Unavailable\r\n{marked}Content-Length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[address]);
    world.publish(vec![service]).await;
    for path in ["/off", "/off", "/broken"] {
        assert_eq!(get(world.listen, path, &[]).await.status, 503);
    }
    let cells = world.cells(3).await;
    assert_eq!(events(&cells, EventClass::FeatureDisabled), 2);
    assert_eq!(events(&cells, EventClass::ServerError), 1);
    assert_eq!(cells.iter().map(Cell::failures).sum::<u64>(), 1);
}
