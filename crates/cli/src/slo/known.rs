//! Where bucket bounds of histograms are learnt from.

use crate::exit::Failure;
use crate::place::one_file;
use clap::Args;
use esclusa_drivers::Placeholders;
use esclusa_drivers::metrics::{PrometheusAt, instant_query};
use esclusa_model::Millis;
use esclusa_slo::Buckets;
use std::path::PathBuf;

/// Longest wait for an answer.
const TIMEOUT: Millis = Millis(10_000);

/// Bucket bounds of histograms.
#[derive(Debug, Args)]
#[command(next_help_heading = "Bucket bounds of histograms")]
pub(crate) struct Known {
    /// Finite bounds of a histogram, such as request_seconds=0.1,0.5,1
    #[arg(long, value_name = "NAME=BOUNDS")]
    pub buckets: Vec<String>,
    /// What a scrape of /metrics gave
    #[arg(long, value_name = "FILE")]
    pub metrics: Vec<PathBuf>,
    /// A server that has scraped them
    #[arg(id = "known_prometheus", long = "prometheus", value_name = "URL")]
    pub prometheus: Option<String>,
}

impl Known {
    /// All bounds that can be learnt; a server is asked about `wanted` alone.
    pub(super) async fn buckets(&self, wanted: &[String]) -> Result<Buckets, Failure> {
        let mut buckets = Buckets::default();
        let bad = |why: String| {
            let help = "write --buckets name=0.1,0.5,1, or name a text that /metrics gave";
            Failure::input("ESC-0818", why, help)
        };
        for file in &self.metrics {
            let text = one_file(file, "name what a scrape of /metrics gave")?;
            if buckets.add_text(&text) == 0 {
                return Err(bad(format!("{} shows no histogram", file.display())));
            }
        }
        for written in &self.buckets {
            buckets
                .add_written(written)
                .map_err(|e| bad(e.to_string()))?;
        }
        if let Some(url) = &self.prometheus {
            let server = PrometheusAt {
                url: url.clone(),
                ..PrometheusAt::default()
            };
            for histogram in wanted {
                let query = Buckets::query(histogram);
                let answer = instant_query(&server, &query, &Placeholders::new(), TIMEOUT).await;
                let told = answer
                    .and_then(|answer| buckets.add_answer(&answer).map_err(|e| e.to_string()));
                // What was asked for and not learnt must not look like nothing found.
                told.map_err(|why| {
                    bad(format!(
                        "{url} does not tell the buckets of {histogram}: {why}"
                    ))
                })?;
            }
        }
        Ok(buckets)
    }
}
