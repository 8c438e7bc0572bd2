//! Logs of a release: what is listed is read, and nothing else ever is.

use super::{PLAN, Server};
use axum::http::StatusCode;
use serde_json::Value;
use std::time::Duration;

/// The plan with one step before.
fn plan() -> String {
    let step = "before:\n  - command: [sh, -c, 'true']\n    timeout: 10s\n    undo: none\nstages:";
    PLAN.replace("stages:", step)
}

/// A release whose step was tried, with what that printed put into its place by hand: the
/// supervisor of these tests starts nothing.
async fn with_step(server: &Server, root: &str) -> (String, std::path::PathBuf) {
    let security = server.token("eve", &["security"]).await;
    let id = server.release(root, &plan()).await;
    let agreed = "{\"role\":\"security\",\"comment\":\"\"}";
    let path = format!("/api/v1/releases/{id}/sign-offs");
    let signed = server.call("post", &path, Some(&security), agreed).await;
    assert_eq!(signed.status, StatusCode::OK, "{}", signed.json);
    let tail = &id[id.len() - 12..];
    let folder = server.data().join("steps").join(tail).join("before-0-1");
    let tried = async {
        loop {
            let path = format!("/api/v1/releases/{id}");
            let release = server.call("get", &path, Some(root), "").await.json;
            let tasks = release["tasks"].as_array().cloned().unwrap_or_default();
            if tasks.iter().any(|task| task["task"] == "before/0") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(super::LIMIT, tried)
        .await
        .expect("the step is tried");
    std::fs::create_dir_all(&folder).expect("made");
    (id, folder)
}

#[tokio::test]
async fn what_a_step_printed_is_listed_and_read_in_parts() {
    let server = Server::start().await;
    let root = server.token("root", &["admin"]).await;
    let (id, folder) = with_step(&server, &root).await;
    let text = "first\nto http://app:hunter22@db now\n";
    std::fs::write(folder.join("output.log"), text).expect("written");
    std::fs::write(folder.join("output.log.1"), "older\n").expect("written");
    let get = async |rest: &str| {
        let path = format!("/api/v1/releases/{id}/logs{rest}");
        server.call("get", &path, Some(&root), "").await
    };
    let list = get("").await.json;
    let names: Vec<&Value> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|log| &log["log"])
        .collect();
    assert_eq!(names, ["step-before-0-1", "step-before-0-1.1"]);
    assert_eq!(list[0]["size"], text.len());
    assert_eq!(
        (&list[0]["kind"], &list[0]["task"]),
        (&"step".into(), &"before/0".into())
    );

    let part = get("/step-before-0-1?limit=6").await.json;
    assert_eq!(
        (&part["text"], &part["next"]),
        (&"first\n".into(), &6.into())
    );
    let rest = get("/step-before-0-1?after=6").await.json;
    assert_eq!(rest["text"], "to http://app:***@db now\n");
    let older = get("/step-before-0-1.1").await.json;
    assert_eq!(older["text"], "older\n");
}

#[tokio::test]
async fn no_name_leaves_the_list() {
    let server = Server::start().await;
    let root = server.token("root", &["admin"]).await;
    let (id, folder) = with_step(&server, &root).await;
    std::fs::write(folder.join("output.log"), "mine").expect("written");
    std::fs::write(folder.join("secret.log"), "other").expect("written");
    std::fs::write(server.data().join("secret.log"), "other").expect("written");
    for name in [
        "..%2F..%2F..%2Fsecret.log",
        "step-before-0-1%2F..%2F..%2F..%2F..%2Fsecret.log",
        "%2Fetc%2Fpasswd",
        "step-before-0-1%2Fsecret.log",
        "step-before-0-1.4",
        "step-before-0-2",
        "step-before-0-1%00",
        "..",
        ".",
        "%2e%2e",
    ] {
        let path = format!("/api/v1/releases/{id}/logs/{name}");
        let answer = server.call("get", &path, Some(&root), "").await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{name}: {}",
            answer.json
        );
    }
}
