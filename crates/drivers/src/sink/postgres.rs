//! PostgreSQL: one connection and one transaction a look, so that nothing is held between
//! looks and a server that comes back, or another one behind the same name, is simply met.
//!
//! Nothing is set for the session and no statement keeps a name, so that it also works
//! through a pooler that hands transactions out.

use super::diff::{Diff, FoundRow, Known, diff};
use super::sql::{self, Column, Types};
use super::table::{Form, KeyForm, MOST_ROWS, Wanted};
use super::{Findings, Kind, Mirrored, Sink, SinkError, Timeouts};
use crate::fields;
use crate::secret::SecretRef;
use async_trait::async_trait;
use esclusa_plan::{Field, FieldKind};
use serde::Deserialize;
use serde_json::Value;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow, PgSslMode};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Postgres, Row as _};
use std::net::IpAddr;
use std::sync::Arc;

/// Columns that are named when one is missing.
const NAMED: usize = 30;
/// What an address may say behind its question mark.
const PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "user",
];

pub(super) const KIND: Kind = Kind {
    name: "postgres",
    doc: "A PostgreSQL database.",
    fields,
    build,
};

fn fields() -> Vec<Field> {
    vec![fields::required(
        "url",
        FieldKind::Text,
        "Where the database's address with its password stands: `env:NAME`, `file:/path` or \
         `cmd:...`.",
    )]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    url: String,
}

struct Database {
    url: SecretRef,
    timeouts: Timeouts,
}

fn build(
    value: &Value,
    timeouts: Timeouts,
    findings: &mut Findings<'_, '_>,
) -> Option<Arc<dyn Sink>> {
    let block: Block = findings.block(value)?;
    let url = findings.secret("url", &block.url)?;
    Some(Arc::new(Database { url, timeouts }))
}

#[async_trait]
impl Sink for Database {
    async fn mirror(&self, wanted: &Wanted, known: &Known) -> Result<Mirrored, SinkError> {
        if wanted.rows.len() > MOST_ROWS {
            let rows = wanted.rows.len();
            return Err(SinkError::Table(format!(
                "{rows} rows are more than a sink keeps, which is {MOST_ROWS}"
            )));
        }
        let options = options(self.url.read().await?.reveal())?;
        let limit = self.timeouts.connect;
        let connection = tokio::time::timeout(limit.as_std(), options.connect()).await;
        let mut connection = connection
            .map_err(|_| SinkError::Unreachable(format!("no connection within {limit}")))?
            .map_err(refused)?;
        let mirrored = self.look(&mut connection, wanted, known).await;
        // It is of no use any more, however it ends.
        let _ = tokio::time::timeout(limit.as_std(), connection.close()).await;
        mirrored
    }
}

impl Database {
    async fn look(
        &self,
        connection: &mut PgConnection,
        wanted: &Wanted,
        known: &Known,
    ) -> Result<Mirrored, SinkError> {
        let mut transaction = connection.begin().await.map_err(refused)?;
        let connection = &mut *transaction;
        let limit = self.timeouts.statement.0.to_string();
        let limited = "SELECT set_config('statement_timeout', $1, true)";
        let limited = sqlx::query(limited).persistent(false).bind(limit);
        limited.execute(&mut *connection).await.map_err(refused)?;
        let types = types(connection, wanted).await?;
        let found = read(connection, wanted, &types).await?;
        let diff = diff(wanted, &found, known);
        if !diff.is_empty() {
            write(connection, wanted, &types, &diff).await?;
            let after = read(connection, wanted, &types).await?;
            is_written(wanted, &diff, &after)?;
            transaction.commit().await.map_err(refused)?;
        }
        let keys = |rows: &[usize]| rows.iter().map(|row| wanted.rows[*row].name()).collect();
        Ok(Mirrored {
            known: Known::after(wanted, &found, &diff, known),
            written: diff.updates.len() + diff.inserts.len(),
            drifted: Diff::places(wanted, &diff.drifted),
            left: Diff::places(wanted, &diff.left),
            missing: keys(&diff.missing),
            doubled: keys(&diff.doubled),
        })
    }
}

