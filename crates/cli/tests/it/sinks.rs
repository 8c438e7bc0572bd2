//! A table of an old application follows the flags: the real program, a real PostgreSQL.

use crate::world::{LONG, esclusa};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::postgres::Postgres;
use esclusa_testkit::wait_until;
use serde_json::{Value, json};
use std::path::Path;

/// How applications have them: a row a tenant with a column a flag, and a row a flag.
const TABLES: &str = "
    CREATE TABLE feature_flags (id serial PRIMARY KEY, tenant_id integer, exec_reports boolean,
        master_reports boolean);
    INSERT INTO feature_flags (tenant_id) SELECT generate_series(1, 4);
    CREATE TABLE switches (name text PRIMARY KEY, enabled smallint NOT NULL);
    INSERT INTO switches VALUES ('job_queue', 7);";

const SINKS: &str = "
sinks:
  - name: crm
    postgres: { url: 'file:DATA/database' }
    every: 1s
    columns:
      table: feature_flags
      tenant: { column: tenant_id, attribute: nr, as: integer }
      flags: { exec-reports: exec_reports, master: master_reports }
  - name: queue
    postgres: { url: 'file:DATA/database' }
    every: 1s
    rows:
      table: public.switches
      name: name
      value: enabled
      flags: [job-queue]
      names: { job-queue: job_queue }
    values: { as: smallint }
";

fn flags() -> Value {
    let tenants = ["acme", "hooli", "initech", "umbrella"]
        .into_iter()
        .zip(1..);
    let tenants: serde_json::Map<String, Value> = tenants
        .map(|(id, nr)| (id.to_owned(), json!({ "attributes": { "nr": nr } })))
        .collect();
    json!({
        "environments": ["production"],
        "tenants": tenants,
        "flags": {
            "exec-reports": { "type": "boolean" },
            "master": { "type": "boolean", "default": "on",
                        "prerequisites": [{ "flag": "exec-reports", "variant": "on" }] },
            "job-queue": { "type": "boolean", "default": "on" },
        }
    })
}

fn start(database: &Postgres) -> ControlPlane {
    let prepare = |data: &Path| -> std::io::Result<()> {
        std::fs::create_dir_all(data)?;
        std::fs::write(data.join("database"), database.url())?;
        let text = SINKS.replace("DATA", &data.display().to_string());
        std::fs::write(data.join("sinks.yaml"), text)
    };
    ControlPlane::start_on(esclusa(), prepare)
        .expect("prepared")
        .0
}

/// Runs the command beside the control plane.
fn flag(plane: &ControlPlane, args: &[&str]) -> (i32, String, String) {
    let data = plane.data();
    let folder = data.parent().expect("a folder");
    tokio::task::block_in_place(|| super::run(folder, &[&["flag"], args].concat()))
}

#[track_caller]
fn done(plane: &ControlPlane, args: &[&str]) -> String {
    let (code, told, talk) = flag(plane, args);
    assert_eq!(code, 0, "{args:?}: {told}{talk}\n{}", plane.log());
    talk
}

/// The tenants that have both features, and whether the queue runs.
fn table(database: &Postgres) -> (String, String) {
    let on = "SELECT string_agg(tenant_id || CASE WHEN master_reports THEN '' ELSE '?' END, ' ' \
              ORDER BY tenant_id) FROM feature_flags WHERE exec_reports";
    (
        database.sql(on),
        database.sql("SELECT enabled FROM switches WHERE name = 'job_queue'"),
    )
}

async fn becomes(plane: &ControlPlane, database: &Postgres, on: &str, queue: &str) {
    let wanted = (on.to_owned(), queue.to_owned());
    let found = wait_until("the tables", LONG, async || {
        let found = tokio::task::block_in_place(|| table(database));
        (found == wanted).then_some(())
    });
    if found.await.is_err() {
        panic!("{:?}, not {wanted:?}\n{}", table(database), plane.log());
    }
}

/// Waits until a table stands as wanted.
async fn stands(plane: &ControlPlane, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let view = async || {
        let (_, body) = plane.get("/api/v1/flag-set/status").await;
        let sinks = body["sinks"].as_array().cloned().unwrap_or_default();
        sinks.into_iter().find(|sink| sink["name"] == name)
    };
    let found = wait_until("a sink", LONG, async || view().await.filter(&wanted)).await;
    match found {
        Ok(found) => found,
        Err(_) => panic!("{:#}\n{}", view().await.unwrap_or_default(), plane.log()),
    }
}

