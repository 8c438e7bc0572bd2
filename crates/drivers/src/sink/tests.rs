//! The file, the comparison and the statements, without a database. FLAG-08

use super::postgres::{checked, options};
use super::sql::{self, Column, Types};
use super::*;
use esclusa_plan::SourceFile;

const FILE: &str = "
sinks:
  - name: crm
    environment: production
    postgres: { url: 'env:CRM' }
    columns:
      table: app.features
      tenant: { column: tenant_id, attribute: crm-id, as: integer }
      where: { app: crm }
      flags: { exec-reports: exec_reports, master: master_reports }
    values: { as: text, variants: { on: 'true', off: N } }
    insert: true
    repair: false
    every: 5s
  - name: queue
    postgres: { url: 'file:/run/queue' }
    rows: { table: flags, name: name, value: enabled, names: { job-queue: job_queue } }
";

fn read(text: &str) -> Result<SinksConfig, Vec<String>> {
    let source = SourceFile::new("sinks.yaml", text);
    parse(&source).map_err(|found| {
        let line = |d: &esclusa_plan::Diagnostic| format!("{} {}", d.code, d.message);
        found.iter().map(line).collect()
    })
}

#[test]
fn a_file_is_read_with_what_is_not_given() {
    let config = read(FILE).expect("good");
    let crm = &config.sinks[0];
    assert_eq!((crm.name.as_str(), crm.kind), ("crm", "postgres"));
    assert_eq!(crm.environment.as_deref(), Some("production"));
    assert_eq!(crm.layout.table().to_string(), "app.features");
    let Layout::Columns {
        tenant,
        fixed,
        flags,
        ..
    } = &crm.layout
    else {
        panic!("{:?}", crm.layout);
    };
    assert_eq!(tenant.source, KeySource::Attribute("crm-id".into()));
    assert_eq!(tenant.form, KeyForm::Integer);
    assert_eq!(fixed, &[("app".to_owned(), "crm".to_owned())]);
    assert_eq!(flags["exec-reports"], "exec_reports");
    assert_eq!(crm.values.variants["on"], "true");
    assert_eq!(
        crm.rules,
        Rules {
            insert: true,
            repair: false
        }
    );
    let queue = &config.sinks[1];
    assert_eq!(queue.every, Millis(30_000));
    assert_eq!(
        queue.rules,
        Rules {
            insert: false,
            repair: true
        }
    );
    assert_eq!(queue.values.form, Form::Boolean);
    assert!(!format!("{config:?}").contains("CRM"));
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let text = FILE
        .replace("url: 'env:CRM'", "url: 'postgres://crm:hunter2@db/crm'")
        .replace("table: app.features", "table: a.b.c")
        .replace("master: master_reports", "master: exec_reports")
        .replace("every: 5s", "every: 5ms")
        .replace("as: text", "as: smallint")
        .replace("name: queue", "name: crm")
        .replace("rows: {", "columnz: 1\n    rows: {");
    let found = read(&text).expect_err("wrong");
    for wanted in [
        "ESC-0721 a secret is named by where it stands, and does not stand here",
        "ESC-0117 this is no name of a table",
        "ESC-0216 the column `exec_reports` has two meanings",
        "ESC-0115 this may be 1s to 1h",
        "ESC-0113 `N` is no value of this kind",
        "ESC-0216 another sink is called `crm`",
    ] {
        assert!(
            found.iter().any(|line| line == wanted),
            "{wanted}: {found:#?}"
        );
    }
    assert!(
        found.iter().any(|line| line.contains("columnz")),
        "{found:#?}"
    );
    assert!(found.iter().all(|line| !line.contains("hunter2")));
    let both = FILE.replace(
        "    rows: {",
        "    columns: { table: x, tenant: { column: y }, flags: { a: b } }\n    rows: {",
    );
    assert_eq!(
        read(&both).expect_err("two layouts"),
        ["ESC-0116 several keys say what the table looks like"]
    );
    let none = FILE.replace("    postgres: { url: 'file:/run/queue' }\n", "");
    assert_eq!(
        read(&none).expect_err("no database"),
        ["ESC-0116 nothing here says where the database is"]
    );
}

