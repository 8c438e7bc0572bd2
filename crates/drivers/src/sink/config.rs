//! The file that says which tables follow the flags.

mod block;

use super::table::{Form, KeyForm, Rules, TableName};
use super::{KINDS, Sink, Timeouts};
use crate::fields;
use esclusa_model::Millis;
use esclusa_plan::{Diagnostic, Field, FieldKind, SourceFile, read_settings};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The tables that follow the flags.
#[derive(Debug, Clone, Default)]
pub struct SinksConfig {
    /// One a table.
    pub sinks: Vec<SinkConfig>,
}

/// One table.
#[derive(Clone)]
pub struct SinkConfig {
    /// Its name.
    pub name: String,
    /// Its kind, such as `postgres`.
    pub kind: &'static str,
    /// The environment whose answers it holds; the only one there is without.
    pub environment: Option<String>,
    /// Where what stands.
    pub layout: Layout,
    /// How values are written.
    pub values: ValueForm,
    /// What may be done to it.
    pub rules: Rules,
    /// How often it is looked at when nothing changes.
    pub every: Millis,
    /// How long the database may take.
    pub timeouts: Timeouts,
    /// The database.
    pub sink: Arc<dyn Sink>,
}

impl fmt::Debug for SinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Where what stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// A row a tenant, a column a flag.
    Columns {
        /// The table.
        table: TableName,
        /// What names a tenant's row.
        tenant: TenantKey,
        /// Columns that hold the same in all our rows.
        fixed: Vec<(String, String)>,
        /// The column of each flag, by key.
        flags: BTreeMap<String, String>,
    },
    /// A row a flag, or a flag and tenant.
    Rows {
        /// The table.
        table: TableName,
        /// The column with the flag's name.
        name: String,
        /// The column with its value.
        value: String,
        /// What names the tenant; without, a row holds what everybody gets of whom nothing is
        /// known.
        tenant: Option<TenantKey>,
        /// Columns that hold the same in all our rows.
        fixed: Vec<(String, String)>,
        /// The flags, by key; all without.
        flags: Option<Vec<String>>,
        /// Names of flags that are not their keys.
        names: BTreeMap<String, String>,
    },
}

impl Layout {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &TableName {
        match self {
            Self::Columns { table, .. } | Self::Rows { table, .. } => table,
        }
    }
}

/// How a tenant of the directory is found in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantKey {
    /// The column.
    pub column: String,
    /// How it is written.
    pub form: KeyForm,
    /// What stands there.
    pub source: KeySource,
}

/// What of a tenant stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Its id in the directory.
    Id,
    /// An attribute that the directory gives it.
    Attribute(String),
}

/// How values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueForm {
    /// The kind of value.
    pub form: Form,
    /// The value of each variant, by its name; a flag's own value where one is not named.
    pub variants: BTreeMap<String, String>,
}

fn list(kind: FieldKind) -> FieldKind {
    FieldKind::List(Box::new(kind))
}

/// The table of the file.
fn table() -> Vec<Field> {
    vec![fields::required(
        "sinks",
        list(FieldKind::Block(sink_table())),
        "The tables that follow the flags.",
    )]
}

fn sink_table() -> Vec<Field> {
    let text = |name, doc| fields::optional(name, FieldKind::Text, doc);
    let mut table = vec![
        fields::required("name", FieldKind::Text, "Its name, in what is shown of it."),
        text(
            "environment",
            "The environment whose answers it holds; the only one there is unless given.",
        ),
        fields::optional(
            "columns",
            FieldKind::Block(columns_table()),
            "A row a tenant, a column a flag.",
        ),
        fields::optional(
            "rows",
            FieldKind::Block(rows_table()),
            "A row a flag, or a flag and tenant.",
        ),
        fields::optional(
            "values",
            FieldKind::Block(vec![
                fields::optional(
                    "as",
                    fields::choice(&["boolean", "smallint", "text"]),
                    "The kind of value; `boolean` unless given.",
                ),
                fields::optional(
                    "variants",
                    FieldKind::TemplateMap,
                    "The value of each variant, such as `{ on: Y, off: N }`.",
                ),
            ]),
            "How values are written.",
        ),
        fields::optional(
            "insert",
            FieldKind::Switch,
            "Whether a row that is missing is put in; it is only named unless given.",
        ),
        fields::optional(
            "repair",
            FieldKind::Switch,
            "Whether what somebody else changed is changed back; it is unless given.",
        ),
        fields::optional(
            "every",
            FieldKind::Duration,
            "How often the table is looked at when nothing changes; 30s unless given.",
        ),
        fields::optional(
            "connect-timeout",
            FieldKind::Duration,
            "How long a connection may take; 5s unless given.",
        ),
        fields::optional(
            "timeout",
            FieldKind::Duration,
            "How long one statement may take; 10s unless given.",
        ),
    ];
    for kind in KINDS {
        let block = FieldKind::Block((kind.fields)());
        table.push(fields::optional(kind.name, block, kind.doc));
    }
    table
}

fn columns_table() -> Vec<Field> {
    vec![
        table_field(),
        fields::required(
            "tenant",
            FieldKind::Block(tenant_table()),
            "What names a tenant's row.",
        ),
        where_field(),
        fields::required(
            "flags",
            FieldKind::TemplateMap,
            "The column of each flag, by the flag's key.",
        ),
    ]
}

fn rows_table() -> Vec<Field> {
    vec![
        table_field(),
        fields::required("name", FieldKind::Text, "The column with the flag's name."),
        fields::required("value", FieldKind::Text, "The column with its value."),
        fields::optional(
            "tenant",
            FieldKind::Block(tenant_table()),
            "What names the tenant. Without, a row holds what is answered where no tenant and \
             no user is named.",
        ),
        where_field(),
        fields::optional(
            "flags",
            list(FieldKind::Text),
            "The flags; all unless given.",
        ),
        fields::optional(
            "names",
            FieldKind::TemplateMap,
            "Names of flags in the table that are not their keys, by key.",
        ),
    ]
}

fn table_field() -> Field {
    fields::required(
        "table",
        FieldKind::Text,
        "The table, such as `features` or `app.features`.",
    )
}

fn where_field() -> Field {
    fields::optional(
        "where",
        FieldKind::TemplateMap,
        "Columns that hold the same in all rows that are kept; other rows are not touched.",
    )
}

fn tenant_table() -> Vec<Field> {
    vec![
        fields::required("column", FieldKind::Text, "The column."),
        fields::optional(
            "attribute",
            FieldKind::Text,
            "What stands in it: an attribute of the tenant in the directory; its id unless given.",
        ),
        fields::optional(
            "as",
            fields::choice(&["text", "integer"]),
            "How it is written; `text`, which a UUID is too, unless given.",
        ),
    ]
}

/// Reads the file.
///
/// # Errors
/// Everything that is wrong with it, in its order.
pub fn parse(source: &SourceFile) -> Result<SinksConfig, Vec<Diagnostic>> {
    let mut settings = read_settings(source, &table());
    let config = settings.value().cloned().map(|value| SinksConfig {
        sinks: block::read_sinks(&value["sinks"], &mut settings),
    });
    match config {
        Some(config) if !settings.failed() => Ok(config),
        _ => Err(settings.findings()),
    }
}
