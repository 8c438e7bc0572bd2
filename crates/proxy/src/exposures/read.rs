//! What was recorded, counted: works without any process.

use super::files::files;
use esclusa_model::Timestamp;
use esclusa_wire::ExposureRecord;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

/// Longest line that is read.
const LONGEST: u64 = 64 * 1024;

/// Which exposures are asked for.
#[derive(Debug, Clone, Default)]
pub struct ExposureQuery {
    /// Of this flag.
    pub flag: Option<String>,
    /// In this environment.
    pub environment: Option<String>,
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// How many of the newest are listed one by one.
    pub list: usize,
}

/// One variant of a flag in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantExposures {
    /// The environment.
    pub environment: String,
    /// The flag.
    pub flag: String,
    /// The variant.
    pub variant: String,
    /// How many different units met it.
    pub units: usize,
    /// How many records say so.
    pub records: u64,
    /// The first and the last of them.
    pub first: Timestamp,
    /// See `first`.
    pub last: Timestamp,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExposuresFound {
    /// By environment, flag and variant.
    pub variants: Vec<VariantExposures>,
    /// The newest, oldest first.
    pub records: Vec<ExposureRecord>,
    /// Lines that are no records, such as one that a full disk cut off.
    pub unreadable: u64,
}

#[derive(Default)]
struct Tally {
    units: HashSet<String>,
    records: u64,
    first: Option<Timestamp>,
    last: Timestamp,
}

/// Reads a folder of exposures. `None` when there is none: nothing was ever recorded.
///
/// # Errors
/// When a file cannot be read.
pub fn read_exposures(folder: &Path, query: &ExposureQuery) -> io::Result<Option<ExposuresFound>> {
    if !folder.try_exists()? {
        return Ok(None);
    }
    let mut found = ExposuresFound::default();
    let mut tallies = BTreeMap::<(String, String, String), Tally>::new();
    let mut newest = VecDeque::new();
    for (_, path) in files(folder)? {
        let file = match File::open(&path) {
            // Its days were over just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut lines, LONGEST).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            let Ok(record) = serde_json::from_slice::<ExposureRecord>(&line) else {
                found.unreadable += 1;
                continue;
            };
            if query.fits(&record) {
                count(&mut tallies, &record);
                newest.push_back(record);
                if newest.len() > query.list {
                    newest.pop_front();
                }
            }
        }
    }
    found.records = newest.into();
    found.records.sort_by_key(|record| record.at);
    let variants = tallies.into_iter();
    let variants = variants.map(|((environment, flag, variant), tally)| VariantExposures {
        environment,
        flag,
        variant,
        units: tally.units.len(),
        records: tally.records,
        first: tally.first.unwrap_or_default(),
        last: tally.last,
    });
    found.variants = variants.collect();
    Ok(Some(found))
}

impl ExposureQuery {
    fn fits(&self, record: &ExposureRecord) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        is(&self.flag, &record.flag)
            && is(&self.environment, &record.environment)
            && self.since.is_none_or(|since| record.at >= since)
    }
}

fn count(tallies: &mut BTreeMap<(String, String, String), Tally>, record: &ExposureRecord) {
    let (environment, flag) = (record.environment.clone(), record.flag.clone());
    let key = (environment, flag, record.variant.clone());
    let tally = tallies.entry(key).or_default();
    tally.units.insert(record.unit.clone());
    tally.records += 1;
    tally.first = Some(tally.first.map_or(record.at, |first| first.min(record.at)));
    tally.last = tally.last.max(record.at);
}

#[cfg(test)]
mod tests {
    use super::super::files::Files;
    use super::super::files::tests::record;
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn units_are_counted_once_and_cut_off_lines_are_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("exposures");
        let all = ExposureQuery {
            list: 2,
            ..ExposureQuery::default()
        };
        assert_eq!(
            read_exposures(&folder, &all).expect("read"),
            None,
            "nothing ever"
        );
        let mut files = Files::new(folder.clone());
        let some = [
            record(1, "mail", "on", 1),
            record(2, "mail", "on", 1),
            record(3, "mail", "on", 2),
            record(4, "mail", "off", 3),
            record(5, "search", "on", 1),
        ];
        files.append(&some, SystemTime::now()).expect("written");
        std::fs::write(folder.join("exposures-1-1.jsonl"), "{\"v\":1,\"at\":").expect("written");
        let found = read_exposures(&folder, &all).expect("read").expect("some");
        let counts = |found: &ExposuresFound| -> Vec<(String, String, usize, u64)> {
            let variants = found.variants.iter();
            let row =
                |v: &VariantExposures| (v.flag.clone(), v.variant.clone(), v.units, v.records);
            variants.map(row).collect()
        };
        let row = |flag: &str, variant: &str, units, records| {
            (flag.to_owned(), variant.to_owned(), units, records)
        };
        assert_eq!(
            counts(&found),
            [
                row("mail", "off", 1, 1),
                row("mail", "on", 2, 3),
                row("search", "on", 1, 1)
            ]
        );
        assert_eq!((found.unreadable, found.records.len()), (1, 2));
        assert_eq!(found.records[1], *some[4]);
        let query = ExposureQuery {
            flag: Some("mail".into()),
            environment: Some("production".into()),
            since: Some(Timestamp(2)),
            list: 0,
        };
        let found = read_exposures(&folder, &query)
            .expect("read")
            .expect("some");
        assert_eq!(
            counts(&found),
            [row("mail", "off", 1, 1), row("mail", "on", 2, 2)]
        );
        assert!(found.records.is_empty());
        let other = ExposureQuery {
            environment: Some("staging".into()),
            ..query
        };
        let found = read_exposures(&folder, &other)
            .expect("read")
            .expect("some");
        assert!(found.variants.is_empty());
    }
}