// The next step is one of this file, not of a plan, and of the choices that there are.
#[test]
fn next_steps_are_those_of_this_file() {
    let helps = |text: &str| -> Vec<String> {
        let found = parse(&SourceFile::new("sinks.yaml", text)).expect_err("wrong");
        found.into_iter().map(|one| one.help).collect()
    };
    for text in ["", "[a]", "some words"] {
        assert_eq!(helps(text), ["the keys here are `sinks`"], "{text}");
    }
    let none = FILE.replace("    postgres: { url: 'file:/run/queue' }\n", "");
    assert_eq!(helps(&none), ["give `postgres`"]);
}

const RULES: Rules = Rules {
    insert: false,
    repair: true,
};

/// Three tenants, two flags.
fn wanted(rules: Rules, cells: [[&str; 2]; 3]) -> Wanted {
    let rows = ["1", "2", "3"].into_iter().zip(cells);
    let cell = |value: &str| Cell {
        value: value.trim_end_matches('!').to_owned(),
        always: value.ends_with('!'),
    };
    Wanted {
        table: TableName {
            schema: None,
            name: "features".into(),
        },
        keys: vec![KeyColumn {
            column: "tenant_id".into(),
            form: KeyForm::Integer,
        }],
        fixed: vec![("app".into(), "crm".into())],
        columns: vec!["a".into(), "b\"c".into()],
        form: Form::Boolean,
        rows: rows
            .map(|(key, cells)| WantedRow {
                key: vec![key.to_owned()],
                cells: cells.map(cell).to_vec(),
            })
            .collect(),
        rules,
    }
}

fn found(row: usize, cells: [Option<&str>; 2]) -> FoundRow {
    FoundRow {
        row,
        cells: cells.map(|cell| cell.map(str::to_owned)).to_vec(),
    }
}

fn there(cells: [[&str; 2]; 3]) -> Vec<FoundRow> {
    let rows = cells.into_iter().enumerate();
    rows.map(|(row, cells)| found(row, cells.map(Some)))
        .collect()
}

const ALL_ON: [[&str; 2]; 3] = [["true", "true"]; 3];
const FIRST_OFF: [[&str; 2]; 3] = [["false", "true"], ["true", "true"], ["true", "true"]];

/// What is known after a look that found and wrote all that was wanted.
fn known(wanted: &Wanted) -> Known {
    let rows = wanted.rows.iter().enumerate();
    let rows: Vec<FoundRow> = rows
        .map(|(row, wanted)| FoundRow {
            row,
            cells: wanted.cells.iter().map(|c| Some(c.value.clone())).collect(),
        })
        .collect();
    Known::after(wanted, &rows, &Diff::default(), &Known::default())
}

#[test]
fn only_cells_that_differ_are_written() {
    let wanted = wanted(RULES, ALL_ON);
    let nothing = diff(&wanted, &there(ALL_ON), &Known::default());
    assert_eq!(nothing, Diff::default());
    let mut rows = there(FIRST_OFF);
    rows[2].cells[1] = None;
    let some = diff(&wanted, &rows, &Known::default());
    let update = |row, cells: [Option<&str>; 2]| Update {
        row,
        cells: found(row, cells).cells,
    };
    assert_eq!(
        some.updates,
        [
            update(0, [Some("true"), None]),
            update(2, [None, Some("true")])
        ]
    );
    // Before the first look nobody knows who made it so.
    assert_eq!((some.drifted.len(), some.left.len()), (0, 0));
    assert_eq!(
        Known::after(&wanted, &rows, &some, &Known::default()),
        known(&wanted)
    );
}

#[test]
fn what_somebody_else_changed_is_told_from_what_we_change() {
    let on = wanted(RULES, ALL_ON);
    let drifted = diff(&on, &there(FIRST_OFF), &known(&on));
    assert_eq!(drifted.drifted, [(0, Some(0))]);
    assert_eq!((drifted.updates.len(), drifted.left.len()), (1, 0));
    let places = Diff::places(&on, &drifted.drifted);
    assert_eq!(places[0].to_string(), "1 a");
    // The flag itself changed: nobody did anything to the table.
    let off = wanted(RULES, FIRST_OFF);
    let changed = diff(&off, &there(ALL_ON), &known(&on));
    assert_eq!((changed.updates.len(), changed.drifted.len()), (1, 0));
}

