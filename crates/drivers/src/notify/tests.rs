//! What each channel sends, and what is said about a file that is wrong.

use super::webhook::sign;
use super::*;
use crate::error::Fault;
use base64::Engine as _;
use esclusa_plan::{SourceFile, render_all};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const EVENTS: [&str; 3] = ["release.held", "release.promoted", "health.proxy-down"];

fn message() -> Message {
    let fact = |name: &str, value: &str| Fact {
        name: name.into(),
        value: value.into(),
    };
    Message {
        event: "release.held".into(),
        severity: Severity::Warning,
        service: "shop".into(),
        release: Some("0192f0c1".into()),
        version: Some("2.4.1".into()),
        time: "2026-11-22T10:15:00.250Z".into(),
        language: Language::En,
        title: "shop 2.4.1 waits for a person".into(),
        text: "5 % of <all> users & nobody else; \"p95\" is [worse](http://x)".into(),
        facts: vec![fact("Service", "shop"), fact("Stage", "2 of 4, 25%")],
        links: vec![Link {
            text: "Look at it".into(),
            url: "https://esclusa.example/?a=1&b=2".into(),
        }],
        source: "https://esclusa.example".into(),
    }
}

fn delivery() -> Delivery {
    Delivery {
        id: "msg_2c5f3a".into(),
        message: message(),
        sent_at: Timestamp(1_790_000_000_000_000),
    }
}

// NOT-01, NOT-02, NOT-06: what goes over the wire is what the services document.
#[test]
fn payloads() {
    insta::assert_json_snapshot!("slack", slack::payload(&message()));
    insta::assert_json_snapshot!("teams", teams::payload(&message()));
    insta::assert_json_snapshot!("webhook", webhook::payload("msg_2c5f3a", &message()));
    insta::assert_snapshot!("mail_html", smtp::html(&message()));
    insta::assert_snapshot!("mail_plain", smtp::plain(&message()));
}

#[test]
fn slack_takes_only_so_much_and_never_a_mention() {
    let mut long = message();
    long.title = "&".repeat(1_000);
    long.text = "<!channel> ".repeat(1_000);
    long.facts = vec![
        Fact {
            name: "x".repeat(500),
            value: "&".repeat(9_000),
        };
        30
    ];
    let payload = slack::payload(&long);
    let length = |value: &serde_json::Value| value.as_str().expect("text").chars().count();
    assert!(length(&payload["blocks"][0]["text"]["text"]) <= 150);
    assert!(length(&payload["blocks"][1]["text"]["text"]) <= 3_000);
    assert!(length(&payload["text"]) <= 3_000);
    let fields = payload["blocks"][2]["fields"].as_array().expect("fields");
    assert_eq!(fields.len(), 10);
    assert!(fields.iter().all(|field| length(&field["text"]) <= 2_000));
    assert!(!payload.to_string().contains("<!channel>"));
    let teams = teams::payload(&long).to_string();
    assert!(teams.len() < 28_000, "{}", teams.len());
}

/// The example of the Standard Webhooks specification's reference libraries.
#[test]
fn signatures_are_those_of_the_standard() {
    let key = base64::engine::general_purpose::STANDARD
        .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .expect("a key");
    let body = br#"{"test": 2432232314}"#;
    let made = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).expect("signed");
    assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

fn read(text: &str) -> Result<NotifyConfig, String> {
    let source = SourceFile::new("notify.yaml", text);
    parse(&source, &EVENTS).map_err(|found| render_all(&source, &found))
}

const GOOD: &str = "
base-url: https://esclusa.example/
channels:
  - { name: ops, slack: { url: 'env:SLACK_URL' } }
  - { name: jefes, language: es, audience: stakeholders, teams: { url: 'file:/run/x' } }
  - { name: old, enabled: false, teams: { url: 'env:OLD' } }
  - name: hook
    timeout: 3s
    webhook: { url: 'http://127.0.0.1:9/x', secrets: ['env:A', 'cmd:pass b'] }
  - name: mail
    smtp: { host: mail.example, user: u, password: 'env:P', from: 'e <e@x.example>', to: [a@x.example] }
";

#[test]
fn a_good_file_is_read_and_its_rules_lead_where_they_say() {
    let config = read(GOOD).expect("good");
    assert_eq!(config.base_url.as_deref(), Some("https://esclusa.example"));
    let kinds: Vec<_> = config.channels.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, ["slack", "teams", "teams", "webhook", "smtp"]);
    let second = &config.channels[1];
    assert_eq!(
        (second.language, second.audience),
        (Language::Es, Audience::Stakeholders)
    );
    // Without rules: what matters goes everywhere that is on.
    let everywhere = ["hook", "jefes", "mail", "ops"];
    assert_eq!(
        config.route("release.held", Severity::Warning, "shop"),
        everywhere
    );
    let nowhere = config.route("release.promoted", Severity::Info, "shop");
    assert!(nowhere.is_empty(), "{nowhere:?}");

    // ALR-11: by severity, event and service.
    let rules = "rules:
  - { severity: critical, channels: [ops, mail, old] }
  - { events: [release.*], services: [shop], channels: [hook] }
