//! Tables that follow the flags, in a real PostgreSQL. FLAG-08

use esclusa_drivers::sink::{
    Cell, Form, KeyColumn, KeyForm, Known, Mirrored, Rules, Sink, SinkError, TableName, Wanted,
    WantedRow, parse,
};
use esclusa_plan::SourceFile;
use esclusa_testkit::postgres::Postgres;
use esclusa_testkit::wait_until;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The database as a file names it, its address in a file of its own.
fn sink_at(folder: &Path, url: &str, more: &str) -> Arc<dyn Sink> {
    let secret = folder.join("url");
    std::fs::write(&secret, url).expect("written");
    let text = format!(
        "sinks:\n  - name: x\n    postgres: {{ url: 'file:{}' }}\n    rows: {{ table: t, name: n, \
         value: v }}\n{more}",
        secret.display()
    );
    let config = parse(&SourceFile::new("sinks.yaml", text)).expect("good");
    Arc::clone(&config.sinks[0].sink)
}

fn sink(database: &Postgres) -> Arc<dyn Sink> {
    sink_at(database.folder(), &database.url(), "")
}

/// A row a tenant: keys and their cells.
fn wanted(table: &str, key: (&str, KeyForm), columns: &[&str], rows: &[(&str, &[&str])]) -> Wanted {
    let cell = |value: &&str| Cell {
        value: (*value).to_owned(),
        always: false,
    };
    Wanted {
        table: TableName {
            schema: None,
            name: table.into(),
        },
        keys: vec![KeyColumn {
            column: key.0.into(),
            form: key.1,
        }],
        fixed: Vec::new(),
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        form: Form::Boolean,
        rows: rows
            .iter()
            .map(|(key, cells)| WantedRow {
                key: vec![(*key).to_owned()],
                cells: cells.iter().map(cell).collect(),
            })
            .collect(),
        rules: Rules {
            insert: false,
            repair: true,
        },
    }
}

async fn mirror(sink: &Arc<dyn Sink>, wanted: &Wanted) -> Mirrored {
    let mirrored = sink.mirror(wanted, &Known::default()).await;
    mirrored.expect("it becomes so")
}

async fn fails(sink: &Arc<dyn Sink>, wanted: &Wanted) -> SinkError {
    let mirrored = sink.mirror(wanted, &Known::default()).await;
    mirrored.expect_err("it must not become so")
}

#[tokio::test]
async fn a_thousand_tenants_become_what_is_wanted_in_few_statements() {
    let database = Postgres::start_with(|_| {
        [
            "listen_addresses=",
            "log_statement=all",
            "log_min_messages=warning",
        ]
        .map(str::to_owned)
        .to_vec()
    })
    .await;
    let flags: Vec<String> = (0..6).map(|n| format!("flag_{n}")).collect();
    let columns: Vec<String> = flags
        .iter()
        .map(|name| format!("{name} boolean NOT NULL DEFAULT false"))
        .collect();
    database.sql(&format!(
        "CREATE TABLE features (tenant_id bigint, {}); INSERT INTO features (tenant_id) SELECT \
         generate_series(1, 1000)",
        columns.join(", ")
    ));
    let keys: Vec<String> = (1..=1_000).map(|n| n.to_string()).collect();
    let rows: Vec<(&str, &[&str])> = keys
        .iter()
        .map(|key| (key.as_str(), &["true"; 6][..]))
        .collect();
    let names: Vec<&str> = flags.iter().map(String::as_str).collect();
    let wanted = wanted("features", ("tenant_id", KeyForm::Integer), &names, &rows);
    let sink = sink(&database);
    let statements = || {
        database.log().matches("execute").count() + database.log().matches("statement: ").count()
    };
    let before = statements();
    let first = mirror(&sink, &wanted).await;
    assert_eq!((first.written, first.known.rows()), (1_000, 1_000));
    let used = statements() - before;
    assert!(
        (1..=10).contains(&used),
        "{used} statements:\n{}",
        database.log()
    );
    let on = "SELECT count(*) FROM features WHERE flag_0 AND flag_5";
    assert_eq!(database.sql(on), "1000");
    // Nothing to do: nothing is written, not even locked.
    let again = sink.mirror(&wanted, &first.known).await.expect("looks");
    assert_eq!((again.written, again.drifted.len()), (0, 0));
    // One cell by hand is one row.
    database.sql("UPDATE features SET flag_3 = false WHERE tenant_id = 7");
    let repaired = sink.mirror(&wanted, &first.known).await.expect("repairs");
    assert_eq!(repaired.written, 1);
    assert_eq!(repaired.drifted[0].to_string(), "7 flag_3");
    assert_eq!(
        database.sql("SELECT flag_3 FROM features WHERE tenant_id = 7"),
        "t"
    );
}

