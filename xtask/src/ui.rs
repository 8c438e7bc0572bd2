//! `cargo xtask ui`: builds the dashboard into `ui/dist`, where the next build of the
//! program finds it; and what the gate looks at in it.

use crate::ci::Outcome;
use crate::setup::install_node_packages;
use crate::shell;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Where it stands.
const FOLDER: &str = "ui";
/// Most bytes of script, as sent, until the page works.
const SCRIPT_LIMIT: u64 = 80_000;

/// Installs locked packages, builds, and says how large it became.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    for step in [built, small] {
        match step(root)? {
            Outcome::Failed(why) => {
                eprintln!("ui: {why}");
                return Ok(ExitCode::FAILURE);
            }
            Outcome::Passed(words) | Outcome::Skipped(words) => println!("ui: {words}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The step that builds.
pub(crate) fn built(root: &Path) -> Result<Outcome> {
    install_node_packages(&root.join(FOLDER))?;
    let done = "built into ui/dist; `cargo build` puts it into the program";
    npm(root, "build", done)
}

/// The step that checks types and runs tests.
pub(crate) fn tested(root: &Path) -> Result<Outcome> {
    match npm(root, "check", "")? {
        Outcome::Passed(_) => npm(root, "test", ""),
        other => Ok(other),
    }
}

/// The step that weighs what was built.
pub(crate) fn small(root: &Path) -> Result<Outcome> {
    let dist = root.join(FOLDER).join("dist");
    let size = script_size(&dist)?;
    let words = format!("{size} bytes of script until the page works, at most {SCRIPT_LIMIT}");
    Ok(if size > SCRIPT_LIMIT {
        Outcome::Failed(format!("{words}: load less at first"))
    } else {
        Outcome::Passed(words)
    })
}

/// Bytes of script that a browser is sent at first, packed as they are sent.
fn script_size(dist: &Path) -> Result<u64> {
    let page = dist.join("index.html");
    let page = fs::read_to_string(&page)
        .with_context(|| format!("failed to read {}; run `cargo xtask ui`", page.display()))?;
    let mut size = 0;
    let names = page.split("/assets/").skip(1);
    for name in names.filter_map(|rest| rest.split('"').next()) {
        if !name.ends_with(".js") {
            continue;
        }
        let packed = dist.join("assets").join(format!("{name}.gz"));
        let packed = fs::metadata(&packed)
            .with_context(|| format!("failed to read {}", packed.display()))?;
        size += packed.len();
    }
    if size == 0 {
        bail!("the page in {} loads no script", dist.display());
    }
    Ok(size)
}

fn npm(root: &Path, script: &str, done: &str) -> Result<Outcome> {
    let mut npm = Command::new("npm");
    npm.args(["run", "--silent", script])
        .current_dir(root.join(FOLDER))
        .stdin(Stdio::null());
    let status = shell::status(&mut npm).context("npm comes with Node; is it on the PATH?")?;
    Ok(if status.success() {
        Outcome::Passed(done.to_owned())
    } else {
        Outcome::Failed(format!("`npm run {script}` failed in {FOLDER}/"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dist(scripts: &[(&str, usize)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let dist = root.path().join("ui/dist");
        fs::create_dir_all(dist.join("assets")).expect("created");
        let mut page = "<!doctype html><link href=\"/assets/a.css\">".to_owned();
        for (name, size) in scripts {
            page.push_str(&format!(
                "<script type=\"module\" src=\"/assets/{name}\"></script>"
            ));
            fs::write(
                dist.join("assets").join(format!("{name}.gz")),
                vec![0; *size],
            )
            .expect("written");
        }
        fs::write(dist.join("index.html"), page).expect("written");
        root
    }

    #[test]
    fn too_much_script_is_refused() {
        let limit = usize::try_from(SCRIPT_LIMIT).expect("fits");
        let passes = |scripts: &[(&str, usize)]| {
            let outcome = small(dist(scripts).path()).expect("weighed");
            matches!(outcome, Outcome::Passed(_))
        };
        assert!(passes(&[("a.js", limit)]));
        assert!(!passes(&[("a.js", limit + 1)]));
        assert!(!passes(&[("a.js", limit), ("b.js", 1)]));
    }

    #[test]
    fn what_was_not_built_weighs_not_nothing() {
        let empty = tempfile::tempdir().expect("a folder");
        assert!(small(empty.path()).is_err());
        assert!(small(dist(&[]).path()).is_err(), "no script at all");
        let lost = dist(&[("a.js", 1)]);
        fs::remove_file(lost.path().join("ui/dist/assets/a.js.gz")).expect("removed");
        assert!(small(lost.path()).is_err());
    }
}
