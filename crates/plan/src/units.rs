//! Numbers with units, as plans write them. A bare number is never guessed.

use esclusa_model::{BasisPoints, Fraction, Millis};

/// How much worse something may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Margin {
    /// Percentage points, as a fraction of one.
    Points(Fraction),
    /// Relative to the stable version.
    Relative(Fraction),
}

/// How a margin is usually written in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarginKind {
    /// `0.5pp`.
    Points,
    /// `20%`.
    Relative,
}

/// Why a text is not the quantity asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnitError {
    /// A number alone; holds what to write instead.
    NoUnit(String),
    /// Anything else; holds the next step.
    Wrong(String),
    /// Understood, but out of bounds; holds the next step.
    Bounds(String),
}

/// Whether a text is a number and nothing else.
pub(crate) fn is_bare_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    !digits.is_empty()
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.' || c == '_')
}

pub(crate) fn duration(text: &str) -> Result<Millis, UnitError> {
    if is_bare_number(text) {
        return Err(UnitError::NoUnit(format!(
            "say which unit is meant: `{text}ms`, `{text}s`, `{text}m` or `{text}h`"
        )));
    }
    Millis::parse(text).map_err(|_| {
        UnitError::Wrong(match meant_time(text) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "write a number and a unit (ms, s, m, h, d) without spaces, such as `300ms`, \
                     `30s`, `15m`, `48h` or `1h30m`"
                .to_owned(),
        })
    })
}

/// A time whose unit is spelled out, apart from its number or in capitals.
fn meant_time(text: &str) -> Option<String> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        "w" | "wk" | "week" | "weeks" => {
            let days = number.parse::<u32>().ok()?.checked_mul(7)?;
            return Some(format!("{days}d"));
        }
        _ => return None,
    };
    let meant = format!("{number}{unit}");
    Millis::parse(&meant).is_ok().then_some(meant)
}

/// A percentage with too many signs, or with its sign spelled out.
fn meant_percent(text: &str) -> Option<String> {
    let number = text.trim_end_matches(['%', ' ', 'p', 'e', 'r', 'c', 'n', 't', '.']);
    let meant = format!("{number}%");
    (number.len() < text.len() && meant != text && is_bare_number(number)).then_some(meant)
}

pub(crate) fn seconds(text: &str) -> Result<u32, UnitError> {
    let wrong = || UnitError::Wrong("write whole seconds, such as `5` or `5s`".to_owned());
    if is_bare_number(text) {
        return text.parse().map_err(|_| wrong());
    }
    let time = duration(text)?;
    if time.0 % 1_000 != 0 {
        return Err(wrong());
    }
    u32::try_from(time.as_secs()).map_err(|_| wrong())
}

pub(crate) fn share(text: &str) -> Result<BasisPoints, UnitError> {
    if is_bare_number(text) {
        let part = decimal(text).filter(|part| *part > 0.0 && *part < 1.0);
        return Err(UnitError::NoUnit(match part {
            Some(part) => {
                let percent = (part * 1e6).round() / 1e4;
                format!("write `{percent}%` for this part of all, or `{text}%`")
            }
            None if text.contains('.') && decimal(text) == Some(1.0) => {
                "write `100%` for everybody, or `1%`".to_owned()
            }
            None => format!("write `{text}%`"),
        }));
    }
    BasisPoints::parse_percent(text).map_err(|_| {
        let number = text.strip_suffix('%').and_then(decimal);
        if number.is_some_and(|number| number > 100.0) {
            return UnitError::Bounds("everybody is `100%`; write a share up to that".to_owned());
        }
        UnitError::Wrong(match meant_percent(text) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "write a percentage from 0% to 100% in steps of 0.01%, such as `5%`".to_owned(),
        })
    })
}

/// `5%`; at most 100 %.
pub(crate) fn percent(text: &str) -> Result<Fraction, UnitError> {
    if is_bare_number(text) {
        return Err(UnitError::NoUnit(format!("write `{text}%` for per cent")));
    }
    let number = text.strip_suffix('%').and_then(decimal).ok_or_else(|| {
        UnitError::Wrong(match meant_percent(text) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "write a percentage, such as `5%` or `0.5%`".to_owned(),
        })
    })?;
    fraction_of(number, 100.0, 1.0)
}

