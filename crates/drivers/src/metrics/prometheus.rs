//! `prometheus`: an instant query gives one number.
//!
//! `GET /api/v1/query` of the HTTP API, at one time for both sides. The query has to give
//! exactly one series or a scalar: of several nobody knows which is meant, and none is no
//! zero. Prometheus itself leaves out series that their target stopped to give; a query
//! over a range (`increase(...[1m])`) copes with counters that begin anew.

use super::ask::{Answered, Door, door_fields, lack_of};
use super::{Adapter, Lack, MetricContext, MetricSource, Reading, Side, Unknown, believed, value};
use crate::clock::now;
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::http::shown;
use crate::template::fill;
use async_trait::async_trait;
use esclusa_model::Millis;
use esclusa_plan::{DriverEntry, FieldKind, Placeholders};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "prometheus";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |config| Ok(Arc::new(Prometheus::new(read::<Block>(NAME, config)?)?)),
};
/// How many series of a wrong answer are named.
const NAMED: usize = 3;

fn describe() -> DriverEntry {
    entry(
        NAME,
        "An instant query of Prometheus, or of anything with its HTTP API.",
        [
            required(
                "url",
                FieldKind::Text,
                "The server, such as http://127.0.0.1:9090.",
            ),
            optional(
                "query",
                FieldKind::Template,
                "PromQL that gives one number, with ${version} for the side that is asked about.",
            ),
            optional(
                "query-baseline",
                FieldKind::Template,
                "In place of `query`: that for the stable version.",
            ),
            optional(
                "query-canary",
                FieldKind::Template,
                "In place of `query`: that for the canary.",
            ),
        ]
        .into_iter()
        .chain(door_fields())
        .collect(),
        &[],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Block {
    url: String,
    query: Option<String>,
    query_baseline: Option<String>,
    query_canary: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    ca_file: Option<String>,
}

struct Prometheus {
    /// The address of the query endpoint.
    url: Url,
    baseline: String,
    canary: String,
    door: Door,
}

impl Prometheus {
    fn new(block: Block) -> Result<Self, DriverError> {
        let bad = |why: String| DriverError::config(format!("{NAME}: url: {why}"));
        let (baseline, canary) = match (block.query, block.query_baseline, block.query_canary) {
            (Some(both), None, None) => (both.clone(), both),
            (None, Some(baseline), Some(canary)) => (baseline, canary),
            _ => {
                return Err(DriverError::config(format!(
                    "{NAME}: either `query`, or `query-baseline` and `query-canary`"
                )));
            }
        };
        Ok(Self {
            url: endpoint(&block.url).map_err(bad)?,
            baseline,
            canary,
            door: Door {
                headers: block.headers,
                ca_file: block.ca_file,
            },
        })
    }

    async fn answer(&self, context: &MetricContext) -> Result<Reading, Unknown> {
        let query = match context.side {
            Side::Baseline => &self.baseline,
            Side::Canary => &self.canary,
        };
        let query = fill(query, &context.placeholders)?;
        let url = asking(self.url.clone(), &query, context);
        let answered = self.door.ask(url.as_str(), context).await?;
        let shown = shown(url.as_str());
        let sample = sample(&answered)
            .map_err(|unknown| Unknown::new(unknown.lack, format!("{shown}: {}", unknown.why)))?;
        let number = value::number(&sample[1]).ok_or_else(|| not_understood(&shown))?;
        Ok(believed(number, value::time(&sample[0]), context))
    }
}

/// A server that has the HTTP API of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrometheusAt {
    /// Its address, such as `http://127.0.0.1:9090`.
    pub url: String,
    /// Headers; a secret is a reference such as `env:TOKEN`.
    pub headers: BTreeMap<String, String>,
    /// PEM file of a private certificate authority.
    pub ca_file: Option<String>,
}

/// Asks an instant query now, and gives the whole answer, whatever it says.
///
/// # Errors
/// Why there is no answer of this API.
pub async fn instant_query(
    server: &PrometheusAt,
    query: &str,
    placeholders: &Placeholders,
    timeout: Millis,
) -> Result<Value, String> {
    let context = MetricContext {
        placeholders: placeholders.clone(),
        side: Side::Canary,
        env: BTreeMap::new(),
        cwd: "/".into(),
        at: now(),
        fresh: timeout,
        timeout,
    };
    let url = asking(endpoint(&server.url)?, query, &context);
    let door = Door {
        headers: server.headers.clone(),
        ca_file: server.ca_file.clone(),
    };
    let answered = door.ask(url.as_str(), &context).await;
    answered
        .map(|answered| answered.body)
        .map_err(|unknown| unknown.why)
}

/// The address of the query endpoint.
fn endpoint(url: &str) -> Result<Url, String> {
    let mut url = Url::parse(url).map_err(|e| e.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it begins with neither http:// nor https://".into());
    }
    url.path_segments_mut()
        .map_err(|()| "it has no path")?
        .pop_if_empty()
        .extend(["api", "v1", "query"]);
    Ok(url)
}

/// The endpoint with a question.
fn asking(mut url: Url, query: &str, context: &MetricContext) -> Url {
    let micros = context.at.0;
    let (seconds, millis) = (
        micros.div_euclid(1_000_000),
        micros.rem_euclid(1_000_000) / 1_000,
    );
    url.query_pairs_mut()
        .append_pair("query", query)
        .append_pair("time", &format!("{seconds}.{millis:03}"))
        .append_pair("timeout", &format!("{}ms", context.timeout.0));
    url
}

#[async_trait]
impl MetricSource for Prometheus {
    async fn read(&self, context: &MetricContext) -> Reading {
        self.answer(context).await.into()
    }
}

fn not_understood(shown: &str) -> Unknown {
    let why = format!("{shown}: the answer is none of the Prometheus HTTP API");
    Unknown::new(Lack::Question, why)
}

/// The one `[time, "number"]` of an answer.
fn sample(answered: &Answered) -> Result<[Value; 2], Unknown> {
    let body = &answered.body;
    if body["status"] != "success" {
        let status = answered.status;
        let said = body["error"].as_str().map_or_else(
            || format!("status {status}"),
            |error| error.chars().take(200).collect(),
        );
        // 503 is a query that took too long, or a server that is not ready.
        return Err(Unknown::new(lack_of(status), said));
    }
    let data = &body["data"];
    let bad = || Unknown::new(Lack::Question, "the answer is not understood");
    let pair = |value: &Value| -> Result<[Value; 2], Unknown> {
        serde_json::from_value(value.clone()).map_err(|_| bad())
    };
    match (data["resultType"].as_str(), data["result"].as_array()) {
        (Some("scalar"), _) => pair(&data["result"]),
        (Some("vector"), Some(found)) => match found.as_slice() {
            [] => Err(Unknown::new(Lack::Absent, "the query finds nothing")),
            [one] => pair(&one["value"]),
            several => {
                let named: Vec<String> = several
                    .iter()
                    .take(NAMED)
                    .map(|one| one["metric"].to_string())
                    .collect();
                let why = format!(
                    "the query gives {} series where one is needed, such as {}; aggregate \
                     them, as in sum(...)",
                    several.len(),
                    named.join(" and ")
                );
                Err(Unknown::new(Lack::Question, why))
            }
        },
        (Some(kind), _) => {
            let why = format!("the query gives a {kind} where one number is needed");
            Err(Unknown::new(Lack::Question, why))
        }
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Block>(&describe());
    }

    fn lack(status: u16, body: Value) -> Lack {
        let found = sample(&Answered { status, body });
        found.expect_err("no number").lack
    }

    // MET-10
    #[test]
    fn one_number_is_one_and_nothing_else() {
        let vector = |result: Value| json!({ "status": "success", "data": { "resultType": "vector", "result": result } });
        let one = json!({ "metric": {}, "value": [1_700_000_000.5, "0.25"] });
        let body = vector(json!([one]));
        let found = sample(&Answered { status: 200, body }).expect("one");
        assert_eq!(found[1], "0.25");
        assert_eq!(lack(200, vector(json!([]))), Lack::Absent);
        assert_eq!(lack(200, vector(json!([one, one]))), Lack::Question);
        assert_eq!(lack(200, vector(json!([{ "value": 1 }]))), Lack::Question);
        let matrix =
            json!({ "status": "success", "data": { "resultType": "matrix", "result": [] } });
        assert_eq!(lack(200, matrix), Lack::Question);
        let bad = json!({ "status": "error", "errorType": "bad_data", "error": "parse error" });
        assert_eq!(lack(400, bad.clone()), Lack::Question);
        assert_eq!(lack(503, bad), Lack::Unreachable);
        assert_eq!(lack(200, json!([])), Lack::Question);
    }

    #[test]
    fn an_address_may_have_a_path_and_must_be_one() {
        let build = |url: &str| {
            Prometheus::new(Block {
                url: url.into(),
                query: Some("up".into()),
                query_baseline: None,
                query_canary: None,
                headers: BTreeMap::new(),
                ca_file: None,
            })
            .map(|source| source.url.to_string())
        };
        let found = build("http://127.0.0.1:9090/prom/").expect("an address");
        assert_eq!(found, "http://127.0.0.1:9090/prom/api/v1/query");
        assert!(build("127.0.0.1:9090").is_err() && build("ftp://x").is_err());
    }
}
