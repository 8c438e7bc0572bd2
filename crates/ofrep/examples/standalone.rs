//! Serves a flag document, or a set of flags without tokens, from a file:
//! `cargo run -p esclusa-ofrep --example standalone -- FILE [ADDRESS]`.
//!
//! Reads the file again when a line arrives on its input, and ends with it.

use esclusa_flags::{FlagSet, Kills};
use esclusa_model::{Epoch, GenerationId};
use esclusa_ofrep::{FlagTable, Limits, Shared, serve};
use esclusa_wire::{FlagDocument, WIRE_VERSION};
use std::error::Error;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, BufReader};

fn read(path: &str, number: u64) -> Result<FlagTable, Box<dyn Error>> {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let document = match json.get("set") {
        Some(_) => serde_json::from_value(json)?,
        None => FlagDocument {
            v: WIRE_VERSION,
            id: GenerationId {
                epoch: Epoch(1),
                number,
            },
            set: FlagSet::from_json(json)?,
            kills: Kills::default(),
            rollouts: Vec::new(),
            tokens: Vec::new(),
            // Whoever can ask may also read events: only this machine can.
            key: "00".repeat(32),
            journal: Vec::new(),
        },
    };
    FlagTable::compile(&document).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n").into()
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name a file with flags")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8016".into());
    let shared = Arc::new(Shared::new(read(&path, 1)?));
    let listener = std::net::TcpListener::bind(&address)?;
    println!("flags are answered on http://{}", listener.local_addr()?);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(serve(
        listener,
        Arc::clone(&shared),
        Limits::default(),
        stopped,
    ));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut number = 1;
    while lines.next_line().await?.is_some() {
        number += 1;
        match read(&path, number) {
            Ok(table) => {
                shared.publish(table);
                println!("read again, revision {}", shared.table().revision());
            }
            Err(error) => eprintln!("the flags in force stay: {error}"),
        }
    }
    stop.send(true)?;
    serving.await??;
    Ok(())
}