/// Reads an address. Over a network a password goes to nobody but the server that was meant,
/// unless the address says otherwise.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, SinkError> {
    let unusable = |why: &str| SinkError::Secret(format!("the database's address {why}"));
    let parsed = reqwest::Url::parse(url).map_err(|_| unusable("is no URL"))?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err(unusable("does not begin with postgres://"));
    }
    // One that is not known would be left out, and written into the log with its value.
    let mut given = parsed.query_pairs();
    if let Some((key, _)) = given.find(|(key, _)| !PARAMETERS.contains(&&**key)) {
        return Err(unusable(&format!(
            "has the parameter {key}, which is not known"
        )));
    }
    let options = PgConnectOptions::from_url(&parsed);
    // What is wrong with it may be a part of it.
    let options = options.map_err(|_| unusable("has a parameter that is not understood"))?;
    let says = parsed
        .query_pairs()
        .any(|(key, _)| matches!(&*key, "sslmode" | "ssl-mode"));
    let options = match says || is_here(&options) {
        true => options,
        false => options.ssl_mode(PgSslMode::VerifyFull),
    };
    Ok(options
        .application_name("esclusa")
        .disable_statement_logging())
}

/// Whether the database is on this machine.
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host.starts_with('/')
        || bare == "localhost"
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whose fault a failure is.
fn refused(error: sqlx::Error) -> SinkError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().map(|code| format!(" ({code})"));
            SinkError::Refused(format!("{}{}", error.message(), code.unwrap_or_default()))
        }
        other => SinkError::Unreachable(other.to_string()),
    }
}

/// The types of all columns that are named; says what is not as the file has it.
async fn types(connection: &mut PgConnection, wanted: &Wanted) -> Result<Types, SinkError> {
    let rows = sqlx::query(sql::COLUMNS)
        .persistent(false)
        .bind(sql::table(&wanted.table))
        .fetch_all(connection)
        .await
        .map_err(refused)?;
    let column = |row: &PgRow| -> Result<Column, sqlx::Error> {
        Ok(Column {
            name: row.try_get(0)?,
            ty: row.try_get(1)?,
            category: row.try_get(2)?,
        })
    };
    let there: Result<Vec<Column>, _> = rows.iter().map(column).collect();
    checked(wanted, &there.map_err(refused)?)
}

/// Whether the columns that are there can hold what is wanted.
pub(super) fn checked(wanted: &Wanted, there: &[Column]) -> Result<Types, SinkError> {
    let table = &wanted.table;
    if there.is_empty() {
        return Err(SinkError::Table(format!(
            "there is no table {table}, or it may not be seen"
        )));
    }
    let mut wrong = Vec::new();
    let mut find = |name: &str, what: &str, fits: &dyn Fn(&Column) -> bool| {
        match there.iter().find(|column| column.name == name) {
            Some(column) if fits(column) => return column.ty.clone(),
            Some(column) => wrong.push(format!(
                "column {name} of {table} is of type {}, which holds no {what}",
                column.ty
            )),
            None => {
                let known: Vec<&str> = there.iter().take(NAMED).map(|c| c.name.as_str()).collect();
                wrong.push(format!(
                    "{table} has no column {name}; it has {}",
                    known.join(", ")
                ));
            }
        }
        String::new()
    };
    let keys = wanted.keys.iter();
    let keys = keys.map(|key| match key.form {
        KeyForm::Integer => find(&key.column, "whole numbers as keys", &is_integer),
        KeyForm::Text => find(&key.column, "text as a key", &|c| !is_number(c)),
    });
    let keys = keys.collect();
    let fixed = wanted.fixed.iter();
    let fixed = fixed.map(|(column, _)| find(column, "value", &|_| true));
    let fixed = fixed.collect();
    let columns = wanted.columns.iter().map(|column| match wanted.form {
        Form::Boolean => find(column, "booleans", &|c| c.category == "B"),
        Form::Integer => find(column, "whole numbers", &is_integer),
        Form::Text => find(column, "text", &is_text),
    });
    let columns = columns.collect();
    match wrong.is_empty() {
        true => Ok(Types {
            keys,
            fixed,
            columns,
        }),
        false => Err(SinkError::Table(wrong.join("; "))),
    }
}

fn is_number(column: &Column) -> bool {
    column.category == "N"
}

fn is_integer(column: &Column) -> bool {
    matches!(column.ty.as_str(), "smallint" | "integer" | "bigint")
}

/// Text, an enum, or a type of somebody else's such as `citext`.
fn is_text(column: &Column) -> bool {
    matches!(column.category.as_str(), "S" | "E" | "U")
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// A statement. Its text is made of quoted names, types of the database's own and numbers of
/// parameters alone.
fn statement<'q>(sql: String) -> Bound<'q> {
    sqlx::query(AssertSqlSafe(sql)).persistent(false)
}

fn bind_keys<'q>(mut query: Bound<'q>, wanted: &Wanted, rows: &[usize]) -> Bound<'q> {
    for key in 0..wanted.keys.len() {
        let values = rows.iter().map(|row| wanted.rows[*row].key[key].clone());
        query = query.bind(values.collect::<Vec<String>>());
    }
    query
}

