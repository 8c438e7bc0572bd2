//! What there is to write: rows as they have to be, against rows as they are. Pure.

use super::table::{Place, Wanted, WantedRow};
use std::collections::BTreeMap;

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    /// Which of the wanted rows has its key.
    pub row: usize,
    /// What stands in the columns that are kept; absent for NULL.
    pub cells: Vec<Option<String>>,
}

/// What a table had when it was looked at last, by key and column. Empty before the first
/// look: then nothing can be said of what others changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(BTreeMap<Vec<String>, BTreeMap<String, Option<String>>>);

impl Known {
    fn of(&self, row: &WantedRow) -> Option<&BTreeMap<String, Option<String>>> {
        self.0.get(&row.key)
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.len()
    }

    /// What holds once a difference is written.
    #[must_use]
    pub fn after(wanted: &Wanted, found: &[FoundRow], diff: &Diff, before: &Self) -> Self {
        let mut known = BTreeMap::new();
        for found in found {
            let row = &wanted.rows[found.row];
            let cells = wanted.columns.iter().cloned().zip(found.cells.clone());
            known.insert(row.key.clone(), cells.collect::<BTreeMap<_, _>>());
        }
        for update in &diff.updates {
            let cells = known.entry(wanted.rows[update.row].key.clone());
            let written = wanted.columns.iter().zip(&update.cells);
            let written = written.filter(|(_, cell)| cell.is_some());
            cells
                .or_default()
                .extend(written.map(|(column, cell)| (column.clone(), cell.clone())));
        }
        for row in diff.inserts.iter().map(|row| &wanted.rows[*row]) {
            let cells = row.cells.iter().map(|cell| Some(cell.value.clone()));
            let cells = wanted.columns.iter().cloned().zip(cells);
            known.insert(row.key.clone(), cells.collect());
        }
        // What is left as others made it is still not what we know: or the next look would
        // take it for ours.
        for (row, column) in &diff.left {
            let row = &wanted.rows[*row];
            let Some(before) = before.of(row) else {
                continue;
            };
            match column {
                Some(column) => {
                    let column = &wanted.columns[*column];
                    let cells = known.entry(row.key.clone()).or_default();
                    cells.insert(
                        column.clone(),
                        before.get(column).cloned().unwrap_or_default(),
                    );
                }
                None => {
                    known.insert(row.key.clone(), before.clone());
                }
            }
        }
        Self(known)
    }
}

/// Cells of a row to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Which of the wanted rows.
    pub row: usize,
    /// One for each column that is kept; absent for what stays.
    pub cells: Vec<Option<String>>,
}

/// What there is to write, and what there is to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Rows to change.
    pub updates: Vec<Update>,
    /// Wanted rows to put in.
    pub inserts: Vec<usize>,
    /// Wanted rows that are not there and may not be put in.
    pub missing: Vec<usize>,
    /// Wanted rows whose key several rows have. Which one the application reads nobody can
    /// tell, so none is written.
    pub doubled: Vec<usize>,
    /// Row and column of what somebody else changed; without a column, the row is gone.
    pub drifted: Vec<(usize, Option<usize>)>,
    /// Those of `drifted` that stay as they are.
    pub left: Vec<(usize, Option<usize>)>,
}

impl Diff {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.inserts.is_empty()
    }

    /// Places for people.
    #[must_use]
    pub fn places(wanted: &Wanted, found: &[(usize, Option<usize>)]) -> Vec<Place> {
        let place = |(row, column): &(usize, Option<usize>)| Place {
            key: wanted.rows[*row].name(),
            column: column.map(|column| wanted.columns[column].clone()),
        };
        found.iter().map(place).collect()
    }
}

/// Compares rows.
#[must_use]
pub fn diff(wanted: &Wanted, found: &[FoundRow], known: &Known) -> Diff {
    let mut at: Vec<Option<&FoundRow>> = vec![None; wanted.rows.len()];
    let mut diff = Diff::default();
    for row in found {
        match at[row.row] {
            None => at[row.row] = Some(row),
            Some(_) => diff.doubled.push(row.row),
        }
    }
    diff.doubled.sort_unstable();
    diff.doubled.dedup();
    for (number, row) in wanted.rows.iter().enumerate() {
        if diff.doubled.binary_search(&number).is_ok() {
            continue;
        }
        let before = known.of(row);
        match at[number] {
            None => diff.absent(number, before.is_some(), wanted),
            Some(found) => diff.present(number, found, before, wanted),
        }
    }
    diff
}

impl Diff {
    fn absent(&mut self, number: usize, was_there: bool, wanted: &Wanted) {
        if was_there {
            self.drifted.push((number, None));
        }
        match (wanted.rules.insert, was_there && !wanted.rules.repair) {
            (true, false) => self.inserts.push(number),
            (_, left) => {
                self.missing.push(number);
                if left {
                    self.left.push((number, None));
                }
            }
        }
    }

    fn present(
        &mut self,
        number: usize,
        found: &FoundRow,
        before: Option<&BTreeMap<String, Option<String>>>,
        wanted: &Wanted,
    ) {
        let mut update = Update {
            row: number,
            cells: vec![None; wanted.columns.len()],
        };
        for (column, cell) in wanted.rows[number].cells.iter().enumerate() {
            let now = &found.cells[column];
            let known = before.and_then(|cells| cells.get(&wanted.columns[column]));
            let changed = known.is_some_and(|known| known != now);
            if now.as_deref() == Some(&cell.value) {
                continue;
            }
            // Whoever changes a flag here means this cell too, whatever stands in it.
            let ours = known.is_some_and(|known| known.as_deref() != Some(&cell.value));
            let drifted = changed && !ours;
            if drifted {
                self.drifted.push((number, Some(column)));
            }
            match drifted && !wanted.rules.repair && !cell.always {
                true => self.left.push((number, Some(column))),
                false => update.cells[column] = Some(cell.value.clone()),
            }
        }
        if update.cells.iter().any(Option::is_some) {
            self.updates.push(update);
        }
    }
}
