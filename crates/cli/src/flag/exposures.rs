//! `flag exposures`: who met which variant, read from the proxy's files.

use super::args::Exposures;
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::place;
use crate::table::table;
use esclusa_model::Timestamp;
use esclusa_proxy::exposures::{
    EXPOSURES, ExposureQuery, ExposuresFound, VariantExposures, read_exposures,
};
use esclusa_server::report::rfc3339;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn run(asked: &Exposures, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let folder = match &asked.from {
        Some(folder) => folder.clone(),
        None => place::data(global)?.join("proxy").join(EXPOSURES),
    };
    let query = ExposureQuery {
        flag: asked.flag.clone(),
        environment: asked.environment.clone(),
        since: asked.since.map(|last| before_now(last.0)),
        list: asked.list,
    };
    let found = read_exposures(&folder, &query).map_err(|error| {
        let message = format!("{} cannot be read: {error}", folder.display());
        Failure::input("ESC-0502", message, "name the folder with --from")
    })?;
    if output.json(&view(found.as_ref())) {
        return Ok(Exit::Done);
    }
    let Some(found) = found else {
        output.say(&format!(
            "nothing was ever recorded here: there is no {}",
            folder.display()
        ));
        return Ok(Exit::Done);
    };
    say(&found, output);
    Ok(Exit::Done)
}

/// The time so many milliseconds ago.
fn before_now(millis: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // Fits until the year 294,000.
    let now = now.map_or(0, |since| since.as_micros() as i64);
    let ago = i64::try_from(millis.saturating_mul(1_000)).unwrap_or(i64::MAX);
    Timestamp(now.saturating_sub(ago))
}

fn say(found: &ExposuresFound, output: &Output) {
    if found.variants.is_empty() {
        output.say("nothing that was recorded fits");
    } else {
        let rows: Vec<Vec<String>> = found.variants.iter().map(row).collect();
        let heads = ["ENVIRONMENT", "FLAG", "VARIANT", "UNITS", "RECORDS", "LAST"];
        for line in table(&heads, &rows) {
            output.line(&line);
        }
    }
    for record in &found.records {
        // Of two words and numbers: nothing in it can fail.
        output.line(&serde_json::to_string(record).unwrap_or_default());
    }
    if found.unreadable > 0 {
        output.say(&format!(
            "{} lines are cut off or of another version",
            found.unreadable
        ));
    }
}

fn row(one: &VariantExposures) -> Vec<String> {
    let environment = match one.environment.as_str() {
        "" => "-",
        name => name,
    };
    vec![
        environment.to_owned(),
        one.flag.clone(),
        one.variant.clone(),
        one.units.to_string(),
        one.records.to_string(),
        rfc3339(one.last),
    ]
}

/// `null` where nothing was ever recorded, which is not the same as nobody.
fn view(found: Option<&ExposuresFound>) -> Value {
    let Some(found) = found else {
        return Value::Null;
    };
    let variants = found.variants.iter().map(|one| {
        json!({
            "environment": one.environment,
            "flag": one.flag,
            "variant": one.variant,
            "units": one.units,
            "records": one.records,
            "first_us": one.first.0,
            "last_us": one.last.0,
        })
    });
    json!({
        "variants": variants.collect::<Vec<_>>(),
        "records": found.records,
        "unreadable": found.unreadable,
    })
}
