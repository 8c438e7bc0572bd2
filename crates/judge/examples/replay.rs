//! Replays recordings and prints their timelines: `cargo run --example replay -- FILE...`

use esclusa_judge::{JudgeConfig, replay};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path)?;
        let started = std::time::Instant::now();
        let timeline = replay::run(text.lines(), JudgeConfig::default())?;
        println!("{path} ({} ms)", started.elapsed().as_millis());
        for line in timeline {
            println!("  {}", serde_json::to_string(&line)?);
        }
    }
    Ok(())
}