/// Applies the flags of these tests.
fn define(plane: &ControlPlane) {
    let file = plane.work().join("flags.json");
    std::fs::write(&file, flags().to_string()).expect("written");
    done(plane, &["apply", &file.display().to_string(), "--yes"]);
}

// FLAG-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_follow_changes_shares_kills_and_hands() {
    let database = Postgres::start().await;
    database.sql(TABLES);
    let plane = start(&database);
    define(&plane);
    becomes(&plane, &database, "", "1").await;
    // One tenant, then a share of all, then everybody.
    done(&plane, &["set", "exec-reports", "on", "--tenant", "hooli"]);
    becomes(&plane, &database, "2", "1").await;
    done(&plane, &["set", "exec-reports", "off", "--tenant", "hooli"]);
    done(
        &plane,
        &[
            "set",
            "exec-reports",
            "on",
            "--share",
            "25%",
            "--of",
            "tenant",
        ],
    );
    let one = wait_until("one of four", LONG, async || {
        let (on, _) = tokio::task::block_in_place(|| table(&database));
        (on.len() == 1 && on != "2").then_some(on)
    });
    one.await.expect("a share of tenants is exact");
    done(&plane, &["set", "exec-reports", "on"]);
    done(&plane, &["set", "exec-reports", "on", "--tenant", "hooli"]);
    becomes(&plane, &database, "1 2 3 4", "1").await;

    // A hand in the table.
    stands(&plane, "crm", |sink| sink["state"] == "reached").await;
    database.sql("UPDATE feature_flags SET exec_reports = false WHERE tenant_id = 3");
    becomes(&plane, &database, "1 2 3 4", "1").await;
    let sink = stands(&plane, "crm", |sink| sink["drift"] == 1).await;
    assert_eq!(sink["left"], json!([]), "{sink:#}");
    assert!(plane.log().contains("3 exec_reports"), "{}", plane.log());

    // A kill is in the table when it is answered.
    let talk = done(&plane, &["kill", "exec-reports", "--reason", "errors"]);
    assert!(!talk.contains("table"), "{talk}");
    becomes(&plane, &database, "", "1").await;
    done(&plane, &["lift", "exec-reports"]);
    becomes(&plane, &database, "1 2 3 4", "1").await;
}

// FLAG-08, EMG-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_does_not_need_the_database_which_follows_when_it_is_back() {
    let mut database = Postgres::start().await;
    database.sql(TABLES);
    let plane = start(&database);
    define(&plane);
    done(&plane, &["set", "exec-reports", "on"]);
    becomes(&plane, &database, "1 2 3 4", "1").await;
    database.end();
    let talk = done(&plane, &["kill", "all", "--reason", "errors"]);
    for name in ["crm", "queue"] {
        let words = format!("a table does not have it yet: {name}: ");
        assert!(talk.contains(&words), "{talk}");
    }
    let sink = stands(&plane, "crm", |sink| sink["state"] == "behind").await;
    assert!(sink["behind_since_us"].is_i64(), "{sink:#}");
    let (code, told, talk) = flag(&plane, &["status"]);
    assert_eq!(code, 1, "{told}{talk}");
    assert!(told.contains("in force at the proxy"), "{told}");
    assert!(told.contains("behind since 20"), "{told}");
    assert!(
        talk.contains("crm: the database cannot be reached"),
        "{talk}"
    );
    database.begin().await;
    becomes(&plane, &database, "", "0").await;
    for name in ["crm", "queue"] {
        stands(&plane, name, |sink| sink["state"] == "reached").await;
    }
    done(&plane, &["status"]);
}

