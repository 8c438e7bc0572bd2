//! What goes through, and how it looks on the other side.

use crate::support::{Client, World, digest, get, raw, read_head, upstream, whole_answer};
use bytes::Bytes;
use esclusa_model::ServiceName;
use esclusa_wire::{RouteMatch, UpstreamTls};
use http::Method;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn http_2_clients_are_served_and_split_as_http_1_clients_are() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let mut two = Client::http2(world.listen).await;
    let mut one = Client::http1(world.listen).await;
    for n in 0..50 {
        let tenant = format!("t{n}");
        let headers = [
            ("x-tenant", tenant.as_str()),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ];
        let over_two = two.get("/x?q=1", &headers).await;
        let over_one = one.get("/x?q=1", &[("x-tenant", &tenant)]).await;
        assert_eq!(over_two.version(), over_one.version());
    }
    let body = Bytes::from(vec![b'x'; 300_000]);
    let echoed = two
        .send(Method::POST, "/echo", &[("x-tenant", "t")], body.clone())
        .await
        .expect("answer");
    assert_eq!(echoed.body, body);
    let seen = world.stable.seen.lock().expect("lock").clone();
    let first = seen
        .iter()
        .find(|r| r.headers.contains_key("cookie"))
        .expect("a request over HTTP/2");
    assert_eq!(first.headers["host"], "shop.example");
    assert_eq!(first.headers["cookie"], "a=1; b=2");
    assert_eq!(first.path, "/x?q=1");
    // A length that is not one number is refused before any version sees it.
    let before = world.stable.requests() + world.canary.requests();
    let doubtful = [("content-length", "1"), ("content-length", "1")];
    let refused = Client::http2(world.listen)
        .await
        .send(Method::POST, "/", &doubtful, Bytes::from_static(b"x"))
        .await;
    assert!(refused.map_or(true, |got| got.status == 400));
    assert_eq!(world.stable.requests() + world.canary.requests(), before);
}

#[tokio::test]
async fn many_http_2_streams_at_once_keep_their_answers_apart() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let Client::Two(sender) = Client::http2(world.listen).await else {
        unreachable!()
    };
    let mut tasks = Vec::new();
    for n in 0..300 {
        let mut client = Client::Two(sender.clone());
        tasks.push(tokio::spawn(async move {
            let token = format!("token-{n}");
            let body = Bytes::from(token.clone());
            let got = client
                .send(Method::POST, "/echo", &[("x-tenant", &token)], body.clone())
                .await
                .expect("answer");
            assert_eq!((got.status, got.body), (200, body));
        }));
    }
    for task in tasks {
        task.await.expect("its own answer");
    }
    world.cells(300).await;
}

