//! Guards: asked directly, and by real web servers.

use crate::world::{LONG, World, document, flags, open_world, start, token};
use esclusa_wire::FlagTokenKind;
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const OFF: &str = r#"{"error":"ExecReports not available","code":"FEATURE_DISABLED"}"#;

// GRD-01, GRD-03, GRD-04
#[tokio::test]
async fn a_web_server_is_told_whether_a_request_may_pass() {
    let world = open_world();
    let nginx = |tenant| {
        [
            ("x-original-uri", "/modules/7/execute?x=1"),
            ("x-original-method", "POST"),
            ("x-tenant-id", tenant),
        ]
    };
    let open = world.call("GET", "/guard/shop", &nginx("acme"), "").await;
    assert_eq!((open.status, open.header("x-esclusa-flag")), (200, "on"));
    let closed = world.call("GET", "/guard/shop", &nginx("other"), "").await;
    assert_eq!(closed.status, 503);
    assert_eq!(closed.body, OFF);
    assert_eq!(closed.header("retry-after"), "60");
    assert_eq!(closed.header("content-type"), "application/json");
    let denied = world
        .call("GET", "/guard/shop?deny=403", &nginx("other"), "")
        .await;
    assert_eq!((denied.status, &denied.body[..]), (403, OFF.as_bytes()));
    let caddy = [
        ("x-forwarded-uri", "/soft/x"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    let soft = world.call("GET", "/guard/shop", &caddy, "").await;
    assert_eq!((soft.status, soft.header("x-esclusa-flag")), (200, "off"));
    let other = [("x-forwarded-uri", "/other"), ("x-forwarded-method", "GET")];
    let other = world.call("GET", "/guard/shop", &other, "").await;
    assert_eq!((other.status, other.header("x-esclusa-flag")), (200, ""));
    assert_eq!(
        world.call("GET", "/guard/nothing", &caddy, "").await.status,
        404
    );
    assert_eq!(world.call("GET", "/guard/shop", &[], "").await.status, 400);
}

// A client can add the headers that its web server does not set.
#[tokio::test]
async fn headers_of_another_kind_open_nothing() {
    let world = open_world();
    for (real, forged) in [
        (
            [
                ("x-original-uri", "/modules/7/execute"),
                ("x-original-method", "POST"),
            ],
            [("x-forwarded-uri", "/other"), ("x-forwarded-method", "GET")],
        ),
        (
            [
                ("x-forwarded-uri", "/modules/7/execute"),
                ("x-forwarded-method", "POST"),
            ],
            [("x-original-uri", "/other"), ("x-original-method", "GET")],
        ),
    ] {
        let both = [real, forged].concat();
        let answer = world.call("GET", "/guard/shop", &both, "").await;
        assert_eq!(answer.status, 503, "{both:?}");
        let without = [real[0]];
        let answer = world.call("GET", "/guard/shop", &without, "").await;
        assert_eq!(answer.status, 503, "no method is every method");
    }
}

#[tokio::test]
async fn a_wrong_token_of_a_web_server_is_refused() {
    let tokens = vec![
        token("web", FlagTokenKind::Server, "production"),
        token("staging", FlagTokenKind::Server, "staging"),
        token("browser", FlagTokenKind::Client, "production"),
    ];
    let world = start(&document(1, flags(), tokens));
    let ask = async |secret: &str| {
        let headers = [("x-esclusa-token", secret), ("x-original-uri", "/other")];
        world.call("GET", "/guard/shop", &headers, "").await.status
    };
    assert_eq!(ask("secret-of-web").await, 200);
    for wrong in ["secret-of-staging", "secret-of-browser", "wrong", ""] {
        assert_eq!(ask(wrong).await, 403, "{wrong}");
    }
}

fn jwt(claims: &serde_json::Value, secret: &str) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("signed")
}

// GRD-03: a tenant from a claim counts when its token does, and only then.
#[tokio::test]
async fn claims_count_when_they_are_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").expect("written");
    let mut set = flags();
    let guard = &mut set["guards"]["shop"];
    guard["tenant"] = json!([{ "claim": "org" }]);
    guard["claims"] = json!({ "secret": format!("file:{}", secret.display()), "issuer": "login", "audience": "shop" });
    let world = start(&document(1, set.clone(), Vec::new()));
    let ask = async |world: &World, bearer: &str| {
        let bearer = format!("Bearer {bearer}");
        let headers = [
            ("x-original-uri", "/modules/7/execute"),
            ("x-original-method", "POST"),
            ("authorization", bearer.as_str()),
        ];
        world.call("GET", "/guard/shop", &headers, "").await.status
    };
    let good = json!({ "org": "acme", "iss": "login", "aud": "shop", "exp": 4_000_000_000u64 });
    assert_eq!(ask(&world, &jwt(&good, "s3cret")).await, 200);
    assert_eq!(ask(&world, &jwt(&good, "wrong")).await, 503);
    for (field, bad) in [
        ("exp", json!(1)),
        ("exp", json!("4000000000")),
        ("exp", json!(null)),
        ("iss", json!("other")),
        ("aud", json!("other")),
        ("nbf", json!(4_000_000_000u64)),
        ("nbf", json!("soon")),
        ("org", json!("other")),
        ("org", json!(["acme"])),
    ] {
        let mut claims = good.clone();
        claims[field] = bad.clone();
        if bad.is_null() {
            claims.as_object_mut().expect("an object").remove(field);
        }
        assert_eq!(
            ask(&world, &jwt(&claims, "s3cret")).await,
            503,
            "{field} {bad}"
        );
    }
    // `alg: none`, which nobody signed.
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJvcmciOiJhY21lIiwiZXhwIjo0MDAwMDAwMDAwfQ.";
    assert_eq!(ask(&world, none).await, 503);
    // A secret that is gone verifies nothing, and the guard stays.
    std::fs::remove_file(&secret).expect("removed");
    let world = start(&document(1, set, Vec::new()));
    assert_eq!(ask(&world, &jwt(&good, "s3cret")).await, 503);
}