fn bind_fixed<'q>(mut query: Bound<'q>, wanted: &Wanted) -> Bound<'q> {
    for (_, value) in &wanted.fixed {
        query = query.bind(value.clone());
    }
    query
}

async fn read(
    connection: &mut PgConnection,
    wanted: &Wanted,
    types: &Types,
) -> Result<Vec<FoundRow>, SinkError> {
    let all: Vec<usize> = (0..wanted.rows.len()).collect();
    // Some keys may have several rows, which is told; a table where most have is another one.
    let most = 2 * all.len() + 100;
    let query = statement(sql::read(wanted, types, most));
    let query = bind_fixed(bind_keys(query, wanted, &all), wanted);
    let rows = query.fetch_all(connection).await.map_err(refused)?;
    if rows.len() >= most {
        let columns: Vec<&str> = wanted.keys.iter().map(|key| key.column.as_str()).collect();
        return Err(SinkError::Table(format!(
            "{} has more than one row for most values of {}: they do not name a row",
            wanted.table,
            columns.join(" and ")
        )));
    }
    let found = |row: &PgRow| -> Result<FoundRow, sqlx::Error> {
        let number: i64 = row.try_get(0)?;
        let cells = (1..=wanted.columns.len()).map(|n| row.try_get(n));
        Ok(FoundRow {
            row: usize::try_from(number - 1).unwrap_or_default(),
            cells: cells.collect::<Result<_, _>>()?,
        })
    };
    let found: Result<Vec<FoundRow>, _> = rows.iter().map(found).collect();
    found.map_err(refused)
}

async fn write(
    connection: &mut PgConnection,
    wanted: &Wanted,
    types: &Types,
    diff: &Diff,
) -> Result<(), SinkError> {
    let columns = 0..wanted.columns.len();
    if !diff.updates.is_empty() {
        let rows: Vec<usize> = diff.updates.iter().map(|update| update.row).collect();
        let mut query = bind_keys(statement(sql::update(wanted, types)), wanted, &rows);
        for column in columns.clone() {
            let cells = diff.updates.iter().map(|one| one.cells[column].clone());
            query = query.bind(cells.collect::<Vec<Option<String>>>());
        }
        let query = bind_fixed(query, wanted);
        query.execute(&mut *connection).await.map_err(refused)?;
    }
    if !diff.inserts.is_empty() {
        let rows = &diff.inserts;
        let mut query = bind_keys(statement(sql::insert(wanted, types)), wanted, rows);
        for column in columns {
            let cells = rows.iter().map(|row| &wanted.rows[*row].cells[column]);
            query = query.bind(cells.map(|cell| cell.value.clone()).collect::<Vec<_>>());
        }
        let query = bind_fixed(query, wanted);
        query.execute(&mut *connection).await.map_err(refused)?;
    }
    Ok(())
}

/// Whether what was written is what is read.
fn is_written(wanted: &Wanted, diff: &Diff, after: &[FoundRow]) -> Result<(), SinkError> {
    let mut now: Vec<Option<&FoundRow>> = vec![None; wanted.rows.len()];
    for row in after {
        now[row.row] = Some(row);
    }
    let updated = diff.updates.iter();
    let updated = updated.map(|update| (update.row, update.cells.clone()));
    let inserted = diff.inserts.iter().map(|row| {
        let cells = wanted.rows[*row].cells.iter();
        (*row, cells.map(|cell| Some(cell.value.clone())).collect())
    });
    for (row, cells) in updated.chain(inserted) {
        let key = wanted.rows[row].name();
        let Some(found) = now[row] else {
            return Err(SinkError::ReadBack(format!(
                "the row of {key} is not there after it was written"
            )));
        };
        for (column, written) in cells.iter().enumerate() {
            let read = &found.cells[column];
            if written.is_some() && written != read {
                return Err(SinkError::ReadBack(format!(
                    "{} of {key} is {} after {} was written: something else, such as a trigger, \
                     writes it too",
                    wanted.columns[column],
                    read.as_deref().unwrap_or("NULL"),
                    written.as_deref().unwrap_or_default(),
                )));
            }
        }
    }
    Ok(())
}