";
    let config = read(&format!("{GOOD}{rules}")).expect("good");
    let route = |event, severity, service| config.route(event, severity, service);
    assert_eq!(
        route("health.proxy-down", Severity::Critical, ""),
        ["mail", "ops"]
    );
    assert_eq!(route("release.held", Severity::Info, "shop"), ["hook"]);
    assert_eq!(
        route("release.held", Severity::Critical, "shop"),
        ["hook", "mail", "ops"]
    );
    assert!(route("release.held", Severity::Warning, "pay").is_empty());
}

#[test]
fn all_that_is_wrong_with_a_file_is_said_at_its_place() {
    let bad = "
base-url: esclusa.example
channels:
  - name: ops
    slack: { url: 'https://hooks.slack.com/services/T0/B0/hunter2' }
  - { name: ops, webhook: { url: 'http://far.example/x', secrets: [hunter3] } }
  - { name: both, slack: { url: 'env:A' }, teams: { url: 'env:B' } }
  - name: mail
    timeout: 5m
    smtp: { host: mail.example, security: none, user: u, from: nobody, to: [], prot: 25 }
  - { name: 'a b' }
rules:
  - { events: [release.hold], severity: urgent, channels: [opps] }
retry: { first: 10m, attempts: 0 }
";
    let told = read(bad).expect_err("wrong");
    assert!(!told.contains("told twice"));
    assert!(!told.contains("hunter"), "secrets are shown to nobody");
    insta::assert_snapshot!("wrong_file", told);
    let unknown = read(&format!(
        "{GOOD}rules: [ {{ events: [release.hold], channels: [opss] }} ]\n"
    ));
    insta::assert_snapshot!("wrong_rule", unknown.expect_err("wrong"));
    insta::assert_snapshot!("empty_file", read("").expect_err("wrong"));
}

/// Answers one request with this text, and gives back what it was.
async fn answering(answer: &'static str) -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let seen = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut all = Vec::new();
            let mut part = [0; 4096];
            loop {
                let n = stream.read(&mut part).await.unwrap_or(0);
                all.extend_from_slice(&part[..n]);
                let text = String::from_utf8_lossy(&all).into_owned();
                let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.to_lowercase().lines().find_map(|line| {
                        line.strip_prefix("content-length: ")?.parse::<usize>().ok()
                    });
                    length.is_none_or(|length| body.len() >= length)
                });
                if whole || n == 0 {
                    *told.lock().expect("unpoisoned") = text;
                    break;
                }
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, seen)
}

async fn sent(url: &str, dir: &std::path::Path) -> Result<(), SendError> {
    let secret = dir.join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("written");
    let text = format!(
        "channels: [ {{ name: h, webhook: {{ url: '{url}', secrets: ['file:{}'] }} }} ]",
        secret.display()
    );
    let config = read(&text).expect("good");
    config.channels[0].channel.send(&delivery()).await
}

#[tokio::test]
async fn an_answer_is_believed_and_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let (url, seen) = answering("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").await;
    sent(&url, dir.path()).await.expect("taken");
    let request = seen.lock().expect("unpoisoned").clone();
    for part in [
        "POST /hook HTTP/1.1",
        "webhook-id: msg_2c5f3a",
        "webhook-timestamp: 1790000000",
        "webhook-signature: v1,",
        "content-type: application/cloudevents+json",
        "\"specversion\":\"1.0\"",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
    let busy = "HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nslow";
    let (url, _) = answering(busy).await;
    let why = sent(&url, dir.path()).await.expect_err("refused");
    assert_eq!(why.again, Again::Later(Some(Millis(7_000))));
    assert_eq!(why.message, "it answered 429: slow");
    let (url, _) = answering("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n").await;
    let why = sent(&url, dir.path()).await.expect_err("refused");
    assert_eq!((why.fault, why.again), (Fault::Config, Again::Never));
    assert!(!why.message.contains("hook"), "no address: {why}");
    let gone = sent("http://127.0.0.1:1/hook", dir.path())
        .await
        .expect_err("refused");
    assert_eq!(
        (gone.fault, gone.again),
        (Fault::Target, Again::Later(None))
    );
}

#[test]
fn a_mail_can_be_told_from_others_and_sorted() {
    let build = read(GOOD).expect("good");
    assert_eq!(build.channels[4].kind, "smtp");
    let cut = cut("ä".repeat(10).as_str(), 5);
    assert_eq!(cut, "ääää…");
    assert_eq!(one_line(" a\r\nBcc: x\t"), "a Bcc: x");
}
