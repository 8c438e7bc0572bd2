//! A controller that a test kills: it starts a process in a folder and waits.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "helpers of tests may panic"
)]

#[path = "../it/subject.rs"]
mod subject;

use esclusa_shim::ShimCommand;

fn main() {
    let mut args = std::env::args_os().skip(1);
    let shim = ShimCommand {
        program: args.next().expect("the shim's program").into(),
        args: Vec::new(),
    };
    let dir = args.next().expect("a folder");
    let spec = subject::spec("while :; do sleep 1; done");
    esclusa_shim::spawn(&shim, dir.as_ref(), &spec, subject::PATIENCE).expect("starts");
    loop {
        std::thread::park();
    }
}