#[tokio::test]
async fn any_mapping_is_written_in_the_columns_own_types() {
    let database = Postgres::start().await;
    database.sql(
        "CREATE SCHEMA app; CREATE TYPE app.state AS ENUM ('Y', 'N');
         CREATE TABLE app.\"Odd \"\"table\" (\"Tenant\" uuid, env varchar(20), rank integer,
             small smallint DEFAULT 9, word char(8), state app.state);
         INSERT INTO app.\"Odd \"\"table\" VALUES
             ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'live', 1, 0, 'x', 'N'),
             ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'test', 1, 0, 'x', 'N')",
    );
    let sink = sink(&database);
    // Written otherwise than the database shows it.
    let key = "{a0eebc999c0b4ef8bb6d6bb9bd380a11}";
    let of = |form, columns: &[&str], cells: &[&str]| {
        let mut wanted = wanted("", ("Tenant", KeyForm::Text), columns, &[(key, cells)]);
        wanted.table.schema = Some("app".into());
        wanted.table.name = "Odd \"table".into();
        wanted.fixed = vec![("env".into(), "live".into())];
        wanted.form = form;
        wanted
    };
    let numbers = of(Form::Integer, &["rank", "small"], &["0", "1"]);
    let words = of(Form::Text, &["word", "state"], &["it's", "Y"]);
    for wanted in [&numbers, &words] {
        assert_eq!(mirror(&sink, wanted).await.written, 1);
        assert_eq!(
            mirror(&sink, wanted).await.written,
            0,
            "it is read as it was written"
        );
    }
    let all = "SELECT env, rank, small, word, state FROM app.\"Odd \"\"table\" ORDER BY env";
    let rows = database.sql(all);
    assert_eq!(rows, "live|0|1|it's    |Y\ntest|1|0|x       |N");
    let long = of(Form::Text, &["word"], &["far too long"]);
    let why = fails(&sink, &long).await;
    assert!(
        matches!(&why, SinkError::Refused(why) if why.contains("too long")),
        "{why}"
    );
}

#[tokio::test]
async fn rows_of_flags_are_put_in_where_that_is_allowed() {
    let database = Postgres::start().await;
    database.sql(
        "CREATE TABLE flags (name text, tenant text, enabled boolean, note text DEFAULT 'new');
         INSERT INTO flags VALUES ('job_queue', 'acme', false, 'old'), ('other', 'acme', false, '')",
    );
    let sink = sink(&database);
    let mut wanted = wanted("flags", ("name", KeyForm::Text), &["enabled"], &[]);
    wanted.keys.push(KeyColumn {
        column: "tenant".into(),
        form: KeyForm::Text,
    });
    wanted.rows = ["acme", "umbrella; --"]
        .map(|tenant| WantedRow {
            key: vec!["job_queue".into(), tenant.into()],
            cells: vec![Cell {
                value: "true".into(),
                always: false,
            }],
        })
        .to_vec();
    let plain = mirror(&sink, &wanted).await;
    assert_eq!(plain.written, 1);
    assert_eq!(plain.missing, ["job_queue umbrella; --"]);
    wanted.rules.insert = true;
    let inserted = mirror(&sink, &wanted).await;
    assert_eq!((inserted.written, inserted.missing.len()), (1, 0));
    assert_eq!(
        database.sql("SELECT * FROM flags ORDER BY name, tenant"),
        "job_queue|acme|t|old\njob_queue|umbrella; --|t|new\nother|acme|f|"
    );
}

#[tokio::test]
async fn several_rows_of_one_key_are_named_and_the_others_written() {
    let database = Postgres::start().await;
    database.sql(
        "CREATE TABLE features (tenant text, a boolean);
         INSERT INTO features VALUES ('acme', false), ('acme', false), ('umbrella', false)",
    );
    let rows: [(&str, &[&str]); 2] = [("acme", &["true"]), ("umbrella", &["true"])];
    let wanted = wanted("features", ("tenant", KeyForm::Text), &["a"], &rows);
    let mirrored = mirror(&sink(&database), &wanted).await;
    assert_eq!(
        (mirrored.written, mirrored.doubled),
        (1, vec!["acme".to_owned()])
    );
    let on = database.sql("SELECT tenant FROM features WHERE a");
    assert_eq!(on, "umbrella");
}