#[tokio::test]
async fn headers_are_those_of_a_careful_gateway() {
    let mut world = World::new().await;
    world.share(0).await;
    let got = get(
        world.listen,
        "/a",
        &[
            ("connection", "x-secret, x-forwarded-for, close"),
            ("x-secret", "1"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-esclusa-anything", "1"),
            ("te", "trailers, deflate"),
            ("x-mine", "kept"),
        ],
    )
    .await;
    assert_eq!(got.headers["server"], "backend/1");
    assert!(got.headers.contains_key("date") && got.headers.get_all("date").iter().count() == 1);
    let sent = world.stable.last().headers;
    for gone in [
        "x-secret",
        "x-esclusa-anything",
        "keep-alive",
        "transfer-encoding",
    ] {
        assert!(!sent.contains_key(gone), "{gone}");
    }
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", "http"),
        ("host", "shop.example"),
        ("te", "trailers"),
        ("x-mine", "kept"),
    ] {
        assert_eq!(sent[name], value);
    }
    let mut service = world.service(0);
    service.trusted_proxies.push("127.0.0.0/8".into());
    world.publish(vec![service]).await;
    get(
        world.listen,
        "/a",
        &[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
        ],
    )
    .await;
    let sent = world.stable.last().headers;
    assert_eq!(sent["x-forwarded-for"], "6.6.6.6, 127.0.0.1");
    assert_eq!(sent["x-forwarded-proto"], "https");
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let mut world = World::new().await;
    world.share(0).await;
    let lines = [
        ("HEAD / HTTP/1.1", "200", Some("content-length: 6")),
        ("GET /status/204 HTTP/1.1", "204", None),
        ("GET /status/304 HTTP/1.1", "304", None),
    ];
    for (line, status, length) in lines {
        let next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = raw(
            world.listen,
            format!("{line}\r\nHost: a\r\n\r\n{next}").as_bytes(),
        )
        .await;
        let (first, rest) = answer.split_once("\r\n\r\n").expect("head");
        assert!(first.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        if let Some(length) = length {
            assert!(first.contains(length), "{answer}");
        }
        assert!(rest.starts_with("HTTP/1.1 200"), "{line}: {answer}");
    }
}

#[tokio::test]
async fn a_client_is_told_to_continue() {
    let mut world = World::new().await;
    world.share(0).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    assert!(
        read_head(&mut stream)
            .await
            .expect("head")
            .starts_with("HTTP/1.1 100")
    );
    stream.write_all(b"hi").await.expect("written");
    let answer = whole_answer(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"),
        "{answer}"
    );
    assert!(!world.stable.last().headers.contains_key("expect"));
}

#[tokio::test]
async fn old_clients_are_served() {
    let mut world = World::new().await;
    world.share(0).await;
    let answer = raw(world.listen, b"GET /old HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    assert!(answer.ends_with("stable"), "{answer}");
    assert_eq!(
        world.stable.last().headers["host"],
        world.stable.address.to_string()
    );
}

#[tokio::test]
async fn services_share_a_listener_by_host_and_path() {
    let mut world = World::new().await;
    let named =
        |world: &World, name: &str, host: Option<&str>, path: Option<&str>, to_canary: bool| {
            let mut service = world.service(0);
            service.service = ServiceName::new(name).expect("name");
            service.matches = RouteMatch {
                host: host.map(Into::into),
                path: path.map(Into::into),
            };
            if to_canary {
                service.stable = digest("canary");
            }
            service
        };
    let services = vec![
        named(&world, "web", Some("shop.example"), None, false),
        named(&world, "api", Some("shop.example"), Some("/api"), true),
        named(&world, "other", Some("other.example"), None, true),
    ];
    world.publish(services.clone()).await;
    for (host, path, expected) in [
        ("shop.example", "/", "stable"),
        ("SHOP.example:8080", "/apix", "stable"),
        ("shop.example", "/api", "canary"),
        ("shop.example", "/api/v1?x", "canary"),
        ("other.example", "/api", "canary"),
    ] {
        assert_eq!(
            get(world.listen, path, &[("host", host)]).await.version(),
            expected,
            "{host}{path}"
        );
    }
    let none = get(world.listen, "/", &[("host", "nobody.example")]).await;
    assert_eq!(none.status, 404);
    assert_eq!(
        none.headers["proxy-status"],
        "esclusa; error=destination_not_found"
    );
    let slices = world.slices_with(5).await;
    assert!(
        slices
            .iter()
            .all(|s| s.slice.proxy_faults == 0 && s.slice.client_faults == 0)
    );
    // Two services may not claim the same requests.
    let mut twice = services;
    twice.push(named(&world, "third", Some("other.example"), None, true));
    let generation = world.generation(twice);
    assert!(world.control.publish(&generation).await.is_err());
}

#[tokio::test]
async fn listeners_follow_the_generation() {
    let mut world = World::new().await;
    world.share(0).await;
    let second = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        socket.local_addr().expect("address")
    };
    let mut service = world.service(0);
    service.listen = second.to_string();
    let mut kept = Client::http1(world.listen).await;
    assert_eq!(kept.get("/", &[]).await.status, 200);
    world.publish(vec![service.clone()]).await;
    // Open when the answer comes.
    assert_eq!(get(second, "/", &[]).await.status, 200);
    crate::support::eventually(|| async {
        TcpStream::connect(world.listen)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    // Nothing answers for the old address any more.
    assert_eq!(kept.get("/", &[]).await.status, 404);

    // An address that is taken is said, and does not stop the rest.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let mut other = world.service(0);
    other.service = ServiceName::new("other").expect("name");
    other.listen = taken.local_addr().expect("address").to_string();
    world.publish(vec![service, other]).await;
    let errors = world.control.status().await.expect("status").listen_errors;
    assert_eq!(errors.len(), 1);
    let address = taken.local_addr().expect("address");
    drop(taken);
    crate::support::eventually(|| async {
        let errors = world.control.status().await.expect("status").listen_errors;
        errors.is_empty().then_some(())
    })
    .await;
    assert_eq!(get(address, "/", &[]).await.status, 200);
}

#[tokio::test]
async fn a_version_behind_tls_gets_its_own_host_and_prefix() {
    let mut world = World::new().await;
    let certified =
        rcgen::generate_simple_self_signed(vec!["v2.internal".to_owned()]).expect("certificate");
    let ca_file = world.dir.path().join("ca.pem");
    std::fs::write(&ca_file, certified.cert.pem()).expect("written");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (heads, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let address = crate::support::raw_backend(move |stream: TcpStream| {
        let (acceptor, heads) = (acceptor.clone(), heads.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut head = Vec::new();
            while let Ok(byte) = stream.read_u8().await {
                head.push(byte);
                if head.ends_with(b"\r\n\r\n") {
                    let _ = heads.send(String::from_utf8_lossy(&head).into_owned());
                    head.clear();
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        .await;
                }
            }
        }
    })
    .await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[address]);
    {
        let instance = &mut service.upstreams[0].instances[0];
        instance.tls = Some(UpstreamTls {
            sni: "v2.internal".into(),
            ca_file: Some(ca_file.display().to_string()),
        });
        instance.host_header = Some("v2.internal".into());
        instance.path_prefix = "/v2/".into();
    }
    world.publish(vec![service.clone()]).await;
    for _ in 0..2 {
        assert_eq!(get(world.listen, "/items?x=1", &[]).await.body, "ok");
        let head = seen.recv().await.expect("head").to_ascii_lowercase();
        assert!(head.starts_with("get /v2/items?x=1 http/1.1\r\n"), "{head}");
        assert!(
            head.contains("host: v2.internal\r\n")
                && head.contains("x-forwarded-host: shop.example\r\n"),
            "{head}"
        );
    }
    // Another name is not what the certificate says.
    if let Some(tls) = &mut service.upstreams[0].instances[0].tls {
        tls.sni = "wrong.internal".into();
    }
    world.publish(vec![service]).await;
    assert_eq!(get(world.listen, "/", &[]).await.status, 502);
}

#[tokio::test]
async fn metrics_say_what_slices_say() {
    let scraped = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        socket.local_addr().expect("address")
    };
    let mut world = World::with(|config| config.metrics_listen = Some(scraped)).await;
    world.share(10_000).await;
    for path in ["/a", "/status/500", "/b"] {
        get(world.listen, path, &[("x-tenant", "t")]).await;
    }
    world.slices_with(3).await;
    let text = world.control.metrics().await.expect("metrics");
    let over_tcp = get(scraped, "/metrics", &[]).await.body;
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|l| l.starts_with('#'))
            .map(ToOwned::to_owned)
            .collect()
    };
    assert_eq!(names(&String::from_utf8_lossy(&over_tcp)), names(&text));
    // Whoever may scrape may not control.
    assert_eq!(get(scraped, "/v1/status", &[]).await.status, 404);
    let version = format!(
        "service=\"shop\",version=\"canary\",digest=\"{0}\"",
        digest("canary").short()
    );
    let short = digest("canary").short();
    for line in [
        format!(
            "esclusa_requests_total{{{version},served=\"{short}\",synthetic=\"false\",class=\"ok\"}} 2"
        ),
        format!(
            "esclusa_requests_total{{{version},served=\"{short}\",synthetic=\"false\",class=\"5xx\"}} 1"
        ),
        format!("esclusa_response_seconds_count{{{version}}} 2"),
        format!("esclusa_response_seconds_bucket{{{version},le=\"+Inf\"}} 2"),
        format!("esclusa_requests_in_flight{{{version}}} 0"),
        "esclusa_canary_share_ratio{service=\"shop\",release=\"r1\"} 1".to_owned(),
        format!("esclusa_version_info{{{version},track=\"canary\"}} 1"),
        "esclusa_proxy_generation_number 1".to_owned(),
        "esclusa_faults_total{service=\"shop\",owner=\"client\"} 0".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }

    // MET-08: what a version has counted keeps its labels when it serves no more.
    let mut service = world.service(0);
    service.upstreams.retain(|u| u.digest == digest("stable"));
    world.publish(vec![service]).await;
    let text = world.control.metrics().await.expect("metrics");
    let count = format!("esclusa_response_seconds_count{{{version}}} 2");
    assert!(text.lines().any(|l| l == count), "{text}");
    assert!(!text.contains("track=\"canary\""), "{text}");
}
