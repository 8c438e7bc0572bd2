use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// Signed once, with keys that nobody has kept; they are good until the year 2100.
fn signed() -> Value {
    serde_json::from_str(include_str!("../../../tests/tokens/tokens.json")).expect("JSON")
}

fn hs256(secret: &str, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn check() -> ClaimCheck {
    ClaimCheck {
        jwks_file: None,
        secret: None,
        issuer: None,
        audience: None,
    }
}

fn tenant(keys: &ClaimKeys, token: &str) -> Option<String> {
    Some(keys.claims(token)?.get("tenant_id")?.as_str()?.to_owned())
}

const LATER: u64 = 4_102_444_800;

// GRD-03
#[test]
fn a_shared_secret_vouches_for_its_own_tokens_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "s3cret\n").expect("written");
    let keys = ClaimKeys::new(ClaimCheck {
        secret: Some(format!("file:{}", path.display())),
        ..check()
    });
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let good = json!({ "tenant_id": "acme", "exp": LATER });
    let token = hs256("s3cret", &header, &good);
    assert_eq!(tenant(&keys, &token).as_deref(), Some("acme"));
    for (why, secret, header, claims) in [
        ("another secret", "guess", header.clone(), good.clone()),
        (
            "over",
            "s3cret",
            header.clone(),
            json!({ "tenant_id": "acme", "exp": 1_000_000 }),
        ),
        (
            "without an end",
            "s3cret",
            header.clone(),
            json!({ "tenant_id": "acme" }),
        ),
        (
            "an end in words",
            "s3cret",
            header.clone(),
            json!({ "tenant_id": "acme", "exp": "4102444800" }),
        ),
        (
            "not yet",
            "s3cret",
            header.clone(),
            json!({ "tenant_id": "acme", "exp": LATER, "nbf": LATER - 9 }),
        ),
        (
            "a beginning in words",
            "s3cret",
            header.clone(),
            json!({ "tenant_id": "acme", "exp": LATER, "nbf": "4102444000" }),
        ),
        (
            "another algorithm",
            "s3cret",
            json!({ "alg": "HS512" }),
            good.clone(),
        ),
        (
            "none at all",
            "s3cret",
            json!({ "alg": "none" }),
            good.clone(),
        ),
    ] {
        assert_eq!(
            tenant(&keys, &hs256(secret, &header, &claims)),
            None,
            "{why}"
        );
    }
    for broken in [
        "",
        "a.b.c",
        &token[..token.len() - 4],
        &format!("{token}.x"),
    ] {
        assert_eq!(tenant(&keys, broken), None, "{broken}");
    }
    // A secret that was changed, and one that is gone.
    std::fs::write(&path, "other").expect("written");
    keys.read_again();
    assert_eq!(tenant(&keys, &token), None);
    assert!(tenant(&keys, &hs256("other", &header, &good)).is_some());
    std::fs::remove_file(&path).expect("removed");
    keys.read_again();
    assert_eq!(tenant(&keys, &hs256("other", &header, &good)), None);
}

// GRD-03
#[test]
fn public_keys_vouch_for_their_issuers_tokens() {
    let signed = signed();
    let text = |name: &str| signed[name].as_str().expect("text").to_owned();
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, signed["jwks"].to_string()).expect("written");
    let keys = ClaimKeys::new(ClaimCheck {
        jwks_file: Some(path.display().to_string()),
        issuer: Some("https://id.example".into()),
        audience: Some("shop".into()),
        ..check()
    });
    assert_eq!(tenant(&keys, &text("rs256")).as_deref(), Some("acme"));
    assert_eq!(tenant(&keys, &text("es256")).as_deref(), Some("umbrella"));
    for bad in ["expired", "es_otherissuer"] {
        assert_eq!(tenant(&keys, &text(bad)), None, "{bad}");
    }
    // The text of a public key is no secret: signing with it makes nothing genuine.
    let modulus = signed["jwks"]["keys"][0]["n"].as_str().expect("text");
    let header = json!({ "alg": "HS256", "kid": "r1" });
    let claims =
        json!({ "tenant_id": "acme", "exp": LATER, "iss": "https://id.example", "aud": "shop" });
    assert_eq!(tenant(&keys, &hs256(modulus, &header, &claims)), None);
    let other = ClaimKeys::new(ClaimCheck {
        jwks_file: Some(path.display().to_string()),
        audience: Some("another".into()),
        ..check()
    });
    assert_eq!(tenant(&other, &text("rs256")), None);
    // A key without its partner's signature.
    let (message, _) = text("rs256")
        .rsplit_once('.')
        .map(|(m, s)| (m.to_owned(), s.to_owned()))
        .expect("parts");
    let (_, es) = text("es256")
        .rsplit_once('.')
        .map(|(m, s)| (m.to_owned(), s.to_owned()))
        .expect("parts");
    assert_eq!(tenant(&keys, &format!("{message}.{es}")), None);
}
