//! `http-json`: a number in a JSON answer, found by a JSONPath (RFC 9535).
//!
//! For vendors without a source of their own. The status has to be 200 and the path has
//! to find exactly one number.

use super::ask::{Door, door_fields, lack_of};
use super::{Adapter, Lack, MetricContext, MetricSource, Reading, Unknown, believed, value};
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::http::shown;
use crate::template::fill;
use async_trait::async_trait;
use esclusa_plan::{DriverEntry, FieldKind};
use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "http-json";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |config| Ok(Arc::new(HttpJson::new(read::<Block>(NAME, config)?)?)),
};

fn describe() -> DriverEntry {
    entry(
        NAME,
        "A number in the JSON that a GET is answered with.",
        [
            required("url", FieldKind::Template, "What is asked."),
            required(
                "value",
                FieldKind::Text,
                "Where the number stands, as a JSONPath such as $.series[0].last.",
            ),
            optional(
                "time",
                FieldKind::Text,
                "Where the time of the measurement stands: seconds or milliseconds since 1970, \
                 or RFC 3339. Without it an old number cannot be told from a new one.",
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
    value: String,
    time: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    ca_file: Option<String>,
}

struct HttpJson {
    url: String,
    value: JsonPath,
    time: Option<JsonPath>,
    door: Door,
}

impl HttpJson {
    fn new(block: Block) -> Result<Self, DriverError> {
        let path = |field: &str, text: &str| {
            JsonPath::parse(text)
                .map_err(|e| DriverError::config(format!("{NAME}: {field}: {text}: {e}")))
        };
        Ok(Self {
            value: path("value", &block.value)?,
            time: block.time.map(|text| path("time", &text)).transpose()?,
            url: block.url,
            door: Door {
                headers: block.headers,
                ca_file: block.ca_file,
            },
        })
    }

    async fn answer(&self, context: &MetricContext) -> Result<Reading, Unknown> {
        let url = fill(&self.url, &context.placeholders)?;
        let answered = self.door.ask(&url, context).await?;
        let shown = shown(&url);
        let told = |lack, why: String| Unknown::new(lack, format!("{shown}: {why}"));
        if answered.status != 200 {
            let why = format!("status {}", answered.status);
            return Err(told(lack_of(answered.status), why));
        }
        let number =
            match one(&self.value, &answered.body).map_err(|why| told(Lack::Absent, why))? {
                Value::Null => return Err(told(Lack::Absent, format!("{} is null", self.value))),
                found => value::number(found)
                    .ok_or_else(|| told(Lack::Question, format!("{} is no number", self.value)))?,
            };
        let measured = match &self.time {
            None => None,
            Some(path) => {
                let found = one(path, &answered.body).map_err(|why| told(Lack::Absent, why))?;
                let at = value::time(found)
                    .ok_or_else(|| told(Lack::Question, format!("{path} is no time")))?;
                Some(at)
            }
        };
        Ok(believed(number, measured, context))
    }
}

/// The only place that a path finds.
fn one<'a>(path: &JsonPath, body: &'a Value) -> Result<&'a Value, String> {
    let found = path.query(body).all();
    match found.as_slice() {
        [value] => Ok(value),
        [] => Err(format!("{path} finds nothing")),
        several => Err(format!("{path} finds {} places, not one", several.len())),
    }
}

#[async_trait]
impl MetricSource for HttpJson {
    async fn read(&self, context: &MetricContext) -> Reading {
        self.answer(context).await.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Block>(&describe());
    }

    #[test]
    fn a_path_that_is_none_is_refused_at_once() {
        let block = |value: &str, time: Option<&str>| Block {
            url: "http://127.0.0.1/".into(),
            value: value.into(),
            time: time.map(Into::into),
            headers: BTreeMap::new(),
            ca_file: None,
        };
        assert!(HttpJson::new(block("$.a[0]", Some("$.t"))).is_ok());
        let refused = |block| HttpJson::new(block).err().expect("refused").message;
        assert!(refused(block("a.b", None)).contains("value: a.b"));
        assert!(refused(block("$.a", Some("$["))).contains("time: $["));
    }
}