#[tokio::test]
async fn what_cannot_be_is_said_and_nothing_is_half_written() {
    let database = Postgres::start().await;
    database.sql(
        "CREATE TABLE features (tenant text, a boolean, b boolean);
         INSERT INTO features VALUES ('acme', false, false), ('umbrella', false, false);
         CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN IF NEW.tenant = ''umbrella'' THEN NEW.b := false; END IF; RETURN NEW; END';
         CREATE TRIGGER veto BEFORE UPDATE ON features FOR EACH ROW EXECUTE FUNCTION veto();
         CREATE ROLE reader LOGIN; GRANT SELECT ON features TO reader",
    );
    let plain = sink(&database);
    let rows: [(&str, &[&str]); 2] = [("acme", &["true", "true"]), ("umbrella", &["true", "true"])];
    let all = wanted("features", ("tenant", KeyForm::Text), &["a", "b"], &rows);
    let why = fails(&plain, &all).await.to_string();
    assert_eq!(
        why,
        "b of umbrella is false after true was written: something else, such as a trigger, writes \
         it too"
    );
    let off = "SELECT count(*) FROM features WHERE NOT a AND NOT b";
    assert_eq!(database.sql(off), "2", "the other row was taken back too");

    let mut renamed = all.clone();
    renamed.columns[1] = "c".into();
    let why = fails(&plain, &renamed).await.to_string();
    assert_eq!(why, "features has no column c; it has tenant, a, b");
    renamed.table.name = "featurez".into();
    let why = fails(&plain, &renamed).await.to_string();
    assert_eq!(why, "there is no table featurez, or it may not be seen");

    let reader = database.url().replace("//app@", "//reader@");
    let why = fails(&sink_at(database.folder(), &reader, ""), &all).await;
    assert!(
        matches!(&why, SinkError::Refused(why) if why.contains("permission denied")),
        "{why}"
    );

    // Somebody holds the table: the database itself gives up.
    let hasty = sink_at(database.folder(), &database.url(), "    timeout: 300ms\n");
    let mut holds = database.sql_beside("BEGIN; LOCK TABLE features; SELECT pg_sleep(60)");
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                  AND relation = 'features'::regclass";
    let is_locked = wait_until("a lock", Duration::from_secs(30), async || {
        (database.sql(locked) == "1").then_some(())
    });
    is_locked.await.expect("locked");
    let begun = Instant::now();
    let why = fails(&hasty, &all).await;
    assert!(
        matches!(&why, SinkError::Refused(why) if why.contains("statement timeout")),
        "{why}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let _ = holds.kill();
    let _ = holds.wait();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: [(&str, &[&str]); 1] = [("acme", &["true"])];
    let wanted = wanted("features", ("tenant", KeyForm::Text), &["a"], &rows);
    for (url, word) in [
        ("postgres://app:hunter2@127.0.0.1:9/x", "cannot be reached"),
        (
            "postgres://app:hunter2@127.0.0.1:9/x?sslmode=perhaps",
            "not understood",
        ),
        ("mysql://app:hunter2@127.0.0.1/x", "postgres://"),
        ("hunter2", "no URL"),
    ] {
        let why = fails(&sink_at(folder.path(), url, ""), &wanted)
            .await
            .to_string();
        assert!(why.contains(word) && !why.contains("hunter2"), "{why}");
    }
    // Answers nothing at all.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let port = silent.local_addr().expect("an address").port();
    let url = format!("postgres://app@127.0.0.1:{port}/x");
    let hasty = sink_at(folder.path(), &url, "    connect-timeout: 200ms\n");
    let why = fails(&hasty, &wanted).await.to_string();
    assert_eq!(
        why,
        "the database cannot be reached: no connection within 200ms"
    );
}

#[tokio::test]
async fn a_database_behind_tls_is_reached_and_its_certificate_checked() {
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("good");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = parameters.self_signed(&key).expect("signed");
        (certificate.pem(), rcgen::Issuer::new(parameters, key))
    };
    let (right, issuer) = authority("right");
    let (wrong, _) = authority("wrong");
    let database = Postgres::start_with(|folder| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("good");
        let certificate = parameters.signed_by(&key, &issuer).expect("signed");
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("written");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&path, mode).expect("allowed");
            path.display().to_string()
        };
        write("right.pem", &right);
        write("wrong.pem", &wrong);
        let access = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        vec![
            "listen_addresses=127.0.0.1".into(),
            "ssl=on".into(),
            format!("ssl_cert_file={}", write("server.pem", &certificate.pem())),
            format!("ssl_key_file={}", write("server.key", &key.serialize_pem())),
            format!("hba_file={}", write("hba", access)),
        ]
    })
    .await;
    database.sql("CREATE TABLE features (tenant text, a boolean); INSERT INTO features VALUES ('acme', false)");
    let rows: [(&str, &[&str]); 1] = [("acme", &["true"])];
    let wanted = wanted("features", ("tenant", KeyForm::Text), &["a"], &rows);
    let (port, folder) = (database.port(), database.folder());
    let with = |more: &str| {
        let url = format!("postgres://app@localhost:{port}/postgres?sslmode={more}");
        sink_at(folder, &url, "")
    };
    let root = |name: &str| format!("verify-full&sslrootcert={}", folder.join(name).display());
    let why = fails(&with("disable"), &wanted).await.to_string();
    assert!(why.contains("no encryption"), "{why}");
    for unknown in ["verify-full".to_owned(), root("wrong.pem")] {
        let why = fails(&with(&unknown), &wanted).await.to_string();
        assert!(why.contains("certificate"), "{why}");
    }
    assert_eq!(mirror(&with(&root("right.pem")), &wanted).await.written, 1);
}
