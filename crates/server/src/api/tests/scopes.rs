//! Who gets in, as the description says, looked at for every endpoint and every caller.

use super::super::scopes::SCOPES;
use super::{Server, UNDESCRIBED, answer, description};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What somebody is answered who asks for more than they may, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Let {
    In,
    Out(StatusCode),
}

/// The levels, the smallest first; a token without any of them that has a plan's role sees.
const LEVELS: [&str; 4] = ["viewer", "approver", "operator", "admin"];
/// Names of tokens and the one role of each.
const CALLERS: [(&str, &str); 6] = [
    ("signer", "tech-lead"),
    ("security", "security"),
    ("viewer", "viewer"),
    ("approver", "approver"),
    ("operator", "operator"),
    ("root", "admin"),
];

/// Method and path of everything that the description lists, with its scope.
fn listed(description: &Value) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let scope = operation["x-esclusa-scope"].as_str();
            let scope = scope.unwrap_or_else(|| panic!("{method} {path} has no scope"));
            found.push((method.clone(), path.clone(), scope.to_owned()));
        }
    }
    found
}

/// What the scope says of somebody with this role; none for somebody without a token.
fn says(scope: &str, role: Option<&str>) -> Let {
    let Some(role) = role else {
        return match scope {
            "public" => Let::In,
            _ => Let::Out(StatusCode::UNAUTHORIZED),
        };
    };
    let level = |name: &str| LEVELS.iter().position(|level| *level == name);
    let enough = match scope {
        "public" | "token" => true,
        "sign-off" => role == "security",
        // Whoever is asked to agree may see to what.
        needed => level(role).unwrap_or(0) >= level(needed).expect("a level"),
    };
    if enough {
        Let::In
    } else {
        Let::Out(StatusCode::FORBIDDEN)
    }
}

/// Where the interface does something else than the description says.
async fn differences(server: &Server, tokens: &[String], description: &Value) -> Vec<String> {
    let (mut found, mut unmeant) = (Vec::new(), Vec::new());
    for (method, path, scope) in listed(description) {
        let filled = path.replace("{id}", "0191").replace("{name}", "shop");
        let body = if path.ends_with("/sign-offs") {
            json!({ "role": "security", "comment": "" }).to_string()
        } else {
            "{}".to_owned()
        };
        let mut compare = |who: &str, role: Option<&str>, status: StatusCode| {
            let got = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Let::Out(status),
                StatusCode::TOO_MANY_REQUESTS => Let::Out(StatusCode::TOO_MANY_REQUESTS),
                _ => Let::In,
            };
            if got != says(&scope, role) {
                found.push(format!("{method} {path} for {who}: {got:?}, not {scope}"));
            }
        };
        let nobody = server.send(&method, &filled, None, &body).await;
        compare("nobody", None, nobody.status());
        for ((name, role), token) in CALLERS.iter().zip(tokens) {
            let by_token = server.send(&method, &filled, Some(token), &body).await;
            compare(name, Some(role), by_token.status());
            // A new one each time: one of the endpoints ends it.
            let (cookie, csrf) = server.session(token).await;
            let headers = [("cookie", cookie.as_str()), ("x-esclusa-csrf", &csrf)];
            if method != "get" && scope != "public" {
                let bare = server.ask(&method, &filled, &headers[..1], &body).await;
                if bare.status() != StatusCode::FORBIDDEN {
                    unmeant.push(format!("{method} {path} without csrf: {}", bare.status()));
                }
            }
            let by_cookie = server.ask(&method, &filled, &headers, &body).await;
            let who = format!("{name} by cookie");
            compare(&who, Some(role), by_cookie.status());
        }
    }
    found.extend(unmeant);
    found
}

async fn tokens(server: &Server) -> Vec<String> {
    let mut tokens = Vec::new();
    for (name, role) in CALLERS {
        tokens.push(server.token(name, &[role]).await);
    }
    tokens
}

