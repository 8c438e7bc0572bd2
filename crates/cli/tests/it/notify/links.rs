//! Links in messages.

use super::{SECRET, SIGNED_OFF, channel_until, hook, plane};
use crate::peers::Peer;
use crate::world::{LONG, ends};
use serde_json::Value;

// Who reads a message of a channel that may decide does so by its link, once.
#[tokio::test]
async fn a_message_s_links_sign_off_and_abort_once() {
    let sink = Peer::start("webhook.mjs", &["0", SECRET]).await;
    let base = "base-url: BASE\n";
    let plane =
        plane(&hook(sink.port, base).replace("- name: hook", "- name: hook\n    decide: true"));
    let http = reqwest::Client::new();
    // The plane's port is known only now.
    let place = plane.data().join("notify.yaml");
    let file = std::fs::read_to_string(&place).expect("read");
    std::fs::write(&place, file.replace("BASE", plane.url())).expect("written");
    plane.hang_up();
    channel_until(&plane, |channel| channel["channel"] == "hook").await;
    let strict = SIGNED_OFF.replace("within: 1h", "within: 1h, not-by-author: true");
    let release = plane.release(&strict, "2.4.1").await;
    let got = sink.until(|got| got.len() == 2).await;
    let links = links_of(&got[1]);
    let kinds: Vec<&str> = links.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(
        kinds,
        ["Open the release", "Abort"],
        "nobody signs off for others"
    );
    let (_, abort) = &links[1];
    assert!(abort.starts_with(&format!("{}/l/", plane.url())), "{abort}");
    // To look at a link does nothing: programs that read mail do.
    let page = http.get(abort).send().await.expect("answered");
    assert_eq!(page.status(), 200);
    let (_, view) = plane.get(&format!("/api/v1/releases/{release}")).await;
    assert_eq!(view["outcome"], Value::Null, "{view:#}");
    let send = |link: &str| http.post(link).body("reason=from+the+message").send();
    assert_eq!(send(abort).await.expect("answered").status(), 200);
    ends(&plane, &release, "aborted").await;
    let (_, events) = plane
        .get(&format!("/api/v1/releases/{release}/events"))
        .await;
    assert!(events.to_string().contains("link.hook"), "{events:#}");
    assert_eq!(send(abort).await.expect("answered").status(), 410, "once");

    let release = plane.release(SIGNED_OFF, "2.4.2").await;
    let got = sink.until(|got| got.len() == 5).await;
    let (text, approve) = &links_of(&got[4])[1];
    assert_eq!(text, "Approve as security");
    assert_eq!(send(approve).await.expect("answered").status(), 200);
    let signed = |view: &Value| view["sign_offs"][0]["by"] == "link.hook";
    plane.until(&release, LONG, signed).await;
}

/// Text and address of each link of a message.
fn links_of(line: &Value) -> Vec<(String, String)> {
    let links = line["event"]["data"]["links"].as_array().expect("links");
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    links
        .iter()
        .map(|link| (word(&link["text"]), word(&link["url"])))
        .collect()
}