/// `0.01` or `1%`; plain numbers reach 1, percentages `most` times 100 %.
pub(crate) fn fraction(text: &str, most: u8) -> Result<Fraction, UnitError> {
    if is_bare_number(text) {
        let number = decimal(text)
            .ok_or_else(|| UnitError::Wrong("write a fraction, such as `0.01`".to_owned()))?;
        if number > 1.0 {
            return Err(UnitError::NoUnit(format!(
                "write `{text}%` for per cent; plain numbers here are fractions of one"
            )));
        }
        return fraction_of(number, 1.0, 1.0);
    }
    let number = text.strip_suffix('%').and_then(decimal).ok_or_else(|| {
        UnitError::Wrong("write a fraction such as `0.01`, or a percentage such as `1%`".to_owned())
    })?;
    fraction_of(number, 100.0, f64::from(most))
}

/// `0.5pp` or `20%`; relative margins reach ten times the stable version's value.
/// `usual` is what a bare number most likely meant.
pub(crate) fn margin(text: &str, usual: MarginKind) -> Result<Margin, UnitError> {
    if is_bare_number(text) {
        return Err(UnitError::NoUnit(match usual {
            MarginKind::Points => format!("write `{text}pp` for percentage points"),
            MarginKind::Relative => {
                let part = decimal(text).filter(|part| *part > 0.0 && *part < 1.0);
                let percent = part.map_or_else(
                    || text.to_owned(),
                    |part| ((part * 1e6).round() / 1e4).to_string(),
                );
                format!("write `{percent}%` for a part of the stable version's value")
            }
        }));
    }
    let points = text.strip_suffix("pp").and_then(decimal);
    let relative = text.strip_suffix('%').and_then(decimal);
    match (points, relative) {
        (Some(points), _) => fraction_of(points, 100.0, 1.0).map(Margin::Points),
        (_, Some(relative)) => fraction_of(relative, 100.0, 10.0).map(Margin::Relative),
        _ => Err(UnitError::Wrong(match usual {
            MarginKind::Points => "write percentage points, such as `0.5pp`".to_owned(),
            MarginKind::Relative => {
                "write a part of the stable version's value, such as `20%`".to_owned()
            }
        })),
    }
}

const SIZES: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Bytes: `64 MiB`, `10MB`, `512B`; at most 1 TiB.
pub(crate) fn size(text: &str) -> Result<u64, UnitError> {
    if is_bare_number(text) {
        return Err(UnitError::NoUnit(format!(
            "say which unit is meant: `{text}B`, `{text} KiB` or `{text} MiB`"
        )));
    }
    let wrong = || {
        UnitError::Wrong(match meant_size(text) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "write a whole number and B, kB, KiB, MB, MiB, GB or GiB".to_owned(),
        })
    };
    let (unit, scale) = SIZES
        .iter()
        .find(|(unit, _)| text.ends_with(unit))
        .ok_or_else(wrong)?;
    let number = text.strip_suffix(unit).unwrap_or("").trim_end();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(*scale))
        .filter(|bytes| *bytes <= 1 << 40)
        .ok_or_else(|| UnitError::Bounds("the largest size is 1024 GiB".to_owned()))
}

/// A size whose unit is cut short or in other capitals.
fn meant_size(text: &str) -> Option<String> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let unit = unit.trim().to_ascii_lowercase();
    let known = |known: &&(&str, u64)| {
        let name = known.0.to_ascii_lowercase();
        !number.is_empty()
            && !unit.is_empty()
            && (name == unit || name.strip_suffix('b') == Some(&unit))
    };
    let (unit, _) = SIZES.iter().find(known)?;
    Some(format!("{number} {unit}"))
}