/// What another implementation signs.
fn signed_elsewhere(claims: &serde_json::Value) -> serde_json::Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/jwt.mjs");
    let run = std::process::Command::new("node")
        .args([script, &claims.to_string()])
        .output()
        .expect("node runs");
    assert!(run.status.success(), "{run:?}");
    serde_json::from_slice(&run.stdout).expect("JSON")
}

// GRD-03: tokens of an issuer count by its public keys, of every kind that issuers use; one
// that is signed with a public key as a secret, or by anybody else, is nobody's.
#[test]
fn tokens_of_an_issuer_are_verified_by_its_public_keys() {
    use esclusa_ofrep::Guard;
    let claims = json!({ "org": "acme", "iss": "login", "exp": 4_000_000_000u64 });
    let made = signed_elsewhere(&claims);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    std::fs::write(&file, made["jwks"].to_string()).expect("written");
    let definition = json!({
        "environment": "production",
        "tenant": [{ "claim": "org" }],
        "claims": { "jwks-file": file.display().to_string(), "issuer": "login" },
        "routes": [],
    });
    let definition = serde_json::from_value(definition).expect("a guard");
    let guard = Guard::compile("shop", &definition).expect("compiles");
    let tenant = |token: &str| {
        let mut headers = http::HeaderMap::new();
        let line = format!("Bearer {token}").parse().expect("a header");
        headers.insert("authorization", line);
        let units = guard.units(&headers, "", "/");
        units.tenant.map(std::borrow::Cow::into_owned)
    };
    let tokens = made["tokens"].as_object().expect("tokens");
    assert_eq!(tokens.len(), 7);
    for (name, token) in tokens {
        let token = token.as_str().expect("text");
        let good = !["forged", "stranger"].contains(&name.as_str());
        assert_eq!(tenant(token).is_some(), good, "{name}");
        // One letter of the signature is another.
        let (text, signature) = token.rsplit_once('.').expect("three parts");
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        assert_eq!(
            tenant(&format!("{text}.{first}{}", &signature[1..])),
            None,
            "{name}"
        );
    }
}

// GRD-03: a key can be changed while the guard stands.
#[test]
fn keys_are_read_again() {
    use esclusa_ofrep::Guard;
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "first").expect("written");
    let definition = json!({
        "environment": "production",
        "tenant": [{ "claim": "org" }],
        "claims": { "secret": format!("file:{}", secret.display()) },
        "routes": [],
    });
    let definition = serde_json::from_value(definition).expect("a guard");
    let guard = Guard::compile("shop", &definition).expect("compiles");
    let tenant = |secret: &str| {
        let token = jwt(&json!({ "org": "acme", "exp": 4_000_000_000u64 }), secret);
        let mut headers = http::HeaderMap::new();
        let line = format!("Bearer {token}").parse().expect("a header");
        headers.insert("authorization", line);
        let units = guard.units(&headers, "", "/");
        assert_eq!(units.lacks_tenant, units.tenant.is_none());
        units.tenant.map(std::borrow::Cow::into_owned)
    };
    assert_eq!(tenant("first").as_deref(), Some("acme"));
    assert_eq!(guard.trouble(), None);
    assert_eq!(tenant("second"), None);
    std::fs::write(&secret, "second").expect("written");
    guard.read_keys();
    assert_eq!(tenant("first"), None);
    assert_eq!(tenant("second").as_deref(), Some("acme"));
    std::fs::remove_file(&secret).expect("removed");
    guard.read_keys();
    assert_eq!(tenant("second"), None);
    let why = guard.trouble().expect("it is said");
    assert!(why.contains("cannot be read"), "{why}");
    std::fs::write(&secret, "second").expect("written");
    guard.read_keys();
    assert_eq!(guard.trouble(), None);
}