// FLAG-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_file_has_wrong_is_said_where_it_is_seen() {
    let database = Postgres::start().await;
    database.sql(TABLES);
    database.sql("ALTER TABLE feature_flags RENAME master_reports TO masters");
    let plane = start(&database);
    let file = plane.work().join("flags.json");
    std::fs::write(&file, flags().to_string()).expect("written");
    let path = file.display().to_string();
    // Before the flags are there, they are unknown, and nothing is touched.
    let sink = stands(&plane, "queue", |sink| sink["state"] == "reached").await;
    assert_eq!(sink["unknown_flags"], json!(["job-queue"]), "{sink:#}");
    assert_eq!(database.sql("SELECT enabled FROM switches"), "7");
    done(&plane, &["apply", &path, "--yes"]);
    let sink = stands(&plane, "crm", |sink| sink["error"].is_string()).await;
    assert_eq!(
        sink["error"],
        "feature_flags has no column master_reports; it has id, tenant_id, exec_reports, masters"
    );
    // One table's trouble is its own.
    let sink = stands(&plane, "queue", |sink| sink["written"] == 1).await;
    assert_eq!(sink["unknown_flags"], json!([]), "{sink:#}");

    // A wrong file is not taken, and told of.
    let sinks = plane.data().join("sinks.yaml");
    let text = std::fs::read_to_string(&sinks).expect("read");
    let bad = text.replace("rows:", "rowz:");
    std::fs::write(&sinks, &bad).expect("written");
    let (code, _, talk) = flag(&plane, &["sink", "lint", &sinks.display().to_string()]);
    assert_eq!(code, 2, "{talk}");
    assert!(
        talk.contains("rowz") && talk.contains("did you mean `rows`"),
        "{talk}"
    );
    plane.hang_up();
    let told = wait_until("the file is told of", LONG, async || {
        let (_, body) = plane.get("/api/v1/flag-set/status").await;
        body["sinks_trouble"].as_str().map(str::to_owned)
    });
    let told = told.await.expect("told");
    assert!(told.contains("rowz"), "{told}");
    let (_, ready) = plane.get("/readyz").await;
    assert!(
        ready["warnings"].to_string().contains("ESC-0720"),
        "{ready:#}"
    );
    let sink = stands(&plane, "queue", |sink| sink["state"] == "reached").await;
    assert_eq!(sink["rows"], 1, "what was in force stays: {sink:#}");
    // A password in the file is read out to nobody: not here, not to viewers, not in the log.
    let bad = "sinks:\n  - { name: q, postgres: { url: 'postgres://u:hunter2@h/db' } }\n";
    std::fs::write(&sinks, bad).expect("written");
    let (_, said, talk) = flag(&plane, &["sink", "lint", &sinks.display().to_string()]);
    assert!(talk.contains("ESC-0721"), "{talk}");
    assert!(!format!("{said}{talk}").contains("hunter2"), "{said}{talk}");
    plane.hang_up();
    let told = wait_until("the file is told of", LONG, async || {
        let (_, body) = plane.get("/api/v1/flag-set/status").await;
        let told = body["sinks_trouble"].as_str().map(str::to_owned);
        told.filter(|told| told.contains("ESC-0721"))
    });
    let told = told.await.expect("told");
    assert!(!told.contains("hunter2"), "{told}");
    assert!(!plane.log().contains("hunter2"), "{}", plane.log());
    // Mended, by the column that there is.
    std::fs::write(
        &sinks,
        text.replace("master: master_reports", "master: masters"),
    )
    .expect("written");
    plane.hang_up();
    stands(&plane, "crm", |sink| sink["state"] == "reached").await;
    done(&plane, &["status"]);
}

// FLAG-08, EMG-04: nobody but a person writes into the database then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_a_person_gets_the_statement_and_the_server_agrees_later() {
    let database = Postgres::start().await;
    database.sql(TABLES);
    let mut plane = start(&database);
    define(&plane);
    done(&plane, &["set", "exec-reports", "on"]);
    becomes(&plane, &database, "1 2 3 4", "1").await;
    plane.kill();
    let data = plane.data();
    let folder = data.parent().expect("a folder").to_owned();
    let kill = ["kill", "all", "--reason", "errors"];
    let (code, told, talk) = tokio::task::block_in_place(|| super::run(&folder, &kill));
    assert_eq!(code, 0, "{told}{talk}");
    assert_eq!(table(&database), ("1 2 3 4".into(), "1".into()));
    for name in ["crm", "queue"] {
        let (code, sql, talk) = flag(&plane, &["sink", "sql", name]);
        assert_eq!((code, talk.as_str()), (0, ""), "{sql}");
        assert_eq!(sql.matches("UPDATE").count(), 1, "{sql}");
        database.sql(&sql);
    }
    assert_eq!(table(&database), (String::new(), "0".into()));
    let (code, _, talk) = flag(&plane, &["sink", "sql", "crn"]);
    assert_eq!(code, 2, "{talk}");
    assert!(
        talk.contains("ESC-0722") && talk.contains("crm, queue"),
        "{talk}"
    );
    plane.restart();
    for name in ["crm", "queue"] {
        let sink = stands(&plane, name, |sink| sink["state"] == "reached").await;
        assert_eq!(sink["written"], 0, "{sink:#}");
    }
    assert_eq!(table(&database), (String::new(), "0".into()));
}