/// Requests per second in thousandths: `10/s`, `0.5/s`, `30/m`.
pub(crate) fn rate(text: &str) -> Result<u64, UnitError> {
    if is_bare_number(text) {
        return Err(UnitError::NoUnit(format!(
            "write `{text}/s` for each second or `{text}/m` for each minute"
        )));
    }
    let wrong = || {
        UnitError::Wrong(match meant_rate(text) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "write a number for each second or minute: `10/s` or `30/m`".to_owned(),
        })
    };
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let number = decimal(number.trim_end()).ok_or_else(wrong)?;
    let seconds = match unit.trim_start() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        _ => return Err(wrong()),
    };
    let thousandths = (number * 1_000.0 / seconds).round();
    if !(1.0..=10_000_000.0).contains(&thousandths) {
        return Err(UnitError::Bounds(
            "write a rate from 1/m to 10000/s".to_owned(),
        ));
    }
    Ok(thousandths as u64)
}

/// A rate whose unit is spelled in another way; one by the hour as one by the minute.
fn meant_rate(text: &str) -> Option<String> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    let rate = decimal(number)?;
    match unit.trim_matches(['/', ' ']).to_ascii_lowercase().as_str() {
        "rps" | "qps" | "req/s" | "requests/s" | "sec" | "second" | "per second" => {
            Some(format!("{number}/s"))
        }
        "rpm" | "req/m" | "requests/m" | "mins" | "minute" | "per minute" => {
            Some(format!("{number}/m"))
        }
        "h" | "hour" if rate >= 60.0 => Some(format!("{}/m", (rate / 60.0).floor())),
        _ => None,
    }
}

/// Thousandths a second as they would be written.
pub(crate) fn rate_text(thousandths: u64) -> String {
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    if rest == 0 {
        format!("{whole}/s")
    } else {
        let decimals = format!("{rest:03}");
        format!("{whole}.{}/s", decimals.trim_end_matches('0'))
    }
}

/// A non-negative decimal number of at most 15 digits, without exponent.
fn decimal(text: &str) -> Option<f64> {
    let text = text.trim_end();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(decimals) && text.len() <= 16)
        .then(|| text.parse().ok())
        .flatten()
}

/// Divides exactly as often as needed: the nearest double to the decimal written.
fn fraction_of(number: f64, divisor: f64, most: f64) -> Result<Fraction, UnitError> {
    let value = number / divisor;
    if value > most {
        return Err(UnitError::Bounds(format!(
            "the largest value here is {}%",
            most * 100.0
        )));
    }
    Fraction::new(value)
        .map_err(|_| UnitError::Wrong("write a number that is not negative".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_never_guessed() {
        // Trap 50.
        assert_eq!(duration("15m"), Ok(Millis(900_000)));
        assert_eq!(seconds("5"), Ok(5));
        assert_eq!(seconds("2m"), Ok(120));
        assert_eq!(size("64 MiB"), Ok(64 << 20));
        assert_eq!(size("10kB"), Ok(10_000));
        assert_eq!(rate("10/s"), Ok(10_000));
        assert_eq!(rate("30/m"), Ok(500));
        assert_eq!(fraction("0.0002", 1), Ok(Fraction::from_per_100k(20)));
        assert_eq!(fraction("0.02%", 1), Ok(Fraction::from_per_100k(20)));
        assert_eq!(
            margin("0.5pp", MarginKind::Points),
            Ok(Margin::Points(Fraction::from_per_100k(500)))
        );
        assert_eq!(
            margin("20%", MarginKind::Points),
            Ok(Margin::Relative(Fraction::from_per_100k(20_000)))
        );
        assert!(matches!(duration("15"), Err(UnitError::NoUnit(_))));
        assert!(matches!(share("5"), Err(UnitError::NoUnit(_))));
        assert!(matches!(percent("0.05"), Err(UnitError::NoUnit(_))));
        assert!(matches!(fraction("5", 10), Err(UnitError::NoUnit(_))));
        assert!(matches!(
            margin("0.5", MarginKind::Points),
            Err(UnitError::NoUnit(_))
        ));
        assert!(matches!(size("64"), Err(UnitError::NoUnit(_))));
        assert!(matches!(rate("10"), Err(UnitError::NoUnit(_))));
        assert!(matches!(rate("0.0001/m"), Err(UnitError::Bounds(_))));
        assert!(matches!(percent("101%"), Err(UnitError::Bounds(_))));
        for bad in ["", "x", "1/h", "/s", "5 %%", "-5%", "1e3%", "٥%"] {
            assert!(rate(bad).is_err() && percent(bad).is_err(), "{bad}");
        }
    }
}
