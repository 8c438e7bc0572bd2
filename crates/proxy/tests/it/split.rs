//! Who is sent where: shares, stickiness, and that every request is counted once.

use crate::support::{Client, World, digest, get, total};
use esclusa_model::{ComponentName, InstanceId};
use esclusa_wire::{Instance, RouteMatch, UpstreamPart};
use std::collections::BTreeMap;

const REQUESTS: u64 = 5_000;

/// How far `hits` of `n` lies from `share`, in standard deviations.
fn z(hits: u64, n: u64, share: f64) -> f64 {
    (hits as f64 - n as f64 * share) / (n as f64 * share * (1.0 - share)).sqrt()
}

// TRF-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_what_it_says_and_slices_equal_the_clients_counts() {
    let mut world = World::new().await;
    world.share(500).await;
    let mut tasks = Vec::new();
    for part in 0..4 {
        let listen = world.listen;
        tasks.push(tokio::spawn(async move {
            let mut client = Client::http1(listen).await;
            let mut seen: BTreeMap<String, u64> = BTreeMap::new();
            for n in 0..REQUESTS / 4 {
                let got = client
                    .get("/item/1", &[("x-tenant", &format!("user-{part}-{n:06}"))])
                    .await;
                assert_eq!(got.status, 200);
                *seen.entry(got.version().to_owned()).or_default() += 1;
            }
            seen
        }));
    }
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for task in tasks {
        for (version, n) in task.await.expect("client") {
            *seen.entry(version).or_default() += n;
        }
    }
    let (canary, stable) = (seen["canary"], seen["stable"]);
    assert_eq!(canary + stable, REQUESTS);
    assert!(
        z(canary, REQUESTS, 0.05).abs() < 3.5,
        "{canary} of {REQUESTS}"
    );
    assert_eq!(
        (world.canary.requests(), world.stable.requests()),
        (canary, stable)
    );

    let cells = world.cells(REQUESTS).await;
    for (name, n) in [("canary", canary), ("stable", stable)] {
        let mine =
            |c: &esclusa_judge::Cell| c.intended == digest(name) && c.served == Some(digest(name));
        assert_eq!(total(&cells, mine), n, "{name}");
        let latency: u64 = cells
            .iter()
            .filter(|c| mine(c))
            .map(|c| c.latency.total())
            .sum();
        assert_eq!(latency, n, "{name}");
    }
    assert!(
        cells
            .iter()
            .all(|c| c.route == "GET /item/:id" && c.events.is_empty() && !c.synthetic)
    );
    assert!(
        cells
            .iter()
            .all(|c| c.units.len() <= 16 && !c.units.is_empty() || c.requests == 0)
    );
}

#[tokio::test]
async fn nobody_and_everybody_are_exact() {
    let mut world = World::new().await;
    for (share, version) in [(0, "stable"), (10_000, "canary")] {
        world.share(share).await;
        let mut client = Client::http1(world.listen).await;
        for n in 0..200 {
            let got = client.get("/", &[("x-tenant", &format!("t{n}"))]).await;
            assert_eq!((got.version(), got.cookie()), (version, None));
        }
    }
    // A request without a unit is in the full share too.
    assert_eq!(get(world.listen, "/", &[]).await.version(), "canary");
}

#[tokio::test]
async fn a_unit_stays_where_it_is_and_a_share_only_adds() {
    let mut world = World::new().await;
    let mut before: Vec<bool> = vec![false; 300];
    for share in [500, 2_500, 5_000] {
        world.share(share).await;
        let mut client = Client::http1(world.listen).await;
        for (n, was) in before.iter_mut().enumerate() {
            let tenant = format!("tenant-{n}");
            let is = client.get("/", &[("x-tenant", &tenant)]).await.version() == "canary";
            let again = get(world.listen, "/other", &[("x-tenant", &tenant)])
                .await
                .version()
                == "canary";
            assert_eq!(is, again);
            assert!(is || !*was, "{tenant} left the canary at {share}");
            *was = is;
        }
    }
}

#[tokio::test]
async fn a_cookie_holds_a_unit_and_a_forged_one_does_not() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let mut versions = BTreeMap::new();
    for _ in 0..40 {
        let first = get(world.listen, "/", &[]).await;
        let set = first.headers["set-cookie"]
            .to_str()
            .expect("text")
            .to_owned();
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
        let cookie = first.cookie().expect("cookie");
        for _ in 0..3 {
            let line = format!("a=1; {cookie}; b=2");
            let next = get(world.listen, "/", &[("cookie", &line)]).await;
            assert_eq!((next.version(), next.cookie()), (first.version(), None));
        }
        *versions.entry(first.version().to_owned()).or_insert(0) += 1;
        // The header comes first in this service.
        let by_header = get(world.listen, "/", &[("cookie", &cookie), ("x-tenant", "t")]).await;
        let alone = get(world.listen, "/", &[("x-tenant", "t")]).await;
        assert_eq!(
            (by_header.version(), by_header.cookie()),
            (alone.version(), None)
        );

        let (name, value) = cookie.split_once('=').expect("pair");
        let forged = format!(
            "{name}={}{}",
            if value.starts_with('0') { '1' } else { '0' },
            &value[1..]
        );
        let replaced = get(world.listen, "/", &[("cookie", &forged)]).await;
        assert!(
            replaced
                .cookie()
                .is_some_and(|c| c != forged && c != cookie)
        );
    }
    assert_eq!(versions.len(), 2, "{versions:?}");
    let recorded = world.stable.seen.lock().expect("lock").clone();
    assert!(
        recorded
            .iter()
            .all(|r| !format!("{:?}", r.headers.get("cookie")).contains("esclusa"))
    );
    assert!(
        recorded
            .iter()
            .any(|r| r.headers.get("cookie").is_some_and(|c| c == "a=1; b=2"))
    );
}

