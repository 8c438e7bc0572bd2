//! Statements over a table whose names a file gives. Names are quoted, values are bound; the
//! types come from the database's own catalog. Pure.

use super::table::{TableName, Wanted};
use std::fmt::Write as _;

/// A column as the database describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    /// As it is written in a cast.
    pub ty: String,
    /// The database's category: `B` boolean, `N` number, `S` text, `E` enum, `U` others.
    pub category: String,
}

/// The types of everything that is named, in the order of [`Wanted`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Types {
    pub keys: Vec<String>,
    pub fixed: Vec<String>,
    pub columns: Vec<String>,
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn table(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.name)),
        None => quoted(&name.name),
    }
}

/// The columns of a table, which is `$1`.
pub(super) const COLUMNS: &str = "\
    SELECT a.attname::text, format_type(a.atttypid, -1), t.typcategory::text \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
    ORDER BY a.attnum";

/// Arrays of text, one a column: `unnest($1::text[], $2::text[])`.
fn arrays(count: usize) -> String {
    let each: Vec<String> = (1..=count).map(|n| format!("${n}::text[]")).collect();
    format!("unnest({})", each.join(", "))
}

fn names(letter: char, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{letter}{n}")).collect()
}

/// `t."a" = CAST(v.k0 AS bigint) AND t."b" = CAST($5::text AS text)`; fixed values begin
/// behind `bound` other parameters.
fn same_row(wanted: &Wanted, types: &Types, bound: usize) -> String {
    let keys = wanted.keys.iter().zip(&types.keys).enumerate();
    let keys =
        keys.map(|(n, (key, ty))| format!("t.{} = CAST(v.k{n} AS {ty})", quoted(&key.column)));
    let fixed = wanted.fixed.iter().zip(&types.fixed).enumerate();
    let fixed = fixed.map(|(n, ((column, _), ty))| {
        format!(
            "t.{} = CAST(${}::text AS {ty})",
            quoted(column),
            bound + n + 1
        )
    });
    keys.chain(fixed).collect::<Vec<_>>().join(" AND ")
}

/// Reads the rows of these keys, each with the number of its key. Binds an array for each key
/// column, then the fixed values.
pub(super) fn read(wanted: &Wanted, types: &Types, most: usize) -> String {
    let keys = wanted.keys.len();
    let mut sql = "SELECT v.n".to_owned();
    for column in &wanted.columns {
        // Writing to a string cannot fail.
        let _ = write!(sql, ", t.{}::text", quoted(column));
    }
    let _ = write!(
        sql,
        " FROM {} WITH ORDINALITY AS v({}, n) JOIN {} AS t ON {} LIMIT {most}",
        arrays(keys),
        names('k', keys).join(", "),
        table(&wanted.table),
        same_row(wanted, types, keys),
    );
    sql
}

/// Changes cells. Binds an array for each key column, one for each kept column (NULL for what
/// stays), then the fixed values.
pub(super) fn update(wanted: &Wanted, types: &Types) -> String {
    let (keys, cells) = (wanted.keys.len(), wanted.columns.len());
    let set = wanted.columns.iter().zip(&types.columns).enumerate();
    let set = set.map(|(n, (column, ty))| {
        let column = quoted(column);
        format!("{column} = COALESCE(CAST(v.c{n} AS {ty}), t.{column})")
    });
    let given = [names('k', keys), names('c', cells)].concat();
    format!(
        "UPDATE {} AS t SET {} FROM {} AS v({}) WHERE {}",
        table(&wanted.table),
        set.collect::<Vec<_>>().join(", "),
        arrays(keys + cells),
        given.join(", "),
        same_row(wanted, types, keys + cells),
    )
}

/// Puts rows in. Binds like [`update`].
pub(super) fn insert(wanted: &Wanted, types: &Types) -> String {
    let (keys, cells) = (wanted.keys.len(), wanted.columns.len());
    let names_of_keys = wanted.keys.iter().map(|key| quoted(&key.column));
    let names_of_cells = wanted.columns.iter().map(|column| quoted(column));
    let names_of_fixed = wanted.fixed.iter().map(|(column, _)| quoted(column));
    let into = names_of_keys.chain(names_of_cells).chain(names_of_fixed);
    let cast = |letter: char, types: &[String]| -> Vec<String> {
        let each = types.iter().enumerate();
        each.map(|(n, ty)| format!("CAST(v.{letter}{n} AS {ty})"))
            .collect()
    };
    let fixed = types.fixed.iter().enumerate();
    let fixed = fixed.map(|(n, ty)| format!("CAST(${}::text AS {ty})", keys + cells + n + 1));
    let values = cast('k', &types.keys)
        .into_iter()
        .chain(cast('c', &types.columns))
        .chain(fixed);
    let given = [names('k', keys), names('c', cells)].concat();
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM {} AS v({})",
        table(&wanted.table),
        into.collect::<Vec<_>>().join(", "),
        values.collect::<Vec<_>>().join(", "),
        arrays(keys + cells),
        given.join(", "),
    )
}
