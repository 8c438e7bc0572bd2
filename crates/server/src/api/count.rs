//! What this interface answered, counted for `/metrics`.

use axum::http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Answers by endpoint. Its size is bounded by the table of endpoints.
#[derive(Debug, Default)]
pub(crate) struct Count(Mutex<BTreeMap<(String, String, u16), u64>>);

impl Count {
    /// Counts one answer of an endpoint.
    pub(super) fn add(&self, method: &Method, path: &str, status: StatusCode) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts
            .entry((path.to_owned(), method.to_string(), status.as_u16()))
            .or_default() += 1;
    }

    /// Appends the counts as Prometheus text.
    pub(super) fn write(&self, out: &mut String) {
        out.push_str(
            "# HELP esclusa_api_requests_total Answers of the control plane's interface.\n",
        );
        out.push_str("# TYPE esclusa_api_requests_total counter\n");
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((path, method, status), count) in counts.iter() {
            // Writing to a string cannot fail; paths are our own and need no quoting.
            let _ = writeln!(
                out,
                "esclusa_api_requests_total{{path=\"{path}\",method=\"{method}\",status=\"{status}\"}} {count}"
            );
        }
    }
}
