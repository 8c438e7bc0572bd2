//! The same rows as one statement for a person to run, where nobody can ask the database what
//! its types are. Pure.

use super::sql::{quoted, table};
use super::table::{Form, Wanted};
use std::fmt::Write as _;

/// One `UPDATE` that makes all rows what is wanted; it puts none in. Absent when there is no
/// row or no column.
#[must_use]
pub fn by_hand(wanted: &Wanted) -> Option<String> {
    if wanted.rows.is_empty() || wanted.columns.is_empty() {
        return None;
    }
    let cast = match wanted.form {
        Form::Boolean => "::boolean",
        Form::Integer => "::bigint",
        Form::Text => "",
    };
    let set = wanted.columns.iter().enumerate();
    let set = set.map(|(n, column)| format!("{} = v.c{n}{cast}", quoted(column)));
    let row = |row: &super::WantedRow| {
        let cells = row.cells.iter().map(|cell| &cell.value);
        let all: Vec<String> = row
            .key
            .iter()
            .chain(cells)
            .map(|text| literal(text))
            .collect();
        format!("  ({})", all.join(", "))
    };
    let rows: Vec<String> = wanted.rows.iter().map(row).collect();
    let keys = (0..wanted.keys.len()).map(|n| format!("k{n}"));
    let names = keys.chain((0..wanted.columns.len()).map(|n| format!("c{n}")));
    let mut sql = format!(
        "UPDATE {} AS t SET {}\nFROM (VALUES\n{}\n) AS v({})\nWHERE ",
        table(&wanted.table),
        set.collect::<Vec<_>>().join(", "),
        rows.join(",\n"),
        names.collect::<Vec<_>>().join(", "),
    );
    for (n, key) in wanted.keys.iter().enumerate() {
        let and = if n > 0 { " AND " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(sql, "{and}t.{}::text = v.k{n}", quoted(&key.column));
    }
    for (column, value) in &wanted.fixed {
        let _ = write!(sql, " AND t.{}::text = {}", quoted(column), literal(value));
    }
    sql.push(';');
    Some(sql)
}

/// A text that no setting of the database reads otherwise: with a backslash it says so itself.
fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match doubled.contains('\\') {
        true => format!("E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
}