/// The description, with only some of its paths.
fn only(mut description: Value, keep: impl Fn(&str) -> bool) -> Value {
    let paths = description["paths"].as_object_mut().expect("paths");
    paths.retain(|path, _| keep(path));
    description
}

// SEC-03, SEC-15
#[tokio::test]
async fn every_endpoint_lets_in_whom_its_description_names_and_nobody_else() {
    // A server of its own for a few paths each, so that nobody asks too often.
    for tenth in 0..10 {
        let server = Server::start().await;
        let tokens = tokens(&server).await;
        let place = |path: &str| path.bytes().map(usize::from).sum::<usize>() % 10;
        let part = only(description().clone(), |path| place(path) == tenth);
        let found = differences(&server, &tokens, &part).await;
        assert_eq!(found, Vec::<String>::new());
    }
}

// The walk above fails on a row that is wrong.
#[tokio::test]
async fn a_wrong_row_is_noticed() {
    for (method, path, wrong) in [
        ("post", "/api/v1/tokens", "viewer"),
        ("get", "/api/v1/services", "admin"),
        ("get", "/api/v1/me", "public"),
        ("post", "/api/v1/releases/{id}/promote", "approver"),
        ("post", "/api/v1/releases/{id}/sign-offs", "token"),
    ] {
        let server = Server::start().await;
        let tokens = tokens(&server).await;
        let mut planted = only(description().clone(), |known| known == path);
        planted["paths"][path][method]["x-esclusa-scope"] = json!(wrong);
        let found = differences(&server, &tokens, &planted).await;
        let named = format!("{method} {path} for ");
        assert!(
            found.iter().any(|line| line.starts_with(&named)),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_token_is_never_let_in() {
    let server = Server::start().await;
    for (method, path, scope) in listed(description()) {
        if scope == "public" {
            continue;
        }
        let filled = path.replace("{id}", "0191").replace("{name}", "shop");
        for wrong in ["wrong", "esclusa_x_0"] {
            let answer = answer(server.send(&method, &filled, Some(wrong), "{}").await).await;
            // After ten failures it is 429: never let in either way.
            let expected = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
            assert!(expected.contains(&answer.status), "{method} {path}");
            assert!(
                answer.json["code"].is_string() && answer.json["help"].is_string(),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn table_and_description_name_the_same_endpoints() {
    let described = listed(description());
    let mut undescribed = 0;
    for (method, path, scope) in SCOPES {
        let found = described.iter().find(|(m, p, _)| m == method && p == path);
        assert_ne!(
            found.is_some(),
            UNDESCRIBED.contains(path),
            "{method} {path}"
        );
        undescribed += usize::from(found.is_none());
        if let Some((.., said)) = found {
            assert_eq!(said, scope.as_str(), "{method} {path}");
        }
    }
    assert_eq!(described.len() + undescribed, SCOPES.len());
}

// A change of who may do what is seen in review. `UPDATE=1` writes the table anew.
#[test]
fn the_page_on_security_has_the_table() {
    const BEGIN: &str = "<!-- scopes: written by a test -->\n";
    const END: &str = "<!-- end of scopes -->\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md");
    let text = std::fs::read_to_string(file).expect("docs/security.md");
    let (before, rest) = text.split_once(BEGIN).expect("the table's begin");
    let (known, after) = rest.split_once(END).expect("the table's end");
    let mut rows: Vec<_> = SCOPES.iter().collect();
    rows.sort_by_key(|(method, path, _)| (*path, *method));
    let mut table = "\n| endpoint | asks for |\n|---|---|\n".to_owned();
    for (method, path, scope) in rows {
        let method = method.to_uppercase();
        writeln!(table, "| `{method} {path}` | {} |", scope.as_str()).expect("a string");
    }
    table.push('\n');
    if std::env::var_os("UPDATE").is_some() {
        let whole = format!("{before}{BEGIN}{table}{END}{after}");
        std::fs::write(file, whole).expect("written");
    } else {
        assert!(
            known == table,
            "the table in docs/security.md is out of date: run this test with UPDATE=1"
        );
    }
}
