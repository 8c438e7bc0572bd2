//! Mail, to a mail server of others.

use super::{SIGNED_OFF, notify, plane};
use crate::peers::Peer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// A private authority, and a server's certificate by it: paths of both and of the key.
fn certificates(folder: &Path) -> [String; 3] {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "an authority for tests");
    let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let server_key = key();
    let server = CertificateParams::new(vec!["localhost".to_owned()])
        .and_then(|params| params.signed_by(&server_key, &authority))
        .expect("a certificate");
    let files = [
        ("ca.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", server_key.serialize_pem()),
    ];
    files.map(|(name, pem)| {
        let path = folder.join(name);
        std::fs::write(&path, pem).expect("written");
        path.display().to_string()
    })
}

// NOT-03, NOT-09: a real mail server takes mail, in the open on this machine and behind
// STARTTLS and a login.
#[tokio::test]
async fn mail_arrives() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ca, cert, key] = certificates(folder.path());
    let others = folder.path().join("others");
    std::fs::create_dir(&others).expect("created");
    let [other_ca, ..] = certificates(&others);
    let plain = Peer::start("mail.mjs", &["0"]).await;
    let login = ["0", &key, &cert, "esclusa", "correct horse"];
    let secured = Peer::start("mail.mjs", &login).await;
    let plane = plane(&format!(
        "channels:
  - name: local
    smtp: {{ host: 127.0.0.1, port: {}, security: none, from: 'esclusa <esclusa@example.com>', to: [ops@example.com, 'Ana <ana@example.com>'] }}
  - name: secured
    language: es
    smtp: {{ host: localhost, port: {}, ca-file: {ca}, user: esclusa, password: 'file:DATA/password', from: esclusa@example.com, to: [ops@example.com] }}
  - name: stranger
    smtp: {{ host: localhost, port: {}, ca-file: {other_ca}, user: esclusa, password: 'file:DATA/password', from: esclusa@example.com, to: [ops@example.com] }}
rules: [ {{ channels: [local, secured] }} ]
",
        plain.port, secured.port, secured.port
    ));
    let (code, data, talk) = notify(&plane, &["test"]);
    assert_eq!(code, 1, "{data}{talk}");
    assert!(
        data.contains("local: delivered") && data.contains("secured: delivered"),
        "{data}"
    );
    assert!(data.contains("stranger: not delivered"), "{data}");
    assert!(!data.contains("correct horse"), "{data}");
    assert_eq!(notify(&plane, &["test", "local"]).0, 0);

    let release = plane.release(SIGNED_OFF, "2.4.1").await;
    let mails = plain.until(|got| got.len() == 4).await;
    let mail = mails
        .iter()
        .find(|mail| mail["subject"] == "[WARNING] shop 2.4.1 waits for a sign-off")
        .unwrap_or_else(|| panic!("{mails:#?}"));
    assert_eq!(
        mail["from"], "\"esclusa\" <esclusa@example.com>",
        "{mail:#}"
    );
    assert_eq!(
        mail["envelope"],
        json!(["ops@example.com", "ana@example.com"])
    );
    assert_eq!(mail["auto_submitted"], "auto-generated");
    assert_eq!(
        mail["list_id"],
        "shop on esclusa <shop.esclusa.example.com>"
    );
    assert_eq!(
        mail["references"],
        format!("<release-{release}@example.com>")
    );
    let text = mail["text"].as_str().expect("text");
    assert!(
        text.contains("these roles have agreed: security."),
        "{text}"
    );
    let html = mail["html"].as_str().expect("HTML");
    assert!(html.contains("<h2") && html.contains(&release), "{html}");
    let unique: BTreeSet<&str> = mails
        .iter()
        .filter_map(|m| m["message_id"].as_str())
        .collect();
    assert_eq!(unique.len(), 4, "{unique:?}");
    let mails = secured.until(|got| got.len() == 3).await;
    assert!(
        mails
            .iter()
            .all(|mail| mail["secure"] == true && mail["user"] == "esclusa")
    );
    let subjects: Vec<&str> = mails.iter().filter_map(|m| m["subject"].as_str()).collect();
    assert!(
        subjects.contains(&"[WARNING] shop 2.4.1 espera una aprobación"),
        "{subjects:?}"
    );
}
