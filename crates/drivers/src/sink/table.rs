//! A table as it has to be: words that every kind of sink understands.

use std::fmt;

/// Most rows of one table: bounds the memory and the size of a statement.
pub(super) const MOST_ROWS: usize = 200_000;

/// A table's name as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// Its schema; whatever the database finds first without.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `true` and `false` of the database.
    Boolean,
    /// A whole number.
    Integer,
    /// Text.
    Text,
}

/// How a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Text, or what the database reads from text, such as a UUID.
    Text,
    /// A whole number.
    Integer,
}

/// A column that, with the others of the key, names one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its name.
    pub column: String,
    /// What stands in it.
    pub form: KeyForm,
}

/// What may be done to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether a row that is missing is put in.
    pub insert: bool,
    /// Whether what somebody else changed is changed back.
    pub repair: bool,
}

/// Rows as they have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The table.
    pub table: TableName,
    /// What names a row.
    pub keys: Vec<KeyColumn>,
    /// Columns that hold the same in all our rows; others' rows are not touched.
    pub fixed: Vec<(String, String)>,
    /// The columns that are kept.
    pub columns: Vec<String>,
    /// What stands in them.
    pub form: Form,
    /// The rows, each key once.
    pub rows: Vec<WantedRow>,
    /// What may be done.
    pub rules: Rules,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRow {
    /// One value for each key column.
    pub key: Vec<String>,
    /// One for each column that is kept.
    pub cells: Vec<Cell>,
}

/// One value, in the database's own spelling: `true`, `12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The value.
    pub value: String,
    /// Whether it is written even where changes of others are left alone: a kill is.
    pub always: bool,
}

impl WantedRow {
    /// Its key for people.
    #[must_use]
    pub fn name(&self) -> String {
        self.key.join(" ")
    }
}

/// A value's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The row's key.
    pub key: String,
    /// The column; absent where the whole row is gone.
    pub column: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "{} {column}", self.key),
            None => write!(f, "{} (the row is gone)", self.key),
        }
    }
}