/// A web server with its socket in a folder of the test.
struct WebServer(Child);

impl Drop for WebServer {
    fn drop(&mut self) {
        use nix::sys::signal::{Signal, kill};
        // In order, so that it ends its own children; gone already is as good.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

async fn request(socket: &Path, method: &str, path: &str, tenant: &str) -> String {
    let asking = async {
        let mut stream = loop {
            match tokio::net::UnixStream::connect(socket).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: shop.example\r\nx-tenant-id: {tenant}\r\n\
             content-length: 2\r\nconnection: close\r\n\r\nhi"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("read");
        String::from_utf8_lossy(&answer).to_lowercase()
    };
    tokio::time::timeout(LONG, asking).await.expect("an answer")
}

async fn guards(socket: &Path) {
    let open = request(socket, "POST", "/modules/7/execute", "acme").await;
    assert!(
        open.starts_with("http/1.1 200") && open.contains("app on"),
        "{open}"
    );
    let closed = request(socket, "POST", "/modules/7/execute?x=1", "other").await;
    assert!(closed.starts_with("http/1.1 503"), "{closed}");
    assert!(closed.contains("\r\nretry-after: 60\r\n"), "{closed}");
    assert!(closed.ends_with(&OFF.to_lowercase()), "{closed}");
    let soft = request(socket, "GET", "/soft/x", "other").await;
    assert!(
        soft.starts_with("http/1.1 200") && soft.contains("app off"),
        "{soft}"
    );
    let other = request(socket, "GET", "/modules/7/execute", "other").await;
    assert!(
        other.starts_with("http/1.1 200") && other.contains("app"),
        "{other}"
    );
}

fn start_server(program: &str, args: &[&str], folder: &Path) -> WebServer {
    let child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_DATA_HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .stdin(Stdio::null())
        .spawn();
    WebServer(child.expect("installed by `cargo xtask setup`"))
}

#[tokio::test]
async fn nginx_asks_and_shows_the_guards_answer() {
    let world = open_world();
    let folder = tempfile::tempdir().expect("a folder");
    let user = if nix::unistd::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let config = include_str!("../../../../docs/examples/guard-nginx.conf")
        .replace("127.0.0.1:8016", &world.address.to_string());
    let folder_name = folder.path().display().to_string();
    let whole = format!(
        "{user} daemon off; pid {folder_name}/pid; error_log stderr warn; events {{}}\n\
         http {{ access_log off; client_body_temp_path {folder_name}; proxy_temp_path {folder_name};\n\
         fastcgi_temp_path {folder_name}; uwsgi_temp_path {folder_name}; scgi_temp_path {folder_name};\n\
         server {{ listen unix:{folder_name}/app; location / {{ return 200 \"app $http_x_esclusa_flag\"; }} }}\n\
         {} }}",
        config
            .replace("listen 80;", &format!("listen unix:{folder_name}/front;"))
            .replace(
                "http://127.0.0.1:3000",
                &format!("http://unix:{folder_name}/app")
            ),
    );
    let path = folder.path().join("nginx.conf");
    std::fs::write(&path, whole).expect("written");
    let path = path.display().to_string();
    let args = ["-p", &folder_name, "-c", &path, "-e", "stderr"];
    let _nginx = start_server("nginx", &args, folder.path());
    guards(&folder.path().join("front")).await;
}

#[tokio::test]
async fn caddy_asks_and_shows_the_guards_answer() {
    let world = open_world();
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().display().to_string();
    let config = include_str!("../../../../docs/examples/guard-Caddyfile")
        .replace("127.0.0.1:8016", &world.address.to_string())
        .replace(":80 {", &format!(":80 {{\n\tbind unix/{name}/front"))
        .replace(
            "reverse_proxy 127.0.0.1:3000",
            &format!("reverse_proxy unix/{name}/app"),
        );
    let whole = format!(
        "{{\n\tadmin off\n\tauto_https off\n}}\n{config}\n\
         :81 {{\n\tbind unix/{name}/app\n\trespond \"app {{http.request.header.X-Esclusa-Flag}}\"\n}}\n"
    );
    let path = folder.path().join("Caddyfile");
    std::fs::write(&path, whole).expect("written");
    let path = path.display().to_string();
    let args = ["run", "--config", &path, "--adapter", "caddyfile"];
    let _caddy = start_server("caddy", &args, folder.path());
    guards(&folder.path().join("front")).await;
}
