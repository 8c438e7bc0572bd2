//! What the tests of the drivers start as processes of their own: the supervisor, and
//! controllers that are killed while an instance or a step runs.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "helpers of tests may panic"
)]

#[path = "../it/subject.rs"]
mod subject;

use esclusa_shim::ShimCommand;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next().unwrap_or_default();
    match verb.to_str() {
        Some("shim") => esclusa_shim::main(args),
        Some("instance") => control(args.next(), async |root| instance(root).await),
        Some("step") => control(args.next(), async |root| step(root).await),
        _ => ExitCode::from(2),
    }
}

fn control(root: Option<OsString>, work: impl AsyncFnOnce(&Path)) -> ExitCode {
    let root = PathBuf::from(root.expect("given by the test"));
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(work(&root));
    ExitCode::SUCCESS
}

fn shim() -> ShimCommand {
    ShimCommand {
        program: std::env::current_exe().expect("known"),
        args: vec!["shim".into()],
    }
}

/// Starts an instance, says so by a file, and waits to be killed.
async fn instance(root: &Path) {
    let process = subject::driver_called("process", shim());
    let spec = subject::spec(&process, root, subject::app()).await;
    process.start(&spec).await.expect("starts");
    std::fs::write(root.join("up"), "").expect("writes");
    std::future::pending::<()>().await;
}

async fn step(root: &Path) {
    let step = subject::step(root, subject::MIGRATION, subject::PATIENCE);
    step.run(&shim()).await.expect("runs");
}