#[tokio::test]
async fn a_known_population_gives_at_least_one() {
    let mut world = World::new().await;
    let tenants: Vec<String> = (0..12).map(|n| format!("tenant-{n}")).collect();
    let mut service = world.service(500);
    if let Some(split) = &mut service.split {
        split.population.clone_from(&tenants);
    }
    world.publish(vec![service]).await;
    let mut exposed = 0;
    for tenant in &tenants {
        exposed += u32::from(
            get(world.listen, "/", &[("x-tenant", tenant)])
                .await
                .version()
                == "canary",
        );
    }
    assert_eq!(exposed, 1);
}

#[tokio::test]
async fn esclusas_own_requests_reach_the_version_they_are_for() {
    let mut world = World::new().await;
    let service = {
        let mut service = world.service(500);
        if let Some(split) = &mut service.split {
            split.share = esclusa_model::BasisPoints::ZERO;
        }
        service
    };
    world.publish(vec![service]).await;
    let token =
        esclusa_proxy::synthetic_token(crate::support::KEY, &digest("canary")).expect("token");
    let header = esclusa_proxy::SYNTHETIC_HEADER;
    assert_eq!(
        get(world.listen, "/warm", &[(header, &token)])
            .await
            .version(),
        "canary"
    );
    assert_eq!(world.canary.last().headers.get(header), None);
    let forged = token.replace(&token[token.len() - 4..], "0000");
    assert_eq!(
        get(world.listen, "/warm", &[(header, &forged)])
            .await
            .version(),
        "stable"
    );
    let cells = world.cells(2).await;
    assert_eq!(
        total(&cells, |c| c.synthetic && c.intended == digest("canary")),
        1
    );
    assert_eq!(
        total(&cells, |c| !c.synthetic && c.intended == digest("stable")),
        1
    );
}

#[tokio::test]
async fn a_segment_is_exposed_whatever_the_share() {
    let mut world = World::new().await;
    let mut service = world.service(500);
    let segment = |when: &str| esclusa_flags::SegmentRule {
        name: "team".into(),
        when: when.into(),
    };
    if let Some(split) = &mut service.split {
        split.share = esclusa_model::BasisPoints::ZERO;
        split.segments = vec![segment(
            "tenant == \"acme\" || header(\"x-team\") == \"red\"",
        )];
    }
    world.publish(vec![service.clone()]).await;
    for (headers, expected) in [
        (&[("x-tenant", "acme")][..], "canary"),
        (&[("x-team", "red")], "canary"),
        (&[("x-tenant", "other")], "stable"),
        (&[], "stable"),
    ] {
        let got = get(world.listen, "/", headers).await;
        assert_eq!(
            (got.version(), got.cookie()),
            (expected, None),
            "{headers:?}"
        );
    }
    if let Some(split) = &mut service.split {
        split.segments = vec![segment("header(")];
    }
    let generation = world.generation(vec![service]);
    assert!(world.control.publish(&generation).await.is_err());
}

// TRF-18: one unit meets all components in one version.
#[tokio::test]
async fn components_of_a_version_answer_their_own_requests() {
    let mut world = World::new().await;
    let mut service = world.service(5_000);
    for (upstream, api) in service
        .upstreams
        .iter_mut()
        .zip([&world.canary, &world.stable])
    {
        // Here each version's api is the other's site, so that an answer tells them apart.
        let [instance] = &upstream.instances[..] else {
            panic!("one instance");
        };
        upstream.parts = vec![UpstreamPart {
            component: ComponentName::new("api").expect("name"),
            matches: RouteMatch {
                host: None,
                path: Some("/api".into()),
            },
            instances: vec![Instance {
                id: InstanceId::new(format!("api-{}", instance.id)).expect("id"),
                address: api.address.to_string(),
                ..instance.clone()
            }],
        }];
    }
    world.publish(vec![service]).await;
    let mut seen: BTreeMap<(String, String), u64> = BTreeMap::new();
    for n in 0..60 {
        let unit = format!("tenant-{n}");
        let of = async |path| {
            let got = get(world.listen, path, &[("x-tenant", &unit)]).await;
            got.version().to_owned()
        };
        let pair = (of("/apix").await, of("/api/orders").await);
        *seen.entry(pair).or_default() += 1;
    }
    let pair = |site: &str, api: &str| (site.to_owned(), api.to_owned());
    let known = [pair("stable", "canary"), pair("canary", "stable")];
    assert!(seen.keys().eq(known.iter().rev()), "{seen:?}");
    let cells = world.cells(120).await;
    for name in ["stable", "canary"] {
        let of = |c: &esclusa_judge::Cell| c.served == Some(digest(name));
        let part = |c: &esclusa_judge::Cell| {
            let instance = c.instance.as_ref().map_or("", InstanceId::as_str);
            of(c) && instance.starts_with("api-")
        };
        assert_eq!(total(&cells, of), 2 * total(&cells, part), "{name}");
    }
}
