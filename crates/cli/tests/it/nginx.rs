//! The example of a release behind somebody's own nginx, with a real one.

use crate::world::{Shop, ask, ends, first, phase, plane, program, version};
use esclusa_testkit::load::{Load, LoadConfig};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::{ports, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/nginx")
}

/// An nginx with the example's configuration, on a port of its own.
struct Nginx {
    child: Child,
}

impl Nginx {
    fn start(folder: &Path, port: u16) -> Self {
        std::fs::create_dir_all(folder).expect("created");
        for name in ["nginx.conf", "split.conf"] {
            let text = std::fs::read_to_string(example().join(name)).expect("read");
            assert!(name != "nginx.conf" || text.contains("127.0.0.1:8080"));
            let text = text.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
            std::fs::write(folder.join(name), text).expect("written");
        }
        // In the foreground, so that it ends with this test.
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .args(["-g", "daemon off;"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is needed for this test (`cargo xtask setup` installs it)");
        Self { child }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap_or(0);
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

/// The example's plan and scripts in the work folder, with this nginx in place of the
/// machine's own.
fn take_over_example(plane: &ControlPlane, folder: &Path, port: u16) -> String {
    let settings = format!(
        "export NGINX_FOLDER='{}' NGINX_ADDRESS=127.0.0.1:{port}\n",
        folder.display()
    );
    for name in ["set-share.sh", "read-share.sh"] {
        let text = std::fs::read_to_string(example().join(name)).expect("read");
        let text = text.replacen("#!/bin/sh\n", &format!("#!/bin/sh\n{settings}"), 1);
        // nginx was started with a folder of its own; its commands have to name it.
        let text = text.replace("nginx -c", "nginx -p \"$folder\" -c");
        program(&plane.work().join(name), &text);
    }
    std::fs::read_to_string(example().join("esclusa.yaml")).expect("read")
}

async fn share(port: u16) -> String {
    let url = format!("http://127.0.0.1:{port}/esclusa-share");
    let answer = reqwest::get(url).await.expect("nginx answers");
    answer.text().await.expect("text").trim().to_owned()
}

// CAN-01: forward by a person, back as one, nobody fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nginx_that_is_already_there_is_turned_and_turned_back() {
    let plane = plane();
    let port = ports::free_port().expect("a port");
    let folder = plane.work().join("nginx");
    let _nginx = Nginx::start(&folder, port);
    wait_until("nginx", crate::world::LONG, async || {
        crate::world::listens(([127, 0, 0, 1], port).into()).then_some(())
    })
    .await
    .expect("nginx listens");
    let plan = take_over_example(&plane, &folder, port);
    for name in ["v1", "v2", "v3"] {
        version(&plane, name, "");
    }
    let at_once = plan.replace("watch: 10m", "watch: 1s");
    first(&plane, &at_once, "v1").await;
    assert_eq!(share(port).await, "100%");

    let shop = Shop {
        name: "shop".into(),
        port,
    };
    let load = Load::start(LoadConfig {
        user_header: Some(http::header::USER_AGENT),
        ..shop.load_config(60.0)
    })
    .expect("a load");
    let release = plane.release(&plan, "v2").await;
    phase(&plane, &release, "stage 1").await;
    assert_eq!(share(port).await, "5%");
    ask(&plane, &release, "skip").await;
    phase(&plane, &release, "stage 2").await;
    assert_eq!(share(port).await, "50%");
    wait_until("users of both versions", crate::world::LONG, async || {
        let versions = load.snapshot().by_version;
        ["v1", "v2"]
            .iter()
            .all(|name| versions.get(*name).is_some_and(|counts| counts.ok > 20))
            .then_some(())
    })
    .await
    .expect("both versions serve");
    ask(&plane, &release, "abort").await;
    ends(&plane, &release, "aborted").await;
    assert_eq!(share(port).await, "0%");

    let release = plane.release(&plan, "v3").await;
    phase(&plane, &release, "stage 1").await;
    ask(&plane, &release, "promote").await;
    phase(&plane, &release, "stage 3").await;
    assert_eq!(share(port).await, "100%");
    ask(&plane, &release, "skip").await;
    ends(&plane, &release, "promoted_early").await;
    let load = load.stop().await;
    // A reload of nginx closes idle connections under its clients: that is nginx's own, and
    // said in the guide. No answer was an error.
    let statuses: Vec<u16> = load.by_status.keys().copied().collect();
    assert_eq!((statuses, load.not_sent), (vec![200], 0), "{load}");
}
