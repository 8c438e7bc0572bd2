//! The cases of the suite, the client that asks them, and reports.
//!
//! A case sends requests and compares what comes with what the protocol says, or with what
//! released clients were seen to need where the protocol leaves it open; `basis` says which.
//! A server that lacks something optional skips, it does not fail.

mod cases;
mod client;
mod report;

pub use client::{Reply, Settings};
pub use report::{Case, Outcome, Report};

use client::Client;
use std::io;

/// Asks everything.
///
/// # Errors
/// When the server does not answer at all.
pub fn run(settings: &Settings) -> io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::new(settings);
        // Not reachable is no failure of a case.
        client.post("/ofrep/v1/evaluate/flags", "{}").await?;
        Ok(Report {
            base_url: settings.base_url.clone(),
            cases: cases::all(&client).await,
        })
    })
}
