//! Messages to people, by the real program, to programs of others: a mail server, and a
//! receiver of webhooks that checks signatures with the library of the standard.

mod channels;
mod links;
mod mail;

use super::told;
use super::world::{LONG, esclusa};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Waits for a person before anybody is exposed: no proxy, no version has to run.
const SIGNED_OFF: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:0 }
address: { url: 'http://127.0.0.1:9/${version}' }
requires:
  - sign-off: { roles: [security], within: 1h }
stages: [ { to: 50%, for: 10m }, { to: 100%, watch: 10m } ]
";

/// A control plane whose data folder holds this file, and `secret` with [`SECRET`].
fn plane(file: &str) -> ControlPlane {
    let prepare = |data: &Path| -> std::io::Result<()> {
        std::fs::create_dir_all(data)?;
        let here = |name: &str| data.join(name);
        std::fs::write(here("secret"), format!("{SECRET}\n"))?;
        std::fs::write(here("old-secret"), OLD_SECRET)?;
        std::fs::write(here("password"), "correct horse\n")?;
        let file = file.replace("DATA", &data.display().to_string());
        std::fs::write(here("notify.yaml"), file)
    };
    ControlPlane::start_on(esclusa(), prepare)
        .expect("prepared")
        .0
}

/// One webhook that is told everything, with short pauses.
fn hook(port: u16, more: &str) -> String {
    format!(
        "channels:
  - name: hook
    timeout: 700ms
    webhook: {{ url: 'http://127.0.0.1:{port}/hook', secrets: ['file:DATA/secret'] }}
rules: [ {{ channels: [hook] }} ]
retry: {{ first: 20ms, most: 200ms }}
{more}"
    )
}

async fn status(plane: &ControlPlane) -> Value {
    let (status, body) = plane.get("/api/v1/notifications").await;
    assert_eq!(status, 200, "{body:#}");
    body
}

/// Starts a release and waits until it waits for a sign-off.
async fn waiting_for_people(plane: &ControlPlane, version: &str) -> String {
    let release = plane.release(SIGNED_OFF, version).await;
    let held = |view: &Value| view["hold"].is_string();
    plane.until(&release, LONG, held).await;
    release
}

/// Waits until the only channel looks as wanted.
async fn channel_until(plane: &ControlPlane, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = wait_until("a channel", LONG, async || {
        let channel = status(plane).await["channels"][0].clone();
        wanted(&channel).then_some(channel)
    });
    match found.await {
        Ok(channel) => channel,
        Err(_) => panic!("{:#}\n{}", status(plane).await, plane.log()),
    }
}

/// The kinds of events of what was answered with 200, in order.
fn taken(got: &[Value]) -> Vec<String> {
    let taken = got.iter().filter(|line| line["answered"] == 200);
    taken
        .map(|line| line["event"]["type"].as_str().expect("a type").to_owned())
        .collect()
}

fn ids(got: &[Value]) -> Vec<String> {
    let id = |line: &Value| line["id"].as_str().expect("an id").to_owned();
    got.iter().map(id).collect()
}

fn notify(plane: &ControlPlane, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(esclusa());
    command
        .arg("notify")
        .args(args)
        .arg("--data")
        .arg(plane.data());
    told(&command.output().expect("runs"))
}