#[test]
fn without_repair_changes_of_others_stay_until_the_flag_changes_or_is_killed() {
    let only_told = Rules {
        repair: false,
        ..RULES
    };
    let on = wanted(only_told, ALL_ON);
    let mut before = known(&on);
    for _ in 0..2 {
        let left = diff(&on, &there(FIRST_OFF), &before);
        assert_eq!(left.updates, []);
        assert_eq!(
            (&left.left, &left.drifted),
            (&left.drifted, &vec![(0, Some(0))])
        );
        before = Known::after(&on, &there(FIRST_OFF), &left, &before);
        assert_eq!(before, known(&on));
    }
    // Off by hand the other way round: it is on by hand, and a kill comes.
    let off = wanted(only_told, [["false"; 2]; 3]);
    let by_hand = there([["true", "false"], ["false"; 2], ["false"; 2]]);
    assert_eq!(diff(&off, &by_hand, &known(&off)).updates, []);
    let killed = wanted(only_told, [["false!"; 2]; 3]);
    let kill = diff(&killed, &by_hand, &known(&off));
    assert_eq!((kill.updates.len(), kill.left.len()), (1, 0));
}

#[test]
fn rows_that_are_missing_or_doubled_are_named() {
    let plain = wanted(RULES, ALL_ON);
    let rows = [
        found(0, [Some("true"); 2]),
        found(1, [Some("false"); 2]),
        found(1, [Some("false"); 2]),
    ];
    let none = diff(&plain, &rows, &Known::default());
    assert_eq!(
        (&none.missing, &none.inserts, &none.doubled),
        (&vec![2], &vec![], &vec![1])
    );
    assert!(none.is_empty(), "neither of two rows is written");
    let insert = Rules {
        insert: true,
        repair: true,
    };
    let adding = wanted(insert, ALL_ON);
    let some = diff(&adding, &rows[..1], &Known::default());
    assert_eq!((&some.inserts, &some.missing), (&vec![1, 2], &vec![]));
    assert_eq!(
        Known::after(&adding, &rows[..1], &some, &Known::default()),
        known(&adding)
    );
    // A row that was there and is not any more was taken away by somebody.
    let gone = diff(&plain, &rows[..1], &known(&plain));
    assert_eq!(gone.drifted, [(1, None), (2, None)]);
    assert_eq!(gone.missing, [1, 2]);
    let after = Known::after(&plain, &rows[..1], &gone, &known(&plain));
    assert_eq!(diff(&plain, &rows[..1], &after).drifted, []);
    // Without repair it is not put back either.
    let told = Rules {
        insert: true,
        repair: false,
    };
    let told = wanted(told, ALL_ON);
    let gone = diff(&told, &rows[..1], &known(&told));
    assert_eq!((gone.inserts.len(), gone.left.len()), (0, 2));
}

