//! `plan fmt`: the usual layout of a plan, written in its place or shown as a difference.

use crate::exit::{Exit, Failure};
use crate::findings;
use crate::output::Output;
use crate::place::{PlanText, read_plan};
use esclusa_plan::{SourceFile, format};
use serde_json::json;
use similar::TextDiff;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Lay a plan out.
#[derive(Debug, clap::Args)]
pub(crate) struct Fmt {
    /// The plan; `-` reads it from standard input and prints it
    #[arg(value_name = "FILE", default_value = "esclusa.yaml")]
    pub file: PathBuf,
    /// Change nothing; show what would change, and exit 1 if anything would
    #[arg(long)]
    pub check: bool,
}

pub(crate) fn run(asked: &Fmt, output: &Output) -> Result<Exit, Failure> {
    let piped = asked.file == Path::new("-");
    let plan = if piped {
        from_standard_input()?
    } else {
        read_plan(&asked.file)?
    };
    let source = SourceFile::new(&plan.name, &plan.text);
    let text = match format(&source, &esclusa_drivers::catalog()) {
        Ok(text) => text,
        Err(found) => {
            if !output.json(&json!({ "accepted": false, "diagnostics": found })) {
                findings::print(&found, &source, output);
            }
            return Ok(Exit::BadInput);
        }
    };
    let changes = text != plan.text;
    if asked.check {
        return Ok(check(&plan, &text, changes, output));
    }
    if piped {
        if !output.json(&json!({ "file": plan.name, "changed": changes, "text": text })) {
            output.line(text.trim_end_matches('\n'));
        }
        return Ok(Exit::Done);
    }
    if changes {
        replace(&asked.file, &text).map_err(|error| {
            Failure::input(
                "ESC-0530",
                format!("{} cannot be written: {error}", plan.name),
                "look at the rights of the file and its folder, and at the room on the disk; the \
                 file is as it was",
            )
        })?;
    }
    if !output.json(&json!({ "file": plan.name, "changed": changes })) {
        let words = if changes {
            "laid out"
        } else {
            "as it should be"
        };
        output.say(&format!("{}: {words}", plan.name));
    }
    Ok(Exit::Done)
}

fn check(plan: &PlanText, text: &str, changes: bool, output: &Output) -> Exit {
    let diff = TextDiff::from_lines(plan.text.as_str(), text)
        .unified_diff()
        .header(&plan.name, "laid out")
        .to_string();
    let data = json!({ "file": plan.name, "changed": changes, "diff": diff });
    if !output.json(&data) && changes {
        output.line(diff.trim_end_matches('\n'));
        output.say(&format!(
            "{}: not laid out as usual; `esclusa plan fmt` does it",
            plan.name
        ));
    }
    if changes { Exit::Fault } else { Exit::Done }
}

fn from_standard_input() -> Result<PlanText, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::input(
                "ESC-0502",
                format!("standard input cannot be read: {error}"),
                "name a file, or pipe a plan of UTF-8 text into it",
            )
        })?;
    Ok(PlanText {
        name: "<stdin>".to_owned(),
        text,
        base_dir: PathBuf::new(),
    })
}

/// Puts a text in the place of a file: whole or not at all, with the rights it had. A
/// link keeps pointing where it points.
pub(crate) fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let file = file.canonicalize()?;
    let rights = std::fs::metadata(&file)?.permissions();
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = File::create_new(&beside).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.set_permissions(rights)?;
        new.sync_all()?;
        std::fs::rename(&beside, &file)
    });
    if written.is_err() {
        // It may not be there; then nothing is left behind either.
        std::fs::remove_file(&beside).ok();
    }
    written?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_file_is_replaced_whole_with_its_rights_and_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plan.yaml");
        std::fs::write(&file, "old").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("rights");
        let link = folder.path().join("link.yaml");
        symlink(&file, &link).expect("a link");
        replace(&link, "new\n").expect("replaced");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "new\n");
        assert!(link.is_symlink(), "still a link");
        let mode = std::fs::metadata(&file)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);
        let left = std::fs::read_dir(folder.path()).expect("listed").count();
        assert_eq!(left, 2, "nothing is left behind");
    }

    #[test]
    fn a_file_that_cannot_be_written_stays_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plan.yaml");
        std::fs::write(&file, "old").expect("written");
        // Somebody is writing beside it under the same name.
        let beside = folder
            .path()
            .join(format!(".plan.yaml.{}", std::process::id()));
        std::fs::create_dir(&beside).expect("in the way");
        assert!(replace(&file, "new").is_err());
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "old");
    }
}
