//! Numbers and times as sources write them.

use esclusa_model::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A number, as JSON or as text. `NaN` and `Inf` are numbers here; whether they can be
/// believed is asked later.
pub(super) fn number(value: &serde_json::Value) -> Option<f64> {
    match value {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A time: seconds or milliseconds since 1970, or RFC 3339.
pub(super) fn time(value: &serde_json::Value) -> Option<Timestamp> {
    if let serde_json::Value::String(text) = value
        && let Ok(at) = OffsetDateTime::parse(text.trim(), &Rfc3339)
    {
        let micros = at.unix_timestamp_nanos() / 1_000;
        return i64::try_from(micros).ok().map(Timestamp);
    }
    let number = number(value)?;
    // Seconds reach this in the year 5138, milliseconds reached it in 1973.
    let micros = if number.abs() < 1e11 {
        number * 1e6
    } else {
        number * 1e3
    };
    // Beyond these nothing is a time that anybody measured at.
    (0.0..9e18)
        .contains(&micros)
        .then_some(Timestamp(micros as _))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_as_sources_write_them() {
        for (written, read) in [
            (json!(1.5), Some(1.5)),
            (json!(" 42 "), Some(42.0)),
            (json!("1e-3"), Some(0.001)),
            (json!("+Inf"), Some(f64::INFINITY)),
            (json!(null), None),
            (json!(true), None),
            (json!([1]), None),
            (json!("12 ms"), None),
        ] {
            assert_eq!(number(&written), read, "{written}");
        }
        assert!(number(&json!("NaN")).is_some_and(f64::is_nan));
    }

    #[test]
    fn times_are_seconds_milliseconds_or_text() {
        let second = Some(Timestamp(1_700_000_000_000_000));
        for written in [
            json!(1_700_000_000),
            json!("1700000000.000"),
            json!(1_700_000_000_000_i64),
            json!("2023-11-14T22:13:20Z"),
            json!("2023-11-14T23:13:20.000+01:00"),
        ] {
            assert_eq!(time(&written), second, "{written}");
        }
        for none in [
            json!("yesterday"),
            json!(-1),
            json!(null),
            json!("NaN"),
            json!(1e300),
        ] {
            assert_eq!(time(&none), None, "{none}");
        }
    }
}
