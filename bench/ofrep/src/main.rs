//! What one OFREP answer and one event cost: `cargo run --release -p esclusa-ofrep-bench`.
//!
//! Starts itself as servers and clients in processes of their own. Single evaluations: ours
//! beside a bare responder on the same HTTP library, answers a second of the server's
//! processor time. Streams: ours beside a bare loop of socket writes, with
//! `SUBSCRIBERS` (10,000) streams; what a kill takes to reach them, processor time and memory
//! of the server, and the same with readers that read nothing.

mod load;
mod measure;
mod servers;
mod streams;

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] => compare(),
        ["server", "esclusa"] => servers::esclusa(),
        ["server", "hyper"] => servers::hyper(),
        ["server", "loop"] => servers::socket_loop(),
        ["load", address, path, connections, seconds] => {
            load::run(address, path, connections, seconds)
        }
        ["subscribe", address, target, count, slow] => {
            streams::subscribe(address, target, count, slow)
        }
        _ => Err(io::Error::other("run it without arguments")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}

fn compare() -> io::Result<()> {
    measure::evaluations()?;
    measure::subscribers()
}
