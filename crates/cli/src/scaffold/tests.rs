//! Folders as they lie about, and the plans that are written for them.

use super::*;
use crate::output::{Colour, Form};
use esclusa_plan::{Severity, render_all};

fn quiet() -> Output {
    Output {
        form: Form::People,
        colour: Colour::Off,
        talk_colour: Colour::Off,
        live: false,
    }
}

/// A folder `shop` with these files.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let shop = dir.path().join("My Shop");
    std::fs::create_dir(&shop).expect("a folder");
    for (name, text) in files {
        let file = shop.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("written");
    }
    (dir, shop)
}

/// The plan for a folder, which must be accepted and laid out.
fn written(files: &[(&str, &str)]) -> String {
    let (_dir, shop) = folder(files);
    let asked = Init {
        dir: shop.clone(),
        force: false,
        print: false,
    };
    assert!(matches!(run(&asked, &quiet()), Ok(Exit::Done)));
    let text = std::fs::read_to_string(shop.join(PLAN)).expect("a plan");
    let source = SourceFile::new(PLAN, &text);
    let found = match parse(&source, &esclusa_drivers::catalog()) {
        Ok(parsed) => parsed.warnings,
        Err(found) => found,
    };
    let errors = found.iter().any(|d| d.severity == Severity::Error);
    assert!(!errors, "{}\n{text}", render_all(&source, &found));
    let schema = std::fs::read_to_string(shop.join(SCHEMA)).expect("the schema");
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!(schema["title"], "esclusa plan");
    assert_eq!(
        format(&source, &esclusa_drivers::catalog()).as_deref(),
        Ok(text.as_str()),
        "laid out"
    );
    text
}

#[test]
fn compose_files() {
    insta::assert_snapshot!(
        "compose",
        written(&[(
            "docker-compose.yml",
            r#"
services:
  web:
    build: .
    ports: ["8081:3000"]
    depends_on: [db]
    healthcheck: { test: ["CMD", "curl", "-f", "http://localhost:3000/healthz"] }
  jobs: { build: ., command: ["node", "jobs.js"] }
  db: { image: "postgres:16" }
  cache: { image: "docker.io/library/redis:7" }
"#
        )])
    );
    let ready = written(&[(
        "compose.yaml",
        "services: { api: { image: \"api:${VERSION}\", ports: [\"${PORT:-8082}:80\"] } }\n",
    )]);
    assert!(ready.contains("listen: 127.0.0.1:8082"), "{ready}");
    assert!(
        !ready.contains("has no version") && !ready.contains("publishes"),
        "{ready}"
    );
}

#[test]
fn ecosystem_files() {
    insta::assert_snapshot!(
        "pm2",
        written(&[(
            "ecosystem.config.js",
            r#"// how it runs
module.exports = {
  apps: [
    {
      name: 'api', // the web part
      script: './dist/server.js',
      args: '--verbose',
      instances: 'max',
      env: { NODE_ENV: 'development', URL: "http://x/y" },
      env_production: { NODE_ENV: 'production', PORT: 4000 },
    },
    { name: 'nightly', script: 'report.py', cron_restart: '0 3 * * *' },
  ],
};
"#
        )])
    );
    let computed = written(&[(
        "ecosystem.config.cjs",
        "module.exports = { apps: names.map((n) => ({ name: n })) };\n",
    )]);
    assert!(computed.contains("was not understood"), "{computed}");
    let json = written(&[(
        "pm2.json",
        r#"{ "apps": [{ "name": "site", "script": "run.sh" }] }"#,
    )]);
    assert!(json.contains("exec sh ${dir}/run.sh"), "{json}");
}

#[test]
fn procfiles() {
    insta::assert_snapshot!(
        "procfile",
        written(&[(
            "Procfile",
            "# processes\nweb: bundle exec puma -p ${PORT:-3000} -e $RACK_ENV\nworker: bundle exec sidekiq\n\
             clock: bundle exec clockwork clock.rb\nrelease: ./bin/migrate ${STAGE}\n"
        )])
    );
}

#[test]
fn units() {
    insta::assert_snapshot!(
        "systemd",
        written(&[
            (
                "deploy/shop.service",
                "[Unit]\nDescription=Shop\n[Service]\nEnvironment=PORT=5000\nEnvironment=\"MODE=live ${X}\"\n\
                 ExecStart=/opt/shop/bin/shop \\\n  --listen 0.0.0.0:5000\n"
            ),
            (
                "deploy/mails.service",
                "[Service]\nExecStart=/usr/bin/python3 /opt/shop/mails.py\n"
            ),
            (
                "deploy/clean.service",
                "[Service]\nType=oneshot\nExecStart=/bin/true\n"
            ),
        ])
    );
    let template = written(&[("shop@.service", "[Service]\nExecStart=/opt/shop/run %i\n")]);
    assert!(
        template.contains("systemctl start shop@${port}"),
        "{template}"
    );
}

#[test]
fn a_folder_with_nothing_and_one_with_several() {
    insta::assert_snapshot!("nothing", written(&[]));
    let both = written(&[
        ("Procfile", "web: ./run\n"),
        ("compose.yaml", "services: { web: { build: . } }\n"),
    ]);
    assert!(both.contains("docker compose"), "{both}");
    assert!(both.contains("Procfile: web: not used"), "{both}");
    let broken = written(&[("compose.yaml", "services: ["), ("Procfile", "oops")]);
    assert!(broken.contains("nothing that says"), "{broken}");
}

#[test]
fn a_plan_is_never_overwritten_unasked() {
    let (_dir, shop) = folder(&[(PLAN, "mine"), (SCHEMA, "mine too")]);
    let mut asked = Init {
        dir: shop.clone(),
        force: false,
        print: false,
    };
    let refused = run(&asked, &quiet()).expect_err("refused");
    assert_eq!(refused.error.code, "ESC-0531");
    asked.print = true;
    assert!(run(&asked, &quiet()).is_ok());
    let text = || std::fs::read_to_string(shop.join(PLAN)).expect("read");
    assert_eq!(text(), "mine", "looked at, not touched");
    asked.print = false;
    asked.force = true;
    assert!(run(&asked, &quiet()).is_ok());
    assert!(text().contains("esclusa: 1"));
    let schema = std::fs::read_to_string(shop.join(SCHEMA)).expect("read");
    assert_eq!(schema, "mine too", "another file under the schema's name");
    asked.dir = shop.join("nowhere");
    assert_eq!(
        run(&asked, &quiet()).expect_err("no folder").error.code,
        "ESC-0532"
    );
}