#[test]
fn names_are_quoted_and_values_bound() {
    let mut wanted = wanted(RULES, ALL_ON);
    wanted.table.schema = Some("x\"; DROP".into());
    let types = Types {
        keys: vec!["bigint".into()],
        fixed: vec!["text".into()],
        columns: vec!["boolean".into(); 2],
    };
    assert_eq!(
        sql::read(&wanted, &types, 9),
        "SELECT v.n, t.\"a\"::text, t.\"b\"\"c\"::text FROM unnest($1::text[]) WITH ORDINALITY AS \
         v(k0, n) JOIN \"x\"\"; DROP\".\"features\" AS t ON t.\"tenant_id\" = CAST(v.k0 AS bigint) \
         AND t.\"app\" = CAST($2::text AS text) LIMIT 9"
    );
    assert_eq!(
        sql::update(&wanted, &types),
        "UPDATE \"x\"\"; DROP\".\"features\" AS t SET \"a\" = COALESCE(CAST(v.c0 AS boolean), \
         t.\"a\"), \"b\"\"c\" = COALESCE(CAST(v.c1 AS boolean), t.\"b\"\"c\") FROM \
         unnest($1::text[], $2::text[], $3::text[]) AS v(k0, c0, c1) WHERE t.\"tenant_id\" = \
         CAST(v.k0 AS bigint) AND t.\"app\" = CAST($4::text AS text)"
    );
    assert_eq!(
        sql::insert(&wanted, &types),
        "INSERT INTO \"x\"\"; DROP\".\"features\" (\"tenant_id\", \"a\", \"b\"\"c\", \"app\") SELECT \
         CAST(v.k0 AS bigint), CAST(v.c0 AS boolean), CAST(v.c1 AS boolean), CAST($4::text AS \
         text) FROM unnest($1::text[], $2::text[], $3::text[]) AS v(k0, c0, c1)"
    );
}

#[test]
fn columns_that_do_not_fit_are_all_named() {
    let wanted = wanted(RULES, ALL_ON);
    let column = |name: &str, ty: &str, category: &str| Column {
        name: name.into(),
        ty: ty.into(),
        category: category.into(),
    };
    let good = [
        column("tenant_id", "integer", "N"),
        column("app", "text", "S"),
        column("a", "boolean", "B"),
        column("b\"c", "boolean", "B"),
    ];
    let types = checked(&wanted, &good).expect("fits");
    assert_eq!((&*types.keys[0], &*types.fixed[0]), ("integer", "text"));
    let why = |there: &[Column]| checked(&wanted, there).expect_err("unfit").to_string();
    assert_eq!(
        why(&[]),
        "there is no table features, or it may not be seen"
    );
    let bad = [
        column("tenant_id", "uuid", "U"),
        column("app", "text", "S"),
        column("a", "smallint", "N"),
    ];
    assert_eq!(
        why(&bad),
        "column tenant_id of features is of type uuid, which holds no whole numbers as keys; \
         column a of features is of type smallint, which holds no booleans; features has no \
         column b\"c; it has tenant_id, app, a"
    );
}

#[test]
fn over_a_network_the_server_must_prove_who_it_is() {
    use sqlx::postgres::PgSslMode;
    let mode = |url: &str| options(url).expect("usable").get_ssl_mode();
    for here in [
        "postgres://app@localhost/x",
        "postgres://app@127.0.0.1/x",
        "postgres://app@[::1]/x",
        "postgres:///x?host=/run/postgresql",
    ] {
        assert!(matches!(mode(here), PgSslMode::Prefer), "{here}");
    }
    assert!(matches!(
        mode("postgres://db.example/x"),
        PgSslMode::VerifyFull
    ));
    let why = options("postgres:///x?pasword=hunter2")
        .expect_err("unknown")
        .to_string();
    assert!(why.contains("pasword") && !why.contains("hunter2"), "{why}");
    let told = "postgresql://db.example/x?sslmode=disable";
    assert!(matches!(mode(told), PgSslMode::Disable));
}

#[test]
fn the_statement_for_a_person_has_everything_in_it() {
    let mut wanted = wanted(RULES, [["true", "false"]; 3]);
    wanted.rows.truncate(2);
    wanted.rows[1].key[0] = "a'b\\".into();
    assert_eq!(
        by_hand(&wanted).expect("rows"),
        "UPDATE \"features\" AS t SET \"a\" = v.c0::boolean, \"b\"\"c\" = v.c1::boolean\n\
         FROM (VALUES\n  ('1', 'true', 'false'),\n  (E'a''b\\\\', 'true', 'false')\n) AS v(k0, c0, c1)\n\
         WHERE t.\"tenant_id\"::text = v.k0 AND t.\"app\"::text = 'crm';"
    );
    wanted.rows.clear();
    assert_eq!(by_hand(&wanted), None);
}

#[test]
fn the_example_is_good() {
    let config = read(include_str!("../../../../examples/sinks.yaml")).expect("good");
    assert_eq!(config.sinks.len(), 2);
}
